"""The roofline of a selective scan: the bytes and exponentials it needs, and the shortest time this machine allows."""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from exuvia.errors import ConfigError
from exuvia_ssm.cpu import native

Pass = Literal["forward", "fwd_bwd"]
PASSES: tuple[Pass, ...] = ("forward", "fwd_bwd")
CHECKPOINT_EVERY = 32
"""Steps between two states that a backward pass without [B, L, D, N] tensors has to store."""
_FLOAT = 4


class Size(NamedTuple):
    """Size of a scan: batch, steps, channels, states per channel."""

    B: int
    L: int
    D: int
    N: int

    def __str__(self) -> str:
        return "x".join(str(n) for n in self)

    @classmethod
    def parse(cls, text: str) -> "Size":
        """ "8x2048x128x16" -> Size(8, 2048, 128, 16). Raises ConfigError."""
        parts = text.split("x")
        if len(parts) != len(cls._fields) or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
            raise ConfigError(f"found the size {text!r}, expected batch x steps x channels x states: 8x2048x128x16")
        return cls(*map(int, parts))


@dataclass(frozen=True)
class Rates:
    """Peak rates of the machine."""

    bytes_per_s: float
    """bandwidth of a triad a = b + 3 c, two reads and a write"""
    exps_per_s: float
    """float32 exponentials in registers or first-level cache"""
    source: str
    """how they were measured"""


def minimal_bytes(size: Size, which: Pass) -> int:
    """Return the bytes moved if every tensor is read or written once, in float32.

    Forward: x, dt, y [B, L, D] and B, C [B, L, N]. Forward and backward: these, the stored states written and read
    (a state every 32 steps), and x, dt, B, C, dy read again, dx, ddt, dB, dC written.
    """
    wide, narrow = size.B * size.L * size.D, size.B * size.L * size.N
    if which == "forward":
        return _FLOAT * (3 * wide + 2 * narrow)
    states = -(-size.L // CHECKPOINT_EVERY) * size.B * size.D * size.N
    return _FLOAT * (8 * wide + 6 * narrow + 2 * states)


def exponentials(size: Size, which: Pass) -> int:
    """Return the number of exp(dt A): one per step, channel and state; the backward pass recomputes them."""
    return size.B * size.L * size.D * size.N * (1 if which == "forward" else 2)


def input_bytes(size: Size) -> int:
    """Return the bytes of x, dt [B, L, D], B, C [B, L, N], A [D, N], D and bias [D], in float32."""
    wide, narrow = size.B * size.L * size.D, size.B * size.L * size.N
    return _FLOAT * (2 * wide + 2 * narrow + size.D * size.N + 2 * size.D)


def roofline_ms(size: Size, which: Pass, rates: Rates) -> float:
    """Return the shortest possible time in ms: the longer of moving the bytes and computing the exponentials."""
    moving = minimal_bytes(size, which) / rates.bytes_per_s
    return 1e3 * max(moving, exponentials(size, which) / rates.exps_per_s)


def faster(first: Rates, second: Rates) -> Rates:
    """Return the better of two measurements, rate by rate."""
    return Rates(max(first.bytes_per_s, second.bytes_per_s), max(first.exps_per_s, second.exps_per_s), first.source)


def measure_rates(threads: int, device: str = "cpu") -> Rates:
    """Measure bandwidth and exponentials, with the CPU kernel's own loops if it is built, else with torch."""
    if device == "cpu" and native.unavailable_reason() is None:
        return compiled_rates(threads)
    return torch_rates(threads, device)


def compiled_rates(threads: int) -> Rates:
    """Measure with the CPU kernel's own loops: a triad over arrays of 64 MB, and the kernel's exponential in registers.

    Each thread's CPU time is measured, and the best burst counts, so that other load has little effect.
    """
    triad_gb_s, exps_per_s = ctypes.c_double(), ctypes.c_double()
    rates = ctypes.byref(triad_gb_s), ctypes.byref(exps_per_s)
    if native.load().exuvia_scan_roofline(ctypes.c_int64(threads), *rates):
        raise native.NativeError("the measurement ran out of memory")
    return Rates(1e9 * triad_gb_s.value, exps_per_s.value, "compiled loops")


def torch_rates(threads: int, device: str = "cpu", megabytes: int = 64) -> Rates:
    """Measure with torch.add and torch.exp, whose exponentials are slower than a kernel's, so the time is longer."""
    torch.set_num_threads(threads)
    count = (megabytes << 20) // _FLOAT
    b, c = torch.rand(count, device=device), torch.rand(count, device=device)
    a = torch.empty_like(b)
    triad = _best_seconds(lambda: torch.add(b, c, alpha=3.0, out=a), device)
    few = count if device.startswith("cuda") else min(count, threads * 4096)
    small, out = b[:few].neg(), a[:few]
    repeats = max(1, min(256, count // few))

    def exps() -> None:
        for _ in range(repeats):
            torch.exp(small, out=out)

    return Rates(3 * _FLOAT * count / triad, few * repeats / _best_seconds(exps, device), "torch.add, torch.exp")


def _best_seconds(call: Callable[[], object], device: str, runs: int = 15) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
