"""The face that all state-space layers share: how they are called, their checks, and steps that are not real.

A layer is an nn.Module built as `Layer(d_model, **options)`, with a frozen configuration in `.config`. Padding to the
right is cheap: a recurrence simply stops early. Any other mask is brought to that form once, by moving the real steps
of every row to its front, and undone once (`RealSteps`); so no layer needs to know about holes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor

from exuvia_ssm.context import readable, transformed
from exuvia_ssm.errors import ConfigError, ShapeError

C = TypeVar("C")


@runtime_checkable
class SequenceLayer(Protocol):
    """What every layer offers."""

    config: Any
    """frozen dataclass of its settings; `config.d_model` is D"""

    def forward(
        self, x: Tensor, valid: Tensor | None = None, state: Any = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Any]:
        """x [B, L, D] -> y [B, L, D], or (y, state).

        Args:
            x: input                                                                   [B, L, D]
            valid: True where a step is real, in any pattern; others are passed over   [B, L] bool
            state: what was before the first step; None is zero
            return_state: also what is after the last real step of every row
        Returns:
            y, 0 where not valid; with the state if asked for
        """
        ...

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step of a stream, x_t [B, D] -> (y_t [B, D], state), equal to the same step of `forward`.

        Raises:
            ConfigError: the layer looks ahead, so that no stream can be had.
        """
        ...

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Any:
        """What is before the first step: a tuple of tensors, each beginning with the batch."""
        ...


def configured(kind: type[C], d_model: int, options: Mapping[str, Any]) -> C:
    """A layer's configuration, of a dataclass of settings.

    Raises:
        ConfigError: an option that does not exist or does not fit.
    """
    try:
        config: C = cast(Any, kind)(d_model, **options)
    except TypeError as error:
        names = ", ".join(field.name for field in fields(cast(Any, kind)))
        raise ConfigError(f"{kind.__name__.removesuffix('Config')}: {error}; options: {names}") from None
    return config


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Of the recurrences: float64 when given it, else float32."""
    return torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32


def check_sequence(x: Tensor, d_model: int, valid: Tensor | None = None) -> None:
    """Refuse what is not a batch of sequences.

    Raises:
        ShapeError: unless x is floating point [B, L, d_model] and valid, where given, bool [B, L].
    """
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
    """Refuse what is not one step of a batch.

    Raises:
        ShapeError: unless x_t is floating point [B, d_model].
    """
    if x_t.dim() != 2 or x_t.shape[1] != d_model or not x_t.is_floating_point():
        raise ShapeError(
            f"step() was given x of shape {list(x_t.shape)} and type {x_t.dtype}; "
            f"expected floating point [batch, {d_model}]"
        )


def check_state(state: Any, shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse a state that another layer, or another batch, left behind.

    Raises:
        ShapeError: unless state is a tuple of floating point tensors of these shapes.
    """
    found = f"a {type(state).__name__}"
    if isinstance(state, tuple) and all(isinstance(part, Tensor) for part in state):
        if [tuple(part.shape) for part in state] == list(shapes) and all(part.is_floating_point() for part in state):
            return
        found = f"tensors {', '.join(f'{list(part.shape)} {part.dtype}' for part in state)}"
    raise ShapeError(
        f"the layer was given {found} as its state; expected a tuple of floating point tensors "
        f"{', '.join(str(list(shape)) for shape in shapes)}: take it from initial_state({shapes[0][0]}) or from an "
        "earlier call with the same batch"
    )


class _Reorder(torch.autograd.Function):
    """Steps of a batch in another order; the gradient goes back by the inverse one, so no sum is scattered."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """x [B, L, D], order and inverse [B L] rows."""
        ctx.save_for_backward(order, inverse)
        return x.flatten(0, 1).index_select(0, order).view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The same with the roles exchanged."""
        order, inverse = ctx.saved_tensors
        return _Reorder.apply(grads[0], inverse, order), None, None


@dataclass(frozen=True)
class RealSteps:
    """Where the real steps of each row stand, and how to bring them to its front."""

    valid: Tensor
    """[B, L] bool"""
    lengths: Tensor
    """real steps of each row   [B] int64"""
    order: Tensor | None
    """row of the flattened batch that comes to each place; None = they stand at the front   [B L] int64"""
    inverse: Tensor | None
    """the way back   [B L] int64"""

    @classmethod
    def of(cls, valid: Tensor, reverse: bool = False) -> "RealSteps":
        """From a mask [B, L]; with `reverse` the real steps are brought to the front last one first.

        Whether they stand at the front already is looked up only where that is free of a wait.
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
        """The mask after `pack`: right padding   [B, L] bool"""
        return torch.arange(self.valid.shape[1], device=self.valid.device) < self.lengths[:, None]

    def pack(self, x: Tensor) -> Tensor:
        """Real steps at the front, zeros behind, whatever stood there   [B, L, D]."""
        x = torch.where(self.valid[..., None], x, 0)
        return _reordered(x, self.order, self.inverse)

    def unpack(self, y: Tensor) -> Tensor:
        """Every real step back at its place, zeros elsewhere   [B, L, D]."""
        return torch.where(self.valid[..., None], _reordered(y, self.inverse, self.order), 0)


def _reordered(x: Tensor, order: Tensor | None, inverse: Tensor | None) -> Tensor:
    if order is None or not transformed():
        return x if order is None else _Reorder.apply(x, order, inverse)
    return x.flatten(0, 1).index_select(0, order).view(x.shape)
