"""Restores the full length: which compressed elements each position reads, and with which weights.

Every mode is a sparse matrix with one or two entries per row, so one weighted sum of rows restores all branches. Slots
count from 0 (slot m - 1 is the element of grid time m); slot -1 means "none yet".
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from exuvia_ssm.context import transformed
from exuvia_ssm.serpent.resample import TICK_BITS, Times, gather_rows


class Reading(NamedTuple):
    """The entries that every position reads from the compressed sequence of one branch."""

    slots: Tensor
    """[B, L, c] int64, -1 = none; c = 1, or 2 when interpolating"""
    weights: Tensor | None
    """[B, L, c] float64, differentiable in the intervals; None = 1"""
    marked: Tensor
    """positions that receive the expansion of the time since the grid time, [B, L] bool"""


def hold(times: Times) -> Reading:
    """y_l is the value of the last selected element; causal.   (S7) [inferred]"""
    slots = (times.ticks >> TICK_BITS) - 1
    return Reading(slots.unsqueeze(-1), None, slots >= 0)


def blank(times: Times, selected: Tensor) -> Reading:
    """y_l is the value where l is selected, else 0; causal, as drawn in Fig. 3 [rando2025serpent].   (S7)"""
    slots = ((times.ticks >> TICK_BITS) - 1).masked_fill(~selected, -1)
    return Reading(slots.unsqueeze(-1), None, selected)


def interpolate(times: Times, index: Tensor, count: Tensor) -> Reading:
    """y_l is interpolated linearly between the two selected elements around t_l; not causal.   (S7) [inferred]

    Before the first and after the last selected element, its value is repeated. The source only says "interpolation
    techniques similar to those in the compression step". The weights are differentiable in the intervals.

    Args:
        times: ticks and values           [B, L] each
        index: positions i_m              [B, M]
        count: M of each row              [B]
    """
    slots = (times.ticks >> TICK_BITS) - 1
    last = count.unsqueeze(-1) - 1
    lower = torch.minimum(slots.clamp(min=0), last)
    upper = torch.minimum(slots + 1, last)
    if index.shape[1] == 0:
        return Reading(torch.stack([lower, upper], -1), None, torch.zeros_like(slots, dtype=torch.bool))
    table = times.values.reshape(-1, 1)
    rows = torch.arange(index.shape[0], device=index.device).unsqueeze(-1) * times.values.shape[1]
    t_lower = gather_rows(table, rows + index.gather(1, lower.clamp(min=0))).squeeze(-1)
    t_upper = gather_rows(table, rows + index.gather(1, upper.clamp(min=0))).squeeze(-1)
    between = (upper > lower) & (slots >= 0)
    span = torch.where(between, t_upper - t_lower, 1.0)
    share = torch.where(between, (times.values - t_lower) / span, 0.0)
    return Reading(torch.stack([lower, upper], -1), torch.stack([1 - share, share], -1), torch.zeros_like(between))


def read_rows(rows: list[Tensor], held: Tensor | None, readings: list[Reading]) -> Tensor:
    """Return the sum [B, L, D] over branches and entries of weight times compressed row: rows [B, M_j, D] per branch,
    and the value `held` [B, n, D] before the first selected element (None: 0)."""
    batch, length = readings[0].slots.shape[:2]
    width = rows[0].shape[-1]
    offset, tables, index = 1, [rows[0].new_zeros(1, width)], []
    for j, (branch, reading) in enumerate(zip(rows, readings, strict=True)):
        base = torch.arange(batch, device=branch.device).view(-1, 1, 1)
        missing: Tensor | int = 0
        if held is not None:
            tables.append(held[:, j].to(branch.dtype))
            missing, offset = base + offset, offset + batch
        index.append(torch.where(reading.slots < 0, missing, base * branch.shape[1] + reading.slots + offset))
        tables.append(branch.reshape(-1, width))
        offset += batch * branch.shape[1]
    bags = torch.cat(index, -1).flatten(0, 1)
    table, weights = torch.cat(tables), None
    if any(reading.weights is not None for reading in readings):
        parts = [torch.ones_like(r.slots, dtype=torch.float64) if r.weights is None else r.weights for r in readings]
        weights = torch.cat(parts, -1).flatten(0, 1).to(table.dtype)
    if transformed():
        entries = gather_rows(table, bags)
        return (entries if weights is None else entries * weights[..., None]).sum(-2).view(batch, length, width)
    summed = functional.embedding_bag(bags, table, mode="sum", per_sample_weights=weights)
    return summed.view(batch, length, width)
