"""A BERT encoder in plain PyTorch, with the parameter names of the Hugging Face checkpoints.

Architecture: Sec. 3 [devlin2019bert]: learned positions, post-norm blocks, exact GELU.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.config import settings


@settings
class BertConfig:
    """Sizes; the defaults are those of MiniLM-L6-H384."""

    vocab_size: int = 30522
    """Word pieces."""
    hidden_size: int = 384
    """Width E."""
    num_hidden_layers: int = 6
    """Blocks."""
    num_attention_heads: int = 12
    """Heads of each block."""
    intermediate_size: int = 1536
    """Width inside a block's feed-forward part."""
    max_position_embeddings: int = 512
    """Longest text in pieces."""
    type_vocab_size: int = 2
    """Segments; captions are segment 0."""
    layer_norm_eps: float = 1e-12
    """Added to variances."""


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each followed by residual sum and LayerNorm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, config.layer_norm_eps)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)
        self.norm2 = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """x [B, S, E], attend [B, 1, 1, S] True where a key may be seen -> [B, S, E]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """Word pieces to states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.segments = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """ids [B, S], valid [B, S] bool -> last states [B, S, E]."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        x = self.norm(x)
        attend = valid[:, None, None, :]
        for layer in self.layers:
            x = layer(x, attend)
        return x
