"""Rotary attention with its feed-forward part: the transformer that state-space layers are compared with.

Rotary positions: [su2021roformer], Eq. 34: channel pairs (i, i + d/2) of queries and keys turn by the angle
t 10000^(-2i/d), so that a score depends on the distance of two positions only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions.   x [B, L, D] -> [B, L, D]"""

    def __init__(self, width: int, heads: int = 4, causal: bool = True) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ConfigError(f"found width {width} for {heads} heads, expected a multiple of {2 * heads}")
        self.heads, self.causal = heads, causal
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid bool [B, L]: keys that may be attended to; None = all."""
        B, L, D = x.shape
        query, key, value = self.in_proj(x).view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        query, key = (rotated(part) for part in (query, key))
        mask = None
        if valid is not None:
            mask = valid[:, None, None, :]
            if self.causal:
                mask = mask & torch.ones(L, L, dtype=torch.bool, device=x.device).tril()
            # a row that may attend to nothing attends to itself: softmax of nothing is no number
            mask = mask | torch.eye(L, dtype=torch.bool, device=x.device)
        causal = self.causal and mask is None
        mixed = F.scaled_dot_product_attention(query, key, value.to(query.dtype), attn_mask=mask, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).reshape(B, L, D))


class FeedForward(nn.Module):
    """Linear, GELU, linear.   x [B, L, D] -> [B, L, D]"""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Every position by itself; `valid` makes no difference."""
        return self.linear2(F.gelu(self.linear1(x)))


def rotated(x: Tensor) -> Tensor:
    """Queries or keys [B, heads, L, d] turned by their positions, in float32."""
    d, L = x.shape[-1], x.shape[-2]
    rate = 10000.0 ** (-torch.arange(0, d, 2, device=x.device, dtype=torch.float32) / d)
    angle = torch.arange(L, device=x.device, dtype=torch.float32)[:, None] * rate
    cos, sin = angle.cos(), angle.sin()
    one, other = x.float().chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1).to(x.dtype)
