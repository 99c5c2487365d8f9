"""Stacks for comparisons: rotary attention as an additional mixer, and stacks of equal size.

Rotary positions: [su2021roformer], Eq. 34: channel pairs (i, i + d/2) of queries and keys turn by the angle
t 10000^(-2i/d), so that a score depends on the distance of two positions only.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia.sequence.settings import StackConfig
from exuvia.sequence.stack import MIXER, Stack, serpent_options
from exuvia_ssm import SeRpEntConfig


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


MIXERS = {
    "transformer": lambda c: [RotaryAttention(c.width, c.heads, c.causal), FeedForward(c.width, 4 * c.width)],
    **MIXER,
}
"""Those of `exuvia.sequence.stack`, and a transformer, which keeps no state."""


def build_stack(config: StackConfig) -> Stack:
    """A stack over any of `MIXERS`. Raises ConfigError for an unknown one."""
    return Stack(config, MIXERS)


def parameters(config: StackConfig) -> int:
    """Number of parameters of a stack."""
    return sum(p.numel() for p in build_stack(config).parameters())


def of_equal_size(config: StackConfig, budget: int) -> StackConfig:
    """The config with the width whose stack comes nearest to a number of parameters.

    Widths are multiples of 4; of twice the heads for attention. Branches of SeRpEnt, whose own widths go in steps of 8,
    become up to 4 channels wider or narrower if that comes nearer.
    """
    unit = 2 * config.heads if config.mixer == "transformer" else 4

    def size(units: int) -> int:
        return parameters(replace(config, width=unit * units))

    high = 1
    while size(high) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < budget else (low, middle)
    near = [replace(config, width=unit * n) for n in (low, high) if n]
    if config.mixer == "serpent":
        near += [_branches(one, more) for one in near for more in (-4, 4)]
    return min(near, key=lambda one: abs(parameters(one) - budget))


def _branches(config: StackConfig, more: int) -> StackConfig:
    """The config with wider or narrower branches."""
    width = SeRpEntConfig(config.width, **serpent_options(config)).width
    return replace(config, serpent=replace(config.serpent, branch_width=max(4, width + more)))
