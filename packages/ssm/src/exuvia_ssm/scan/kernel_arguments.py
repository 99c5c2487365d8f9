"""What a fused scan kernel is given and gives back: sequences of one batch as rows of flat tensors."""

from typing import Final, NamedTuple

from torch import Tensor


class ScanRows(NamedTuple):
    """Arguments of a selective scan, contiguous, of one dtype (float32) and device, checked by arguments.py.

    Channel d reads group d // (D // G) of B and C. Sequence s is the lengths[s] rows from offsets[s] on; with
    `reverse` it is run from its last row to its first. The order of the fields is that of the operator's schema, of
    ExuviaScan in cpu/problem.h and, for the first nine, of `ScanGradients`.
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
    """Gradients of the first tensors of a `ScanRows`, None where there was none."""

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
"""Fields of a `ScanRows` that have a gradient."""
