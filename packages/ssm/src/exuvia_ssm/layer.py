"""The interface that all state-space layers share: calling convention, checks, and masked steps.

A layer is an nn.Module built as `Layer(d_model, **options)`, with a frozen configuration in `.config`, and has

    forward(x [B, L, D], valid [B, L] bool = None, state = None, return_state = False) -> y, or (y, state)
        valid: True where a step is real, in any pattern; other steps are skipped, and y is 0 there
        state: before the first step, None is zero; the returned one is that after each row's last real step
    step(x_t [B, D], state) -> y_t [B, D], state       equal to the same step of `forward`; ConfigError if not causal
    initial_state(batch, device, dtype)                a tuple of tensors whose first axis is the batch

Right padding is cheap, because a recurrence can stop early. `RealSteps` converts any other mask to right padding by
moving the real steps of every row to its front, and moves the outputs back afterwards; so layers only handle right
padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from exuvia_ssm.context import readable, transformed
from exuvia_ssm.errors import ConfigError, ShapeError

C = TypeVar("C")


def configured(kind: type[C], d_model: int, options: Mapping[str, Any]) -> C:
    """Return a layer's configuration. Raises ConfigError for an unknown or unsuitable option."""
    try:
        config: C = cast(Any, kind)(d_model, **options)
    except TypeError as error:
        names = ", ".join(field.name for field in fields(cast(Any, kind)))
        raise ConfigError(f"{kind.__name__.removesuffix('Config')}: {error}; options: {names}") from None
    return config


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the recurrences: float64 for float64 inputs, else float32."""
    return torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32


def check_sequence(x: Tensor, d_model: int, valid: Tensor | None = None) -> None:
    """Raise ShapeError unless x is floating point [B, L, d_model] and valid, if given, bool [B, L]."""
    if x.dim() != 3 or x.shape[2] != d_model or not x.is_floating_point():
        raise ShapeError(
            f"the layer was given x of shape {list(x.shape)} and type {x.dtype}; "
            f"expected floating point [batch, length, {d_model}]"
        )
    if valid is not None and (valid.shape != x.shape[:2] or valid.dtype != torch.bool):
        raise ShapeError(
            f"the layer was given valid of shape {list(valid.shape)} and type {valid.dtype}; "
            f"expected bool {list(x.shape[:2])}, True where a step is real"
        )


def check_step(x_t: Tensor, d_model: int) -> None:
    """Raise ShapeError unless x_t is floating point [B, d_model]."""
    if x_t.dim() != 2 or x_t.shape[1] != d_model or not x_t.is_floating_point():
        raise ShapeError(
            f"step() was given x of shape {list(x_t.shape)} and type {x_t.dtype}; "
            f"expected floating point [batch, {d_model}]"
        )


def check_state(state: Any, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise ShapeError unless state is a tuple of floating point tensors of these shapes."""
    description = f"a {type(state).__name__}"
    if isinstance(state, tuple) and all(isinstance(part, Tensor) for part in state):
        if [tuple(part.shape) for part in state] == list(shapes) and all(part.is_floating_point() for part in state):
            return
        description = f"tensors {', '.join(f'{list(part.shape)} {part.dtype}' for part in state)}"
    raise ShapeError(
        f"the layer was given {description} as its state; expected a tuple of floating point tensors "
        f"{', '.join(str(list(shape)) for shape in shapes)}: take it from initial_state({shapes[0][0]}) or from an "
        "earlier call with the same batch"
    )


class _Reorder(torch.autograd.Function):
    """Reorders the steps of a batch; the gradient uses the inverse order, which avoids scattered sums."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """x [B, L, D], order and inverse [B L] rows."""
        ctx.save_for_backward(order, inverse)
        return x.flatten(0, 1).index_select(0, order).view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Apply the inverse order."""
        order, inverse = ctx.saved_tensors
        return _Reorder.apply(grads[0], inverse, order), None, None


@dataclass(frozen=True)
class RealSteps:
    """Positions of the real steps of each row, and the order that moves them to its front."""

    valid: Tensor
    """[B, L] bool"""
    lengths: Tensor
    """number of real steps of each row   [B] int64"""
    order: Tensor | None
    """row of the flattened batch that moves to each position; None = already right-padded   [B L] int64"""
    inverse: Tensor | None
    """the inverse of `order`   [B L] int64"""

    @classmethod
    def of(cls, valid: Tensor, reverse: bool = False) -> "RealSteps":
        """Return the order for a mask [B, L]; with `reverse` the real steps come to the front in reverse order.

        Right padding is detected only where the mask can be read without waiting for a device.
        """
        lengths = valid.sum(1)
        if not reverse and readable(valid) and not bool((valid[:, 1:] & ~valid[:, :-1]).any()):
            return cls(valid, lengths, None, None)
        batch, length = valid.shape
        seen = valid.long().cumsum(1)
        real = lengths[:, None] - seen if reverse else seen - 1
        rest = lengths[:, None] + torch.arange(length, device=valid.device) - seen
        first = torch.arange(batch, device=valid.device)[:, None] * length
        inverse = (first + torch.where(valid, real, rest)).flatten()
        places = torch.arange(batch * length, device=valid.device)
        return cls(valid, lengths, torch.empty_like(inverse).scatter_(0, inverse, places), inverse)

    @property
    def packed(self) -> Tensor:
        """The mask after `pack`, which is right padding   [B, L] bool"""
        return torch.arange(self.valid.shape[1], device=self.valid.device) < self.lengths[:, None]

    def pack(self, x: Tensor) -> Tensor:
        """Return the real steps at the front of each row, followed by zeros   [B, L, D]."""
        x = torch.where(self.valid[..., None], x, 0)
        return _reordered(x, self.order, self.inverse)

    def unpack(self, y: Tensor) -> Tensor:
        """Return the real steps at their original positions, zeros elsewhere   [B, L, D]."""
        return torch.where(self.valid[..., None], _reordered(y, self.inverse, self.order), 0)


def _reordered(x: Tensor, order: Tensor | None, inverse: Tensor | None) -> Tensor:
    if order is None or not transformed():
        return x if order is None else _Reorder.apply(x, order, inverse)
    return x.flatten(0, 1).index_select(0, order).view(x.shape)
