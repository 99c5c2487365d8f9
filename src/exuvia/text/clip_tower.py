"""The text half of CLIP in plain PyTorch, and the names of its weights in OpenAI's and Hugging Face's files.

Architecture: Sec. 2.4 [radford2021clip]; OpenAI CLIP, clip/model.py: learned positions, pre-norm blocks, causal
attention, x * sigmoid(1.702 x) as activation; the state at the end mark is projected to the common space.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from exuvia.config import settings
from exuvia.text.bert import EncoderBlock
from exuvia.text.weights import our_weights


@settings
class ClipTextConfig:
    """Sizes; the defaults are those of ViT-B/32."""

    vocab_size: int = 49408
    """Number of tokens; the last two are the start and end marks."""
    width: int = 512
    layers: int = 12
    heads: int = 8
    """Heads of each block; OpenAI uses width / 64."""
    context: int = 77
    """Longest text in tokens, including the marks."""
    embedding: int = 512
    """Width E of the common space."""


class ClipBlock(EncoderBlock):
    """Causal self-attention and feed-forward, each after LayerNorm and with a residual sum."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, W] -> [B, S, W]."""
        x = x + self.mix(self.norm1(x), is_causal=True)
        y = self.up(self.norm2(x))
        return x + self.down(y * torch.sigmoid(1.702 * y))


class ClipTextTower(nn.Module):
    """Token ids -> projected states; the state at the end mark is the sentence vector."""

    def __init__(self, config: ClipTextConfig | None = None) -> None:
        super().__init__()
        self.config = config or ClipTextConfig()
        c = self.config
        self.tokens = nn.Embedding(c.vocab_size, c.width)
        self.positions = nn.Embedding(c.context, c.width)
        self.layers = nn.ModuleList(ClipBlock(c.width, c.heads, 4 * c.width) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.width)
        self.projection = nn.Linear(c.width, c.embedding, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids [B, S], padded at the end with any id (attention is causal) -> [B, S, E]."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.projection(self.norm(x))


def text_weights(tensors: Mapping[str, Tensor]) -> tuple[ClipTextConfig, dict[str, Tensor]]:
    """Sizes and state dict of the text half of a CLIP checkpoint under either naming. Raises KeyError."""
    theirs = {name.removeprefix("clip_model."): tensor for name, tensor in tensors.items()}
    is_openai = "token_embedding.weight" in theirs
    ours = our_weights(theirs, "clip_openai" if is_openai else "clip_huggingface")
    if is_openai:
        ours["projection.weight"] = ours["projection.weight"].T.contiguous()  # stored for x @ projection
    vocabulary, width = ours["tokens.weight"].shape
    layers = sum(name.endswith("qkv.weight") for name in ours)
    context, embedding = (ours[f"{name}.weight"].shape[0] for name in ("positions", "projection"))
    return ClipTextConfig(vocabulary, width, layers, max(1, width // 64), context, embedding), ours
