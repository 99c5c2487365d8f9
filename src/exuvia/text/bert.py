"""A BERT encoder in plain PyTorch, with the parameter names of the Hugging Face checkpoints.

Architecture: Sec. 3 [devlin2019bert]: learned positions, post-norm blocks, exact GELU.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.config import settings


@settings
class BertConfig:
    """Sizes under the names of Hugging Face's configuration; the defaults are those of MiniLM-L6-H384."""

    vocab_size: int = 30522
    hidden_size: int = 384
    """Width E."""
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    """Width inside a block's feed-forward part."""
    max_position_embeddings: int = 512
    """Longest text, in word pieces."""
    type_vocab_size: int = 2
    """Number of segments; captions are in segment 0."""
    layer_norm_eps: float = 1e-12
    """Value that LayerNorm adds to variances."""


class EncoderBlock(nn.Module):
    """Layers of a transformer block, as BERT and CLIP both have them."""

    def __init__(self, width: int, heads: int, inner_width: int, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, norm_eps)
        self.up = nn.Linear(width, inner_width)
        self.down = nn.Linear(inner_width, width)
        self.norm2 = nn.LayerNorm(width, norm_eps)

    def mix(self, x: Tensor, **mask: Any) -> Tensor:
        """Self-attention [B, S, E] -> [B, S, E]; `mask`: arguments of `scaled_dot_product_attention`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, **mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class BertBlock(EncoderBlock):
    """Self-attention and feed-forward, each followed by residual sum and LayerNorm."""

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """x [B, S, E], attend [B, 1, 1, S] True for visible keys -> [B, S, E]."""
        x = self.norm1(x + self.mix(x, attn_mask=attend))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """Word pieces -> states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.segments = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        sizes = config.hidden_size, config.num_attention_heads, config.intermediate_size, config.layer_norm_eps
        self.layers = nn.ModuleList(BertBlock(*sizes) for _ in range(config.num_hidden_layers))

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """ids [B, S], valid [B, S] bool -> last states [B, S, E]."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, valid[:, None, None, :])
        return x
