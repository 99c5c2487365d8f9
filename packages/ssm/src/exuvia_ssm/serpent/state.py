"""The state of a SeRpEnt layer between pieces of a sequence, and the description of its resampling."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from exuvia_ssm.serpent.windows import History


class SeRpEntState(NamedTuple):
    """The state between pieces of a sequence; the first axis of every tensor is the batch.

    Times are relative to the current grid interval, so they stay small in an endless stream. They carry no gradient:
    the intervals of a piece learn from that piece only.
    """

    ticks: Tensor
    """time since the last grid time, of every branch [B, n] int64"""
    history: History
    """the last K - 1 elements"""
    started: Tensor
    """whether a branch has selected an element yet [B, n] bool"""
    held: Tensor
    """last value of every branch after the output map [B, n, D]"""
    inner: tuple[Any, ...]
    """states of the branches' layers"""


@dataclass(frozen=True)
class Resampling:
    """The resampling of a batch by one branch, for figures and analysis."""

    rate: float
    steps: Tensor
    """Delta_l [B, L] float64, 0 where not valid"""
    times: Tensor
    """t_l [B, L] float64"""
    selected: Tensor
    """[B, L] bool"""
    count: Tensor
    """M [B] int64"""


def select_rows(chosen: Tensor, new: Any, old: Any) -> Any:
    """Return the new state in the chosen rows [B] and the old one elsewhere; states are nested tuples of [B, ...]."""
    if isinstance(new, Tensor):
        return torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old.to(new.dtype))
    parts = [select_rows(chosen, a, b) for a, b in zip(new, old, strict=True)]
    return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)
