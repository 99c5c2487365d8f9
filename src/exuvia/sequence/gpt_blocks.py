"""BAMM's other decoder, `t2mgpt`: pre-norm blocks with separate projections (names of its checkpoints).

Facts: BAMM, models/mask_transformer/transformer.py, option trans: t2mgpt (blocks as in T2M-GPT).
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(query, key, value), each [B, heads, L, D/heads] -> mixed values of the same shape."""


class GPTAttention(nn.Module):
    """Multi-head attention with separate linear maps for queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.proj = nn.Linear(width, width), nn.Linear(width, width)

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, L, D/heads] of x [B, L, D]."""
        B, L, D = x.shape

        def heads(layer: nn.Module) -> Tensor:
            return layer(x).view(B, L, self.num_heads, D // self.num_heads).transpose(1, 2)

        return heads(self.query), heads(self.key), heads(self.value)


class GPTBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); exact GELU."""

    def __init__(self, width: int, inner_width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = GPTAttention(width, num_heads)
        self.mlp = nn.Sequential(nn.Linear(width, inner_width), nn.GELU(), nn.Linear(inner_width, width))
        self.dropout = dropout

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        """[B, L, D] -> [B, L, D]; `attention` mixes the values under the caller's mask."""
        query, key, value = self.attn.projections(self.ln1(x))
        mixed = attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + F.dropout(self.attn.proj(mixed), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.ln2(x)), self.dropout, self.training)


class GPTDecoder(nn.Module):
    """A stack of blocks."""

    def __init__(self, width: int, inner_width: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GPTBlock(width, inner_width, num_heads, dropout) for _ in range(num_layers))
