"""`selective_scan`: the recurrence of S6 and Mamba over whole sequences, by the fastest means the machine has.

    dt <- softplus(dt + dt_bias)                                        where asked for
    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t                            Sec. 3.2 [gu2023mamba]
    y_t = C_t . h_t + D x_t,    times SiLU(z_t) where there is a gate

Means: "cpu", a C++ kernel built at first use; "triton" on CUDA; "chunked", plain PyTorch anywhere; "reference", the
loop that spells the equations and has second derivatives. All give the same values and gradients.
"""

import functools
import logging
import math
import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia_ssm.chunked import scan_chunked
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.fused import KERNEL, fused_scan, unavailable_reason
from exuvia_ssm.names import suggest
from exuvia_ssm.reference import scan_reference
from exuvia_ssm.rows import ScanRows

log = logging.getLogger(__name__)

BACKEND_VARIABLE = "EXUVIA_SCAN_BACKEND"
"""Environment variable that names the backend where a call leaves it open."""

PLAIN = {"reference": scan_reference, "chunked": scan_chunked}
"""Backends that run anywhere."""


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    *,
    dt_softplus: bool = False,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_state: bool = False,
    backend: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run the selective recurrence.

    Args:
        x: input                                                                     [B, L, D]
        dt: step sizes, before bias and softplus                                     [B, L, D]
        A: decay rates, real, negative                                               [D, N]
        B, C: input and output maps: one, or one a group of channels, or constant    [B, L, N], [B, L, G, N] or [D, N]
        D: skip                                                                      [D]
        z: gate, before SiLU                                                         [B, L, D]
        dt_bias: added to dt                                                         [D]
        dt_softplus: step sizes are softplus(dt + dt_bias)
        initial_state: state before the first step; None is zero                     [B, D, N], packed [S, D, N]
        lengths: real steps of each row, padding to the right                        [B] whole numbers
        cu_seqlens: where packed sequences begin, and the end; B must be 1           [S + 1] whole numbers
        reverse: run every sequence from its last real step to its first
        return_state: also the final state, differentiable
        backend: None (the fastest that fits), or "cpu", "triton", "chunked", "reference"
    Returns:
        y [B, L, D] in x's dtype, 0 past a row's length; with return_state also the state [B or S, D, N], float32, or
        float64 if an input is
    Raises:
        ShapeError: shapes, dtypes or devices that do not fit, lengths out of range (on a device, and under
            torch.compile, where they are not looked at, they are clamped).
        ConfigError: an unknown or unavailable backend, or arguments that exclude one another.

    Half precision is computed in float32. What is not finite spreads to later steps of its sequence and channel.
    """
    tensors = _checked(x, dt, A, B, C, D, z, dt_bias, initial_state, lengths, cu_seqlens)
    call = _Call(**tensors, constant=B.dim() == 2 or C.dim() == 2, softplus=dt_softplus, reverse=reverse)
    chosen = _chosen(call, backend)
    with torch.autocast(x.device.type, enabled=False):
        if x.numel() == 0 or A.numel() == 0:
            chosen = "reference"  # nothing to run: any shape is right there
        y, state = _fused(call, chosen) if chosen in KERNEL else _plain(call, chosen)
    y = y.to(x.dtype)
    return (y, state) if return_state else y


@dataclass(frozen=True)
class _Call:
    """Checked arguments, in the dtype of the computation; B and C [B, L, G, N], or None of it if constant."""

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
    starts: Tensor | None
    """cu_seqlens as int64"""
    constant: bool
    """B or C was given per channel and holds for all steps"""
    softplus: bool
    reverse: bool


def _checked(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial: Tensor | None,
    lengths: Tensor | None,
    starts: Tensor | None,
) -> dict[str, Any]:
    """The tensors of a `_Call`."""
    if x.dim() != 3 or not x.is_floating_point():
        raise ShapeError(f"found x {list(x.shape)} of {x.dtype}; expected floating point [B, L, D]")
    batch, length, width = x.shape
    if A.dim() != 2 or A.shape[0] != width or A.is_complex():
        raise ShapeError(f"found A {list(A.shape)} of {A.dtype}; expected real [{width}, N]")
    states = A.shape[1]
    if lengths is not None and starts is not None:
        raise ConfigError("found lengths and cu_seqlens; give the lengths of padded rows or the bounds of packed ones")
    count = batch
    if starts is not None:
        starts, count = _bounds(starts, batch, length), starts.numel() - 1
    if lengths is not None:
        lengths = _lengths(lengths, batch, length)
    for name, tensor, shape in (
        ("dt", dt, (batch, length, width)),
        ("z", z, (batch, length, width)),
        ("D", D, (width,)),
        ("dt_bias", dt_bias, (width,)),
        ("initial_state", initial, (count, width, states)),
    ):
        if tensor is not None and (tuple(tensor.shape) != shape or not tensor.is_floating_point()):
            raise ShapeError(f"found {name} {list(tensor.shape)} of {tensor.dtype}; expected real {list(shape)}")
    maps = [_map(name, m, batch, length, width, states) for name, m in (("B", B), ("C", C))]
    if maps[0].shape != maps[1].shape:
        groups = math.lcm(maps[0].shape[2], maps[1].shape[2])  # of divisors of the width: divides it too
        maps = [m.repeat_interleave(groups // m.shape[2], 2) for m in maps]
    found = {
        "x": x,
        "dt": dt,
        "A": A,
        "B": maps[0],
        "C": maps[1],
        "D": D,
        "z": z,
        "dt_bias": dt_bias,
        "initial": initial,
    }
    given = [tensor for tensor in found.values() if tensor is not None]
    if any(tensor.device != x.device for tensor in given):
        raise ShapeError(f"found tensors on several devices; expected all on {x.device}, like x")
    work = torch.float64 if any(tensor.dtype == torch.float64 for tensor in given) else torch.float32
    cast = {name: None if tensor is None else tensor.to(work) for name, tensor in found.items()}
    return {**cast, "lengths": lengths, "starts": starts}


def _map(name: str, given: Tensor, batch: int, length: int, width: int, states: int) -> Tensor:
    """B or C as [B, L, G, N]."""
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
    readable = lengths.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= length:
        raise ShapeError(f"found lengths from {int(lengths.min())} to {int(lengths.max())}; expected 0 to {length}")
    return lengths.long() if readable else lengths.long().clamp(0, length)  # no waiting for a device, no foreign memory


def _bounds(starts: Tensor, batch: int, length: int) -> Tensor:
    if batch != 1 or starts.dim() != 1 or not starts.numel() or starts.is_floating_point():
        raise ShapeError(
            f"found cu_seqlens {list(starts.shape)} of {starts.dtype} with a batch of {batch}; expected whole numbers "
            "[sequences + 1] and a batch of 1"
        )
    if starts.device.type == "cpu" and not torch.compiler.is_compiling():
        whole = int(starts[0]) == 0 and int(starts[-1]) == length and bool((starts.diff() >= 0).all())
        if not whole:
            raise ShapeError(f"found cu_seqlens {starts.tolist()}; expected to rise from 0 to the length {length}")
        return starts.long()
    return starts.long().clamp(0, length).cummax(0).values


@functools.cache
def _say_once(message: str) -> None:
    log.info(message)


def _chosen(call: _Call, wanted: str | None) -> str:
    """Name of the backend that runs the call."""
    device = call.x.device.type
    wanted = wanted or os.environ.get(BACKEND_VARIABLE) or None
    single = call.x.dtype == torch.float32 and not call.constant
    if wanted is None:
        name = {"cpu": "cpu", "cuda": "triton"}.get(device)
        if name is None or not single:
            return "chunked"
        reason = unavailable_reason(name)
        if reason:
            _say_once(f"selective scan in plain PyTorch: {reason}")
        return "chunked" if reason else name
    if wanted in PLAIN:
        return wanted
    if wanted not in KERNEL:
        raise ConfigError(f"unknown scan backend {wanted!r}; {suggest(wanted, (*PLAIN, *KERNEL))}")
    if not single:
        return "chunked"  # float64, and constant B or C, are for checks
    if reason := unavailable_reason(wanted):
        raise ConfigError(f"scan backend {wanted!r} is not available: {reason}")
    if wanted == "cpu" and device != "cpu":
        raise ConfigError(
            f"scan backend 'cpu' was given tensors on {call.x.device}; move them, or leave the choice open"
        )
    return wanted


def _fused(call: _Call, name: str) -> tuple[Tensor, Tensor]:
    """By a kernel over rows."""
    batch, length, width = call.x.shape
    device = call.x.device
    if call.starts is not None:
        offsets, lengths = call.starts[:-1], call.starts.diff()
    else:
        offsets = torch.arange(batch, device=device) * length
        lengths = torch.full_like(offsets, length) if call.lengths is None else call.lengths.to(device)
    x, dt, B, C = (tensor.flatten(0, 1).contiguous() for tensor in (call.x, call.dt, call.B, call.C))
    z = None if call.z is None else call.z.flatten(0, 1).contiguous()
    D, bias, initial = (None if t is None else t.contiguous() for t in (call.D, call.dt_bias, call.initial))
    bounds = (offsets.contiguous(), lengths.contiguous())
    rows = ScanRows(x, dt, call.A.contiguous(), B, C, D, z, bias, initial, *bounds, call.softplus, call.reverse)
    y, state = fused_scan(rows, name)
    return y.view(batch, length, width), state


def _plain(call: _Call, name: str) -> tuple[Tensor, Tensor]:
    """By plain PyTorch: packed rows are padded, backward runs turned round, skip and gate added."""
    given_x, dt, z = call.x, call.dt, call.z
    if call.lengths is not None:  # before all else: what is not finite there would reach shared gradients as 0 x NaN
        ours = (torch.arange(given_x.shape[1], device=dt.device) < call.lengths.to(dt.device)[:, None])[..., None]
        given_x, dt = torch.where(ours, given_x, 0), torch.where(ours, dt, 0)
        z = None if z is None else torch.where(ours, z, 0)
    dt = dt if call.dt_bias is None else dt + call.dt_bias
    dt = F.softplus(dt) if call.softplus else dt
    places, real = _places(call)
    core = [given_x, dt, call.B, call.C]
    if places is not None:
        core = [t.flatten(0, 1)[places] for t in core]
    x, dt, B, C = core
    if real is not None:  # a step that is not real has no size and holds nothing
        x, dt = (torch.where(real[..., None], t, 0) for t in (x, dt))
        B, C = (torch.where(real[..., None, None], t, 0) for t in (B, C))
    y, state = PLAIN[name](x, dt, call.A, B, C, call.initial)
    if places is not None:
        back = call.x.new_zeros(call.x.shape[0] * call.x.shape[1], call.x.shape[2])
        kept = slice(None) if real is None else real
        y = back.index_put((places[kept],), y[kept]).view(call.x.shape)
    if call.D is not None:
        y = y + call.D * given_x
    if z is not None:
        y = y * F.silu(z)
    if call.lengths is not None:
        y = torch.where(ours, y, 0)
    return y, state


def _places(call: _Call) -> tuple[Tensor | None, Tensor | None]:
    """For each step of each sequence in the order it is run: its row, and whether it is real; None: as they stand."""
    batch, length, _ = call.x.shape
    device = call.x.device
    if call.starts is not None:
        first, lengths = call.starts[:-1].to(device), call.starts.diff().to(device)
        longest = int(lengths.max()) if lengths.numel() else 0
    else:
        first, longest = torch.arange(batch, device=device) * length, length
        if call.lengths is None and not call.reverse:
            return None, None
        lengths = torch.full_like(first, length) if call.lengths is None else call.lengths.to(device)
    step = torch.arange(longest, device=device)
    real = step < lengths[:, None]
    if call.starts is None and not call.reverse:
        return None, real
    at = lengths[:, None] - 1 - step if call.reverse else step.expand_as(real)
    return (first[:, None] + at).masked_fill(~real, 0), real
