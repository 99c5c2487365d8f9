"""Learned intervals: running time, the elements at which it crosses the grid, and their neighbours.

Time is measured in grid intervals (Delta = 1). Equations (S1) to (S4) are in serpent.py, with m = 1 .. M = floor(t_L)
[rando2025serpent].

Since Delta_l <= 1, an element crosses at most one multiple, so all i_m differ; since Delta_l >= kappa,
floor(kappa L) <= M <= L. Both hold exactly, because the running time is stored in integer *ticks* of 2**-40 (int64).
Integer sums do not depend on their order, so a whole sequence, its pieces, single steps and every device select the
same elements; kappa = 1 gives t_l = l exactly. 2**23 intervals fit.

The choice of elements is piecewise constant in the intervals and has no gradient. The times t_l have one
(``Times.values``): everything that uses t_l - m (the Gaussian expansion, interpolation weights) trains the intervals.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from exuvia_ssm.context import transformed
from exuvia_ssm.errors import ConfigError

TICK_BITS = 40
ONE = 1 << TICK_BITS
"""Ticks in one grid interval."""


def check_rate(rate: float) -> float:
    """Return a compression rate kappa as a float. Raises ConfigError unless it is in (0, 1]."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 1:
        raise ConfigError(f"found a compression rate of {rate!r}; expected 0 < kappa <= 1, the minimum share kept")
    return float(rate)


def bounded_steps(logits: Tensor, rates: tuple[float, ...]) -> Tensor:
    """Return every interval.   (S1), the bounding map is inferred from "kappa determines the min and max"

    Args:
        logits: w.x_l + b, one row per branch                [n, B, L]
        rates: kappa of each branch                          n numbers in (0, 1]
    Returns:
        intervals, kappa <= Delta_l <= 1                     [n, B, L] float64, grid intervals
    """
    kappa = torch.tensor(rates, dtype=torch.float64, device=logits.device).view(-1, 1, 1)
    return kappa + (1 - kappa) * torch.sigmoid(logits.double())


def uniform_steps(rates: tuple[float, ...], batch: int, length: int, device: torch.device) -> Tensor:
    """Return the ablation without learning: every interval is kappa, [n, B, L] float64."""
    kappa = torch.tensor(rates, dtype=torch.float64, device=device)
    return kappa.view(-1, 1, 1).expand(-1, batch, length)


def ticks_of(steps: Tensor, rates: tuple[float, ...]) -> Tensor:
    """Return the intervals in integer ticks, clamped to [kappa, 1] (NaN becomes kappa): [n, B, L] int64."""
    floor = torch.tensor([min(ONE, -int(-rate * ONE // 1)) for rate in rates], device=steps.device).view(-1, 1, 1)
    return (steps.detach() * ONE).round().long().clamp(min=floor).clamp(max=ONE)


class Times(NamedTuple):
    """Running time of every branch."""

    ticks: Tensor
    """exact, in ticks [n, B, L] int64"""
    values: Tensor
    """the same in grid intervals, differentiable in the intervals [n, B, L] float64"""


def running_times(steps: Tensor, rates: tuple[float, ...], valid: Tensor | None, start: Tensor) -> Times:
    """t_l = start + the intervals of the real elements up to l.   (S2)

    Args:
        steps: intervals                                     [n, B, L] float64
        valid: real elements; time stops elsewhere           [B, L] or None
        start: time before the first element, in ticks       [n, B] int64
    """
    ticks = ticks_of(steps, rates)
    if valid is not None:
        ticks = ticks.masked_fill(~valid, 0)
        steps = steps.masked_fill(~valid, 0.0)
    ticks = start.unsqueeze(-1) + ticks.cumsum(-1)
    if transformed():
        values = steps.cumsum(-1)
        return Times(ticks, values + (ticks.double() / ONE - values).detach())
    return Times(ticks, _WithGradient.apply(steps, ticks))


class _WithGradient(torch.autograd.Function):
    """Returns the exact time with the gradient of the running sum, d t_l / d Delta_i = 1 for i <= l."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, ticks: Tensor) -> Tensor:
        """Exact times in grid intervals, float64."""
        return ticks.double() / ONE

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the sums over all later times."""
        return suffix_sums(grads[0]), None


def suffix_sums(values: Tensor, block: int = 256) -> Tensor:
    """s_i = sum of values_l over l >= i along the last axis.

    CUDA's floating-point cumsum is not deterministic. If deterministic algorithms are requested there, the sums are
    products with a triangular matrix of ones, block by block.
    """
    if not (values.is_cuda and torch.are_deterministic_algorithms_enabled()):
        return values.flip(-1).cumsum(-1).flip(-1)
    return blocked_suffix_sums(values, block)


def blocked_suffix_sums(values: Tensor, block: int) -> Tensor:
    """Return `suffix_sums` by matrix products only: within blocks, then over the totals of the blocks."""
    length = values.shape[-1]
    if length <= block:
        ones = torch.ones(length, length, dtype=values.dtype, device=values.device)
        return values @ ones.tril()
    padded = functional.pad(values, (0, -length % block)).unflatten(-1, (-1, block))
    inside = blocked_suffix_sums(padded, block)
    later = blocked_suffix_sums(inside[..., 0], block) - inside[..., 0]
    return (inside + later.unsqueeze(-1)).flatten(-2)[..., :length]


def counts(ticks: Tensor, start: Tensor) -> Tensor:
    """Return M of every branch and row: the number of multiples in (start, t_L].   [n, B] int64"""
    if ticks.shape[-1] == 0:
        return torch.zeros_like(start)
    return (ticks[..., -1] >> TICK_BITS) - (start >> TICK_BITS)


def selected_mask(ticks: Tensor, start: Tensor) -> Tensor:
    """Return where the running time crosses a multiple of the grid interval: [n, B, L] bool.   Fig. 2"""
    grid = ticks >> TICK_BITS
    before = torch.cat([(start >> TICK_BITS).unsqueeze(-1), grid[..., :-1]], dim=-1) if grid.shape[-1] else grid
    return grid > before


def crossings(ticks: Tensor, most: int) -> Tensor:
    """Return i_m for m = 1 .. most: the first position with t_l >= m (the last position if there is none).   (S3)

    Args:
        ticks: running time from a start below one grid interval     [B, L] int64
        most: number of columns of the result, the largest M of the batch
    Returns:
        [B, most] int64
    """
    grid = torch.arange(1, most + 1, device=ticks.device) << TICK_BITS
    index = torch.searchsorted(ticks.contiguous(), grid.expand(ticks.shape[0], -1).contiguous())
    return index.clamp_(max=max(0, ticks.shape[1] - 1))


@dataclass(frozen=True)
class RealElements:
    """Converts positions of a padded batch to ranks among the real elements of each row, and back."""

    running: Tensor | None
    """number of real elements up to each position, itself included [B, L] int64; None = all are real"""
    length: int
    """positions L"""

    @classmethod
    def of(cls, valid: Tensor | None, length: int) -> "RealElements":
        """From a mask of any pattern, [B, L] bool or None."""
        return cls(None if valid is None else valid.long().cumsum(-1), length)

    def rank(self, position: Tensor) -> Tensor:
        """Return the number of real elements before each (real) position, [B, ...] int64."""
        if self.running is None:
            return position
        return self.running.gather(1, position.flatten(1)).view_as(position) - 1

    def position(self, rank: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions of the elements of these ranks, and whether they exist: [B, ...] int64 and bool."""
        if self.running is None:
            return rank.clamp(0, max(0, self.length - 1)), (rank >= 0) & (rank < self.length)
        total = self.running[:, -1:] if self.length else self.running.new_zeros(self.running.shape[0], 1)
        exists = (rank >= 0) & (rank < total.view(-1, *[1] * (rank.dim() - 1)))
        position = torch.searchsorted(self.running, (rank.flatten(1) + 1).contiguous()).view_as(rank)
        return position.clamp_(0, max(0, self.length - 1)), exists


def trailing_neighbours(selected: Tensor, width: int, real: RealElements) -> tuple[Tensor, Tensor]:
    """Return the selected element and the K - 1 real elements before it, in temporal order; causal.   (S4), Fig. 2

    Args:
        selected: positions i_m                  [B, M]
        width: K
    Returns:
        positions and whether they exist (missing at the start of a sequence)     [B, M, K] each
    """
    lags = torch.arange(1 - width, 1, device=selected.device)
    return real.position(real.rank(selected).unsqueeze(-1) + lags)


def nearest_neighbours(selected: Tensor, width: int, real: RealElements, ticks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the K real elements with the smallest |t - m|, in temporal order, ties to the earlier; not causal.

    This is the other reading of "K closest neighbors" (caption of Fig. 2) [inferred]. Arguments and result as in
    `trailing_neighbours`; ticks [B, L]. Times grow strictly, so candidates are the K elements before i_m and K from it.
    """
    lags = torch.arange(-width, width, device=selected.device)
    position, exists = real.position(real.rank(selected).unsqueeze(-1) + lags)
    grid = torch.arange(1, selected.shape[1] + 1, device=selected.device) << TICK_BITS
    distance = (ticks.gather(1, position.flatten(1)).view_as(position) - grid.view(1, -1, 1)).abs()
    distance = distance.masked_fill(~exists, torch.iinfo(torch.int64).max)
    chosen = torch.sort(distance, dim=-1, stable=True).indices[..., :width].sort(-1).values
    return position.gather(-1, chosen), exists.gather(-1, chosen)


def gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """Return rows of a table [R, D] at an index of any shape: [..., D]; the backward pass is deterministic."""
    return functional.embedding(index, table)
