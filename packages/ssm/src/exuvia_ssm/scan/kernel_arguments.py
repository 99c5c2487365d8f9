"""Arguments and gradients of a fused scan kernel: the sequences of a batch as rows of flat tensors."""

from typing import Final, NamedTuple

from torch import Tensor


class ScanRows(NamedTuple):
    """Arguments of a selective scan, contiguous, of one dtype (float32) and device, checked by arguments.py.

    Channel d reads group d // (D // G) of B and C. Sequence s has lengths[s] rows from offsets[s] on; with `reverse` it
    runs from its last row to its first. The operator's schema, ExuviaScan in cpu/problem.h and, for the first nine
    fields, `ScanGradients` have the same order.
    """

    x: Tensor
    """input   [R, D]"""
    dt: Tensor
    """step sizes, before bias and softplus   [R, D]"""
    A: Tensor
    """[D, N]"""
    B: Tensor
    """[R, G, N]"""
    C: Tensor
    """[R, G, N]"""
    D: Tensor | None
    """skip   [D]"""
    z: Tensor | None
    """gate before SiLU   [R, D]"""
    dt_bias: Tensor | None
    """[D]"""
    initial: Tensor | None
    """state before each sequence   [S, D, N]"""
    offsets: Tensor
    """first row of each sequence, ascending, not overlapping   [S] int64"""
    lengths: Tensor
    """rows of each sequence, 0 allowed   [S] int64"""
    softplus: bool
    """step sizes are softplus(dt + dt_bias)"""
    reverse: bool
    """run every sequence backwards"""


class ScanGradients(NamedTuple):
    """Gradients of the first tensors of a `ScanRows`; None for absent tensors."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    dt_bias: Tensor | None
    initial: Tensor | None


TENSORS: Final = 9
"""Number of fields of a `ScanRows` that have a gradient."""
