"""Devices of this machine, and the precisions in which they multiply matrices fast."""

import functools
import logging
from typing import Annotated, Literal

from pydantic import AfterValidator

from exuvia.errors import ConfigError

log = logging.getLogger(__name__)

Precision = Literal["auto", "no", "bf16", "fp16"]
"""Precision of matrix products: auto (bf16 where it is fast, else float32), no (float32), bf16 or fp16."""
FAST = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith")}
"""Capabilities of processors with native arithmetic for a type (names of torch.cpu.get_capabilities)."""
CUDA = {"bf16": (8, 0), "fp16": (7, 0)}
"""First compute capability with tensor cores for a type (CUDA C++ Programming Guide, "Arithmetic Instructions")."""


def devices() -> list[str]:
    """Devices of this machine that the installed PyTorch can use: cpu, cuda:0 ..., mps, xpu:0 ..."""
    import torch

    names = ["cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    for kind in (torch.cuda, torch.xpu):
        count = kind.device_count() if kind.is_available() else 0
        names += [f"{kind.__name__.split('.')[1]}:{n}" for n in range(count)]
    return names


def check_device(name: str) -> str:
    """Return the name (PyTorch's: cpu, cuda, cuda:1, mps). Raises ConfigError for a device that is not there."""
    if name != "cpu":  # always available; checking would load PyTorch
        here = devices()
        if name not in here and f"{name}:0" not in here and name.removesuffix(":0") not in here:
            raise ConfigError(f"found device {name!r}, expected one of this machine: {', '.join(here)}")
    return name


Device = Annotated[str, AfterValidator(check_device)]
"""A device of this machine; others are refused."""


def training_device() -> str:
    """The kind of device for trainings: cuda or mps if there is one, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def is_fast(precision: Literal["bf16", "fp16"], device: str) -> bool:
    """Whether a device computes matrix products in this type natively rather than through float32."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability() >= CUDA[precision]
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer PyTorch
    return device == "cpu" and any(capabilities.get(name) for name in FAST[precision])


def choose_precision(asked: Precision, device: str | None = None) -> Literal["no", "bf16", "fp16"]:
    """Resolve `auto` for a kind of device (None: that of trainings); warn if another precision is slow there."""
    if asked == "no":
        return asked
    device = device or training_device()
    wanted: Literal["bf16", "fp16"] = "bf16" if asked == "auto" else asked
    fast = is_fast(wanted, device)
    has = f"this {device} {'has' if fast else 'is not known to have'} native {wanted} arithmetic"
    if asked == "auto":
        _log_once(logging.INFO, f"trained in {'bf16' if fast else 'float32'} (precision auto): {has}")
        return "bf16" if fast else "no"
    if not fast:
        _log_once(logging.WARNING, f"{wanted} is likely slower than float32: {has}; use precision auto or no")
    return wanted


@functools.cache
def _log_once(level: int, sentence: str) -> None:
    """Log a sentence once per process."""
    log.log(level, sentence)
