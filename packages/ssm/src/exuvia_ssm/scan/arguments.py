"""Checks the arguments of `selective_scan` and converts them to one dtype and layout."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from exuvia_ssm.context import readable
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.scan.kernel_arguments import ScanRows


class ScanInput(NamedTuple):
    """The arguments of `selective_scan` in its order; after `checked`, of one dtype and with B and C [B, L, G, N]."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    dt_bias: Tensor | None
    initial: Tensor | None
    lengths: Tensor | None
    cu_seqlens: Tensor | None
    softplus: bool
    reverse: bool

    def rows(self) -> ScanRows:
        """Return the arguments for a kernel: batch and time flattened, with first row and length of every sequence."""
        batch, length, _ = self.x.shape
        device = self.x.device
        if self.cu_seqlens is not None:
            starts = self.cu_seqlens.to(device)
            offsets, lengths = starts[:-1], starts.diff()
        else:
            offsets = torch.arange(batch, device=device) * length
            lengths = torch.full_like(offsets, length) if self.lengths is None else self.lengths.to(device)
        x, dt, B, C = (tensor.flatten(0, 1).contiguous() for tensor in (self.x, self.dt, self.B, self.C))
        z = None if self.z is None else self.z.flatten(0, 1).contiguous()
        D, bias, initial = (None if t is None else t.contiguous() for t in (self.D, self.dt_bias, self.initial))
        bounds = (offsets.contiguous(), lengths.contiguous())
        return ScanRows(x, dt, self.A.contiguous(), B, C, D, z, bias, initial, *bounds, self.softplus, self.reverse)


def checked(call: ScanInput) -> ScanInput:
    """Return the arguments in the dtype of the computation.
    Raises ShapeError for unsuitable tensors, ConfigError for lengths and cu_seqlens together."""
    x, A, lengths, bounds = call.x, call.A, call.lengths, call.cu_seqlens
    work = check_dense((x, call.dt, A, call.B, call.C), (call.D, call.z, call.dt_bias, call.initial))
    if x.dim() != 3 or not x.is_floating_point():
        raise ShapeError(f"found x {list(x.shape)} of {x.dtype}; expected floating point [B, L, D]")
    batch, length, width = x.shape
    if A.dim() != 2 or A.shape[0] != width or A.is_complex():
        raise ShapeError(f"found A {list(A.shape)} of {A.dtype}; expected real [{width}, N]")
    states = A.shape[1]
    if lengths is not None and bounds is not None:
        raise ConfigError("found lengths and cu_seqlens; give the lengths of padded rows or the bounds of packed ones")
    count = batch
    if bounds is not None:
        bounds, count = _bounds(bounds, batch, length), bounds.numel() - 1
    if lengths is not None:
        lengths = _lengths(lengths, batch, length)
    shapes = {"dt": x.shape, "z": x.shape, "D": (width,), "dt_bias": (width,), "initial_state": (count, width, states)}
    check_shapes(shapes, (call.dt, call.z, call.D, call.dt_bias, call.initial))
    B, C = (_map(name, m, batch, length, width, states) for name, m in (("B", call.B), ("C", call.C)))
    if B.shape != C.shape:
        groups = math.lcm(B.shape[2], C.shape[2])  # both divide the width, so this does too
        B, C = (m.repeat_interleave(groups // m.shape[2], 2) for m in (B, C))
    x, dt, A, B, C = (tensor.to(work) for tensor in (x, call.dt, A, B, C))
    optional = (call.D, call.z, call.dt_bias, call.initial)
    D, z, bias, initial = (None if tensor is None else tensor.to(work) for tensor in optional)
    return ScanInput(x, dt, A, B, C, D, z, bias, initial, lengths, bounds, call.softplus, call.reverse)


def check_shapes(shapes: Mapping[str, Sequence[int]], given: Sequence[Tensor | None]) -> None:
    """Raise ShapeError unless every tensor of `given` that is not None is floating point of the named shape."""
    for (name, shape), t in zip(shapes.items(), given, strict=True):
        if t is not None and (tuple(t.shape) != tuple(shape) or not t.is_floating_point()):
            raise ShapeError(f"found {name} {list(t.shape)} of {t.dtype}; expected real {list(shape)}")


def check_dense(needed: Sequence[Tensor], others: Sequence[Tensor | None] = ()) -> torch.dtype:
    """Return the dtype of the computation: float64 if any tensor is float64, else float32.

    Raises ShapeError unless all of `needed`, and all of `others` that are not None, are dense tensors on one device.
    """
    given = [*needed, *(t for t in others if t is not None)]
    for t in given:
        if not isinstance(t, Tensor):
            raise ShapeError(f"found a {type(t).__name__}; expected a tensor: torch.as_tensor makes one")
        if t.is_nested or t.layout != torch.strided or t.device != needed[0].device:
            kind = "nested" if t.is_nested else str(t.layout)
            raise ShapeError(f"found {kind} on {t.device}; expected dense tensors, all on {needed[0].device} like x")
    return torch.float64 if any(t.dtype == torch.float64 for t in given) else torch.float32


def _map(name: str, given: Tensor, batch: int, length: int, width: int, states: int) -> Tensor:
    """Return B or C as [B, L, G, N]."""
    shape = tuple(given.shape)
    if given.is_floating_point():
        if shape == (batch, length, states):
            return given[:, :, None]
        if len(shape) == 4 and shape[:2] == (batch, length) and shape[3] == states and shape[2] > 0:
            if width % shape[2] == 0:
                return given
        elif shape == (width, states):
            return given.expand(batch, length, width, states)
    raise ShapeError(
        f"found {name} {list(shape)} of {given.dtype}; expected real [{batch}, {length}, {states}], "
        f"[{batch}, {length}, groups that divide {width}, {states}] or [{width}, {states}]"
    )


def _lengths(lengths: Tensor, batch: int, length: int) -> Tensor:
    if tuple(lengths.shape) != (batch,) or lengths.is_floating_point() or lengths.is_complex():
        raise ShapeError(f"found lengths {list(lengths.shape)} of {lengths.dtype}; expected whole numbers [{batch}]")
    seen, lengths = readable(lengths), lengths.long()
    if seen and batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= length:
        raise ShapeError(f"found lengths from {int(lengths.min())} to {int(lengths.max())}; expected 0 to {length}")
    return lengths if seen else lengths.clamp(0, length)  # unread, to not wait for the device; clamped to stay inside


def _bounds(starts: Tensor, batch: int, length: int) -> Tensor:
    odd = starts.is_floating_point() or starts.is_complex() or starts.dtype == torch.bool
    if batch != 1 or starts.dim() != 1 or not starts.numel() or odd:
        raise ShapeError(
            f"found cu_seqlens {list(starts.shape)} of {starts.dtype} with a batch of {batch}; expected whole numbers "
            "[sequences + 1] and a batch of 1"
        )
    seen, starts = readable(starts), starts.long()
    if seen:
        if int(starts[0]) != 0 or int(starts[-1]) != length or bool((starts.diff() < 0).any()):
            raise ShapeError(f"found cu_seqlens {starts.tolist()}; expected to rise from 0 to the length {length}")
        return starts
    return starts.clamp(0, length).cummax(0).values
