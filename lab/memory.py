"""Measures the peak memory of a call in addition to the memory in use before it."""

import ctypes
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_SELF = Path("/proc/self")
_M_MMAP_THRESHOLD = -3
"""mallopt(3): size from which an allocation gets separate pages, which are returned when it is freed."""


def peak_extra_bytes(call: Callable[[], Any], device: str = "cpu") -> int | None:
    """Return the increase of the resident size during a call, in bytes; None if it cannot be measured.

    On CPU it reads the operating system's counters (VmRSS, and VmHWM after a reset), so all allocations count. Use a
    process that has done little else: memory that was freed but kept for reuse would hide a part of the peak. The
    result of the call is held until the peak is read.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        (_SELF / "clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM to the present size
        before = _kilobytes("VmRSS")
        call()
        return 1024 * max(0, _kilobytes("VmHWM") - before)
    except OSError:
        return None


def kept_bytes(call: Callable[[], Any], model: torch.nn.Module) -> int:
    """Return the bytes of all tensors that a call saves for its backward pass, without parameters of the model.

    The number does not depend on machine or process: tensors are counted when autograd saves them, and those that share
    a storage count once.
    """
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen: dict[int, torch.UntypedStorage] = {}  # held until the end, so that no address is reused

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(storage.nbytes() for storage in seen.values())


def give_freed_pages_back() -> None:
    """Make glibc return the memory of tensors of 64 KiB and more when they are freed; no effect elsewhere."""
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 64 << 10)
    except (OSError, AttributeError, TypeError):
        pass


def _kilobytes(name: str) -> int:
    for line in (_SELF / "status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"no {name} in /proc/self/status")


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in megabytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6
