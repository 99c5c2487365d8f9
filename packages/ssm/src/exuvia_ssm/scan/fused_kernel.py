"""Fused scan kernels as PyTorch operators: differentiable, traceable by torch.compile, chosen by name.

A kernel is a module with

    unavailable_reason() -> str or None
    steps_between_states() -> int          `forward` saves at most R // this + S states [D, N]
    forward(rows, save) -> y [R, D], final [S, D, N], (states,) or ()
    backward(rows, (states,), grad_y, grad_final) -> ScanGradients
"""

import functools
import warnings
from importlib import import_module
from typing import Any, get_type_hints

import torch
from torch import Tensor

from exuvia_ssm.context import constant
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.operators import register
from exuvia_ssm.scan.kernel_arguments import TENSORS, ScanRows

KERNEL = {"cpu": "exuvia_ssm.cpu.native", "triton": "exuvia_ssm.gpu.launch"}
"""Kernels by name. A new kernel needs one module and one line here."""

_TYPE = {Tensor: "Tensor", Tensor | None: "Tensor?", bool: "bool"}
_ROWS = ", ".join(f"{_TYPE[kind]} {name}" for name, kind in get_type_hints(ScanRows).items())
_SCHEMA = f"({_ROWS}, bool save, SymInt most, str kernel) -> (Tensor, Tensor, Tensor)"
_BACKWARD_SCHEMA = (
    f"({_ROWS}, Tensor saved, Tensor grad_y, Tensor grad_final, str kernel) -> ({', '.join(['Tensor'] * TENSORS)})"
)


def kernel(name: str) -> Any:
    """Return the module of a kernel."""
    return import_module(KERNEL[name])


@constant
def unavailable_reason(name: str) -> str:
    """Return why a kernel cannot be used, or an empty string; constant within a process."""
    try:
        return str(kernel(name).unavailable_reason() or "")
    except ImportError as error:  # a machine without Triton
        return f"{KERNEL[name]} cannot be imported ({error})"


@constant
def available_or_warn(name: str) -> bool:
    """Return whether a kernel can be used; if not, warn once with the reason and the remedy."""
    reason = unavailable_reason(name)
    if reason:
        _warn_once(f"the selective scan runs in plain PyTorch, which is many times slower: {reason}")
    return not reason


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)


@constant
def _chunk(name: str) -> int:
    return int(kernel(name).steps_between_states())


def fused_scan(rows: ScanRows, name: str) -> tuple[Tensor, Tensor]:
    """Return y [R, D] and final states [S, D, N] of a batch, differentiable in every tensor of `rows`."""
    save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in rows[:TENSORS])
    most = rows.x.shape[0] // _chunk(name) + rows.lengths.shape[0] if save else 0
    y, final, _ = torch.ops.exuvia.scan_rows(*rows, save, most, name)
    return y, final


def _forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    *fields, save, most, name = arguments
    rows = ScanRows(*fields)
    y, final, saved = kernel(name).forward(rows, save)
    states = saved[0] if saved else rows.x.new_empty(most, *rows.A.shape)
    return y, final, states


def _shapes(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    *fields, _, most, _ = arguments
    rows = ScanRows(*fields)
    final = rows.x.new_empty(rows.lengths.shape[0], *rows.A.shape)
    return torch.empty_like(rows.x), final, rows.x.new_empty(most, *rows.A.shape)


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    *fields, saved, grad_y, grad_final, name = arguments
    rows = ScanRows(*fields)
    grads = kernel(name).backward(rows, (saved,), grad_y, grad_final)
    return tuple(rows.x.new_empty(0) if grad is None else grad for grad in grads)


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    fields = arguments[:TENSORS]
    return tuple(arguments[0].new_empty(0) if t is None else torch.empty_like(t) for t in fields)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *fields, save, _, name = inputs
    *tensors, softplus, reverse = fields
    ctx.present = [tensor is not None for tensor in tensors]
    ctx.save_for_backward(*(tensor for tensor in tensors if tensor is not None), output[2])
    ctx.flags, ctx.save, ctx.kernel = (softplus, reverse), save, name


def _differentiate(ctx: Any, grad_y: Tensor, grad_final: Tensor, _: Tensor) -> tuple[Any, ...]:
    *kept, states = ctx.saved_tensors
    present = iter(kept)
    tensors = [next(present) if here else None for here in ctx.present]
    grads = torch.ops.exuvia.scan_rows_backward(
        *tensors, *ctx.flags, states, grad_y.contiguous(), grad_final.contiguous(), ctx.kernel
    )
    wanted = [grad if here else None for grad, here in zip(grads, ctx.present[:TENSORS], strict=True)]
    return *wanted, *[None] * 7


def _differentiate_again(ctx: Any, *grads: Tensor) -> Any:
    raise ConfigError("the fused scan has no second derivative; use backend='reference'")


register("scan_rows", _SCHEMA, _forward, _shapes, _differentiate, _remember)
register("scan_rows_backward", _BACKWARD_SCHEMA, _backward, _backward_shapes, _differentiate_again)
