"""The workloads of a benchmark: a forward call, the tensors that get gradients, and the reference result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lab.roofline import Pass, Size


@dataclass(frozen=True)
class Work:
    """One method on tensors of one size, ready to run."""

    forward: Callable[[], Tensor]
    """the output y [B, L, D]"""
    leaves: tuple[Tensor, ...]
    """tensors that the backward makes gradients of"""
    facts: Mapping[str, float] = field(default_factory=dict)
    """what else is worth a column, such as the number of parameters"""
    expected: Callable[[], "Work"] | None = None
    """returns reference work with equal output and gradients, leaf by leaf (the last two axes may be swapped)"""


@dataclass(frozen=True)
class Method:
    """An implementation that is timed against others of its kind."""

    title: str
    """title in the table"""
    kind: str
    """"scan", "block" (projections and convolution too), "attention" or "layer"; only scans have a roofline"""
    build: Callable[[Size, str], Work]
    """(size, device) -> work; raises ExuviaError or ImportError with the reason if the method cannot run"""


def caller(work: Work, which: Pass) -> Callable[[], Any]:
    """Return the call to time: the output without gradients, or the output and the gradients of all leaves."""
    if which == "forward":

        def forward() -> Tensor:
            with torch.no_grad():
                return work.forward()

        return forward
    with torch.no_grad():
        shape = work.forward()
    grad_y = torch.randn(shape.shape, generator=torch.Generator().manual_seed(1)).to(shape)

    def both() -> tuple[Tensor, ...]:
        y = work.forward()
        return (y, *torch.autograd.grad(y, work.leaves, grad_y))

    return both


def difference(found: Work, expected: Work) -> float:
    """Return the largest difference of outputs and gradients, each relative to the largest expected value."""
    worst = 0.0
    for ours, theirs in zip(caller(found, "fwd_bwd")(), caller(expected, "fwd_bwd")(), strict=True):
        same = ours if ours.shape == theirs.shape else ours.transpose(-1, -2)
        scale = theirs.abs().max().clamp(min=1e-30)
        worst = max(worst, float(((same - theirs).abs().max() / scale).item()))
    return worst
