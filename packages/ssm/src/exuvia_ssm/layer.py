"""The interface that all state-space layers share: calling convention, checks, and masked steps.

A layer is built as `Layer(d_model, ...)` with the fields of its frozen configuration `.config`. Right padding is cheap,
because a recurrence can stop early. `RealSteps` converts any other mask to right padding by moving the real
steps of every row to its front, and moves the outputs back afterwards; so layers only handle right padding.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from exuvia_ssm.context import readable, transformed
from exuvia_ssm.errors import ConfigError, ShapeError


@runtime_checkable
class SequenceLayer(Protocol):
    """The interface of every layer."""

    config: Any
    """frozen dataclass of its settings; `config.d_model` is D"""

    def forward(
        self, x: Tensor, valid: Tensor | None = None, state: Any = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Any]:
        """x [B, L, D] -> y [B, L, D], or (y, state).

        Args:
            x: input                                                                   [B, L, D]
            valid: True where a step is real, in any pattern; other steps are skipped  [B, L] bool
            state: the state before the first step; None is zero
            return_state: also return the state after the last real step of every row
        Returns:
            y, 0 where not valid; with the state if requested
        """
        ...

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Process one step, x_t [B, D] -> (y_t [B, D], state), equal to the same step of `forward`.

        Raises ConfigError if the layer is not causal and therefore cannot stream.
        """
        ...

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Any:
        """Return the state before the first step: a tuple of tensors whose first axis is the batch."""
        ...


class Layer(nn.Module):
    """A module that shows its options and can be given new initial values."""

    config: Any = None

    def reset_parameters(self) -> None:
        """Draw new initial values of all parameters, those of all parts included."""
        parts = list(self.children())
        for part in parts:
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
            else:
                parts += part.children()
        self._initialise()

    def _initialise(self) -> None:
        """Set the initial values that PyTorch's modules would not have."""

    def extra_repr(self) -> str:
        """Return what print(module) shows: the options that differ from their defaults."""
        options = [(f, getattr(self.config, f.name)) for f in fields(self.config)] if self.config else []
        return ", ".join(f"{f.name}={value!r}" for f, value in options if value not in (f.default, {}))


def configurable(kind: Any, positional: str = "") -> Callable[[Callable[[Any, Any], None]], Callable[..., None]]:
    """Turn `__init__(self, config)` into `__init__(self, d_model, ..., device=None, dtype=None)`.

    The options are the fields of `kind`; those in `positional` may be given by position. Parameters are created on
    `device` and converted to `dtype`. An unknown or unsuitable option raises ConfigError.
    """
    order = ["d_model", *positional.split(), *(f.name for f in fields(kind))]
    own = {field.name: field for field in fields(kind)}
    parameters = {"self": Parameter("self", Parameter.POSITIONAL_ONLY)}
    for number, name in enumerate(dict.fromkeys(order)):
        place = Parameter.KEYWORD_ONLY if number > len(positional.split()) else Parameter.POSITIONAL_OR_KEYWORD
        default = own[name].default if own[name].default_factory is MISSING else {}
        default = Parameter.empty if default is MISSING else default
        parameters[name] = Parameter(name, place, default=default, annotation=own[name].type)
    for name, annotation in (("device", torch.device | str | None), ("dtype", torch.dtype | None)):
        parameters[name] = Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    signature = Signature([*parameters.values()])

    def decorate(build: Callable[[Any, Any], None]) -> Callable[..., None]:
        @wraps(build)
        def built(self: Any, *args: Any, device: Any = None, dtype: torch.dtype | None = None, **options: Any) -> None:
            try:
                _, *given = signature.bind(self, *args, **options).arguments.items()
            except TypeError as error:
                raise ConfigError(f"{type(self).__name__}: {error}; options: {', '.join(own)}") from None
            with nullcontext() if device is None else torch.device(device):
                build(self, kind(**dict(given)))
            self.to(dtype=dtype)

        cast(Any, built).__signature__ = signature
        return built

    return decorate


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
