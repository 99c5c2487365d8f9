"""Closed-form edits of linear maps: least-squares solutions for required outputs. This file knows matrices only.

A constraint is a matrix of inputs c [L, E], with one row per token (L = 1 for a pooled vector), and their required
outputs v [L, O]. With W [O, E] and sums over constraints and rows:

    (U1)  W' = (lam W + e sum v_f^T c_f + p sum v_r^T c_r) (lam I + e sum c_f^T c_f + p sum c_r^T c_r)^-1
                                                                                    Eq. 7 [gandikota2024uce]
    (U2)  target "replace":  v_f = W c_target
    (U3)  target "tensor":   v_f = o - <u, o> u,  o = W c_target,  u = W c_f / |W c_f|, norm and product over all rows
    (U4)  adversarial input: c' = (reg I + sum W'^T W')^-1 (sum W'^T W) c, over all maps    Eq. 9 [gong2024rece]

Facts: unified-concept-editing, trainscripts/uce_sd_erase.py; RECE, erase_methods/uce.py and
utils/embedding_calculation; hmu, src/methods/rece.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exuvia.errors import ConfigError


@dataclass(frozen=True)
class Constraint:
    """Inputs and their required outputs."""

    inputs: Tensor
    """[L, E]"""
    outputs: Tensor
    """[L, O]"""
    weight: float
    """Weight of the constraint: e if it erases, p if it preserves."""


def solve(weight: Tensor, constraints: Sequence[Constraint], lam: float) -> Tensor:
    """Solve for the new map [O, E], in double precision; the result has the old map's dtype.   (U1)

    Raises ConfigError if lam is not positive, or the system has no finite solution.
    """
    if not lam > 0:
        raise ConfigError(f"found lam = {lam}, expected a positive number: it keeps the system solvable")
    old = weight.double()
    left = lam * old
    right = lam * torch.eye(old.shape[1], dtype=torch.float64, device=old.device)
    for constraint in constraints:
        c, v = constraint.inputs.double(), constraint.outputs.double()
        left = left + constraint.weight * v.T @ c
        right = right + constraint.weight * c.T @ c
    try:
        new = torch.linalg.solve(right, left.T).T
    except torch.linalg.LinAlgError:
        raise ConfigError("the edit's equations have no single solution; set a larger lam") from None
    if not new.isfinite().all():
        raise ConfigError("the edit's equations have no finite solution; set a larger lam or smaller scales")
    return new.to(weight.dtype)


def replaced(target: Tensor, rows: int) -> Tensor:
    """Outputs for `rows` inputs from a target's [L, O]: row by row if L = rows, else their mean.   (U2)"""
    return target if len(target) == rows else target.mean(0, keepdim=True).expand(rows, -1)


def without_direction(target: Tensor, forget: Tensor) -> Tensor:
    """The target's outputs [L, O] without their component along the forgotten outputs [L, O].   (U3)"""
    direction = forget / forget.norm()
    return target - (direction * target).sum() * direction


def adversarial(inputs: Tensor, edited: Sequence[Tensor], original: Sequence[Tensor], reg: float) -> Tensor:
    """Inputs [..., E] for which the edited maps [O, E] return the original outputs of `inputs`.   (U4)

    The maps are in the same order; the regularisation `reg` keeps the result small.
    """
    square, cross = products(edited, original)
    left = reg * torch.eye(len(square), dtype=torch.float64, device=square.device) + square
    return (inputs.double() @ torch.linalg.solve(left, cross).T).to(inputs.dtype)


def products(edited: Sequence[Tensor], original: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sums of W'^T W' and of W'^T W, [E, E] in double precision."""
    square = torch.stack([w.double().T @ w.double() for w in edited]).sum(0)
    cross = torch.stack([w.double().T @ o.double() for w, o in zip(edited, original, strict=True)]).sum(0)
    return square, cross
