"""The selective scan on a GPU through Triton: launches the kernels of this folder.

The kernels read float32, bfloat16 and float16 and compute in float32; results are bitwise reproducible. Nothing waits
for the device. Triton is imported when its availability is first checked; with TRITON_INTERPRET=1 in the environment
the kernels run on the CPU, step by step, for tests.
"""

import functools
import importlib
import math
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.gpu.partition import STEPS, Plan, plan
from exuvia_ssm.scan.kernel_arguments import TENSORS, ScanGradients, ScanRows

OLDEST = (3, 3)
"""Oldest version of Triton (that of PyTorch 2.7) for which the kernels are known to compile."""

FORWARD_REGISTERS = 160
"""Registers per thread of the forward kernel: 12 warps on a Hopper multiprocessor, no spills in the inner loop."""

CELLS = 128
"""States per program of the kernel that joins segments."""


def interpreted() -> bool:
    """Return whether Triton interprets its kernels on the CPU (TRITON_INTERPRET=1)."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes")


@functools.cache
def unavailable_reason() -> str | None:
    """Return why the scan cannot run on a GPU here, which needs Triton and a CUDA device (or the interpreter), as a
    sentence; None if it can."""
    if not interpreted() and not torch.cuda.is_available():
        return "PyTorch sees no CUDA device"
    try:
        version = str(importlib.import_module("triton").__version__)
    except ImportError:
        return "Triton is not installed; pip install triton"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return f"found Triton {version}; expected {OLDEST[0]}.{OLDEST[1]} or newer: pip install -U triton"
    return None


def steps_between_states() -> int:
    """Return the steps after which `forward` stores a state for `backward`: R // this + S states [D, N] in total."""
    return STEPS


def forward(rows: ScanRows, save: bool, segment: int | None = None) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return y [R, D] in x's dtype (0 in rows of no sequence), final states [S, D, N], and states for `backward`.

    `segment` sets the steps of a segment; None: chosen for the device. Raises ConfigError without Triton or a GPU, or
    for tensors on another device.
    """
    _require(rows)
    x, (channels, size) = rows.x, rows.A.shape
    count = rows.lengths.numel()
    final = torch.zeros(count, *rows.A.shape, device=x.device) if rows.initial is None else rows.initial.float()
    if not _anything(rows):
        return torch.zeros_like(x), final.clone(), ()
    final, y = torch.empty_like(final), torch.empty_like(x)
    call = _Launches(rows, segment)
    chosen = call.plan
    kept = call.empty(call.slots if save else chosen.segments, channels, size)
    with call.device():
        maps, entering = call.pack(), rows.initial
        if call.split:
            ends, sums = call.empty(chosen.segments, size, channels), call.empty(chosen.segments, channels)
            call.forward(maps, entering=None, kept=ends, y=ends, final=ends, sums=sums, KEEP=False, ENDS=True)
            call.join(ends, sums, rows.initial, ADJOINT=False)
            entering = ends
        call.forward(maps, entering=entering, kept=kept, y=y, final=final, sums=None, KEEP=save, ENDS=False)
    return y, final, (kept,) if save else ()


def backward(
    rows: ScanRows, saved: tuple[Tensor, ...], grad_y: Tensor, grad_final: Tensor | None, segment: int | None = None
) -> ScanGradients:
    """Return gradients of every tensor of `rows`, in its dtype, bitwise reproducible. Raises as `forward`."""
    _require(rows)
    (channels, size), x = rows.A.shape, rows.x
    if not _anything(rows):
        return _nothing(rows, grad_final)
    call = _Launches(rows, segment)
    chosen = call.plan
    apart = call.slots * rows.B.shape[1] * size * STEPS
    parts_b, parts_c = (call.empty(call.per_group, apart) for _ in range(2))
    rates = torch.zeros(chosen.lanes, size, channels, device=x.device)
    skips, biases = (None if t is None else call.empty(chosen.lanes, channels) for t in (rows.D, rows.dt_bias))
    grad_x, grad_dt = torch.empty_like(x), torch.empty_like(rows.dt)
    grad_z = None if rows.z is None else torch.empty_like(rows.z)
    initial = None if rows.initial is None else torch.empty_like(rows.initial)
    grad_b, grad_c = torch.zeros_like(rows.B), torch.zeros_like(rows.C)
    with call.device():
        maps, entering = call.pack(), grad_final
        if call.split:
            ends, sums = call.empty(chosen.segments, size, channels), call.empty(chosen.segments, channels)
            call.adjoint_ends(maps[1], grad_y, ends, sums)
            call.join(ends, sums, grad_final, ADJOINT=True)
            entering = ends
        given: dict[str, Any] = {"grad_y": grad_y, "entering": entering, "kept": saved[0], "apart": apart}
        given |= {"grad_x": grad_x, "grad_dt": grad_dt, "grad_z": grad_z, "grad_initial": initial}
        given |= {"grad_rates": rates, "parts_b": parts_b, "parts_c": parts_c, "grad_skip": skips, "grad_bias": biases}
        call.backward(maps, **given)
        call.unpack(parts_b, parts_c, grad_b, grad_c, apart)
    grad_a = rates.sum(0).t().contiguous().to(rows.A.dtype)
    grad_skip = None if rows.D is None or skips is None else skips.sum(0).to(rows.D.dtype)
    grad_bias = None if rows.dt_bias is None or biases is None else biases.sum(0).to(rows.dt_bias.dtype)
    return ScanGradients(grad_x, grad_dt, grad_a, grad_b, grad_c, grad_skip, grad_z, grad_bias, initial)


class _Launches:
    """Launches the kernels of one call with their common arguments."""

    def __init__(self, rows: ScanRows, segment: int | None) -> None:
        steps, channels = rows.x.shape
        count, groups = rows.lengths.numel(), rows.B.shape[1]
        self.rows = rows
        self.plan: Plan = plan(steps, count, channels, groups, _processors(rows.x.device), segment)
        self.split = self.plan.segment <= steps
        self.slots = steps // STEPS + count
        self.per_group = self.plan.per_group(channels, groups)
        self.blocks = groups * self.per_group
        self.rates = (rows.A.float() * math.log2(math.e)).t().contiguous()
        self.bounds = {"offsets": rows.offsets, "lengths": rows.lengths}
        self.way = {"sequences": count, "REVERSE": rows.reverse, "STEPS": STEPS}
        self.sizes: dict[str, Any] = {"width": channels, "size": rows.A.shape[1], "segment": self.plan.segment}
        self.sizes |= {"groups": groups, "per_group": self.per_group, "WIDTH": self.plan.width} | self.bounds | self.way
        self.sizes |= {"rates": self.rates, "dt": rows.dt, "z": rows.z, "bias": rows.dt_bias, "SOFTPLUS": rows.softplus}
        self.scan = {**self.sizes, "x": rows.x, "skip": rows.D, "rows": steps, "SPLIT": self.split}
        by_channel, by_state = (1, channels) if self.split else (rows.A.shape[1], 1)  # of what enters a segment
        self.scan |= {"by_part": self.rates.numel(), "by_channel": by_channel, "by_state": by_state}

    def device(self) -> AbstractContextManager[Any]:
        x = self.rows.x
        return torch.cuda.device(x.device) if x.is_cuda else nullcontext()

    def empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, device=self.rows.x.device, dtype=torch.float32)

    def pack(self) -> tuple[Tensor, Tensor]:
        """Return B and C in chunks, [slots, G, N, STEPS]."""
        _, groups, size = self.rows.B.shape
        packed = (self.empty(self.slots, groups, size, STEPS), self.empty(self.slots, groups, size, STEPS))
        sizes = {"cells": groups * size, "CELLS": 16, **self.bounds, **self.way}
        grid = (self.slots, math.ceil(groups * size / 16))
        _launch("pack_bc", "pack_maps", grid, self.rows.B, self.rows.C, *packed, **sizes)
        return packed

    def unpack(self, parts_b: Tensor, parts_c: Tensor, grad_b: Tensor, grad_c: Tensor, apart: int) -> None:
        """Sum the parts of the gradients of B and C in order, and write them to rows."""
        cells = grad_b.shape[1] * grad_b.shape[2]
        sizes = {"cells": cells, "CELLS": 16, "parts": self.per_group, "apart": apart, **self.bounds, **self.way}
        grid = (self.slots, math.ceil(cells / 16))
        _launch("pack_bc", "unpack_gradients", grid, parts_b, parts_c, grad_b, grad_c, **sizes)

    def forward(self, maps: tuple[Tensor, Tensor], **others: Tensor | bool | None) -> None:
        limit = {"maxnreg": FORWARD_REGISTERS} if torch.version.hip is None else {}
        grid = (self.plan.segments * self.blocks,)
        _launch("forward", "scan_forward", grid, maps_b=maps[0], maps_c=maps[1], **others, **self.scan, **limit)

    def join(self, ends: Tensor, sums: Tensor, entering: Tensor | None, ADJOINT: bool) -> None:
        """Replace `ends` by the states that enter each segment."""
        names = ("rates", "width", "size", "segment")
        shared = {name: self.sizes[name] for name in names} | self.bounds
        grid = (self.rows.lengths.numel(), math.ceil(self.rates.numel() / CELLS))
        tensors = {"ends": ends, "sums": sums, "entering": entering}
        _launch("join_segments", "join_segments", grid, **tensors, **shared, ADJOINT=ADJOINT, CELLS=CELLS, num_warps=4)

    def adjoint_ends(self, maps_c: Tensor, grad_y: Tensor, ends: Tensor, sums: Tensor) -> None:
        tensors = {"maps_c": maps_c, "grad_y": grad_y, "ends": ends, "sums": sums}
        _launch("backward", "adjoint_ends", (self.plan.segments * self.blocks,), **tensors, **self.sizes)

    def backward(self, maps: tuple[Tensor, Tensor], **others: Any) -> None:
        lanes, segments = self.plan.lanes, self.plan.segments
        others |= {"maps_b": maps[0], "maps_c": maps[1], "passing": self.empty(lanes, *self.rates.shape)}
        grid = (lanes * self.blocks,)
        _launch("backward", "scan_backward", grid, segments=segments, lanes=lanes, **others, **self.scan)


def _launch(module: str, name: str, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Run a kernel, by default with one warp per program and with fused multiply-adds."""
    kernel = getattr(importlib.import_module(f"exuvia_ssm.gpu.{module}"), name)
    kernel[grid](*arguments, **{"num_warps": 1, "enable_fp_fusion": True, **options})


@functools.cache
def _processors(device: torch.device) -> int:
    """Return the number of multiprocessors; 0 for the interpreter, so that no sequence is split."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 0


def _require(rows: ScanRows) -> None:
    if reason := unavailable_reason():
        raise ConfigError(f"the Triton scan is not available: {reason}")
    if not rows.x.is_cuda and not interpreted():
        raise ConfigError(f"found tensors on {rows.x.device}; expected a CUDA device; move them, or use backend=None")


def _anything(rows: ScanRows) -> bool:
    return rows.x.numel() > 0 and rows.A.numel() > 0 and rows.lengths.numel() > 0


def _nothing(rows: ScanRows, grad_final: Tensor | None) -> ScanGradients:
    """Return zero gradients for a batch without steps."""
    grads = ScanGradients(*(None if t is None else torch.zeros_like(t) for t in rows[:TENSORS]))  # type: ignore[arg-type]
    if rows.initial is not None and grad_final is not None:
        grads = grads._replace(initial=grad_final.to(rows.initial.dtype))
    return grads
