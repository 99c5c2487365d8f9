"""Extracts the windows of every branch: the elements stacked at each grid time, and their time differences."""

from typing import NamedTuple

import torch
from torch import Tensor

from exuvia_ssm.serpent import resample
from exuvia_ssm.serpent.resample import ONE, RealElements, Times, gather_rows


class History(NamedTuple):
    """The last K - 1 real elements before a sequence (streaming), oldest first."""

    rows: Tensor
    """[B, K - 1, D]"""
    ticks: Tensor
    """their running times, relative to the start's grid interval [B, n, K - 1] int64"""
    valid: Tensor
    """which of them exist [B, K - 1] bool"""


class Elements(NamedTuple):
    """History and sequence laid end to end: P + L positions."""

    table: Tensor
    """rows of the whole batch, followed by one zero row [B (P + L) + 1, D]"""
    times: Times
    """running times of every branch [n, B, P + L]"""
    real: RealElements


class Windows(NamedTuple):
    """The K elements stacked at each grid time of one branch."""

    selected: Tensor
    """positions i_m [B, M]; the last position where a row has fewer crossings"""
    rows: Tensor
    """rows of `Elements.table` [B, M, K]; the zero row for missing neighbours"""
    exists: Tensor
    """[B, M, K] bool"""


def lay_out(x: Tensor, times: Times, valid: Tensor | None, history: History | None) -> Elements:
    """Prepend the history to x [B, L, D], zero where not valid, and to its running times [n, B, L]; append one row of
    zeros for missing neighbours."""
    batch, length, width = x.shape
    if history is not None and history.rows.shape[1]:
        real = torch.ones(batch, length, dtype=torch.bool, device=x.device) if valid is None else valid
        valid = torch.cat([history.valid, real], dim=1)
        x = torch.cat([history.rows.to(x.dtype), x], dim=1)
        past = history.ticks.transpose(0, 1)
        times = Times(torch.cat([past, times.ticks], -1), torch.cat([past.double() / ONE, times.values], -1))
    table = torch.cat([x.reshape(-1, width), x.new_zeros(1, width)])
    return Elements(table, times, RealElements.of(valid, x.shape[1]))


def windows_of(elements: Elements, branch: int, most: int, K: int, neighbours: str) -> Windows:
    """Return the selected elements of one branch and their neighbours ("trailing" or "nearest").   (S3), (S4)"""
    ticks = elements.times.ticks[branch]
    selected = resample.crossings(ticks, most)
    if neighbours == "trailing":
        position, exists = resample.trailing_neighbours(selected, K, elements.real)
    else:
        position, exists = resample.nearest_neighbours(selected, K, elements.real, ticks)
    row = torch.arange(ticks.shape[0], device=ticks.device).view(-1, 1, 1) * ticks.shape[1] + position
    return Windows(selected, torch.where(exists, row, elements.table.shape[0] - 1), exists)


def differences(elements: Elements, branch: int, windows: Windows) -> Tensor:
    """t_{n_k(m)} - m in grid intervals, 0 where a neighbour is missing: [B, M, K] float64.   argument of phi in (S6)"""
    values = elements.times.values[branch].reshape(-1, 1)
    times = gather_rows(values, windows.rows.clamp(max=max(0, values.shape[0] - 1))).squeeze(-1)
    grid = torch.arange(1, windows.rows.shape[1] + 1, device=values.device, dtype=values.dtype)
    return (times - grid.view(1, -1, 1)).masked_fill(~windows.exists, 0.0)


def last_elements(elements: Elements, width: int, rebase: Tensor) -> History:
    """Return the last `width` real elements for the next piece; `rebase` [n, B] counts ticks of completed intervals."""
    ticks = elements.times.ticks
    n, batch, length = ticks.shape
    running = elements.real.running
    total = torch.full((batch, 1), length, device=ticks.device) if running is None else running[:, -1:]
    position, exists = elements.real.position(total + torch.arange(-width, 0, device=ticks.device))
    row = torch.arange(batch, device=ticks.device).view(-1, 1) * length + position
    rows = gather_rows(elements.table, torch.where(exists, row, elements.table.shape[0] - 1))
    past = ticks.gather(-1, position.expand(n, -1, -1)) - rebase.unsqueeze(-1)
    return History(rows, past.transpose(0, 1).contiguous(), exists)
