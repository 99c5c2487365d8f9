"""Devices that models run on: which this machine has, and in which precision they multiply matrices fast."""

import functools
import logging
from typing import Annotated, Literal

from pydantic import AfterValidator

from exuvia.errors import ConfigError

log = logging.getLogger(__name__)

Precision = Literal["auto", "no", "bf16", "fp16"]
"""Of matrix products: auto (bf16 where it is fast, else float32), no (float32), bf16, fp16."""
FAST = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith")}
"""What a processor with arithmetic of its own for a type names among its capabilities (torch.cpu.get_capabilities)."""
CUDA = {"bf16": (8, 0), "fp16": (7, 0)}
"""First compute capability with tensor cores for a type (CUDA C++ Programming Guide, "Arithmetic Instructions")."""


def devices() -> list[str]:
    """Devices of this machine that PyTorch, as installed, can use: cpu, cuda:0 ..., mps, xpu:0 ..."""
    import torch

    found = ["cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    for kind in (torch.cuda, torch.xpu):
        count = kind.device_count() if kind.is_available() else 0
        found += [f"{kind.__name__.split('.')[1]}:{n}" for n in range(count)]
    return found


def check_device(name: str) -> str:
    """The name, as PyTorch names devices: cpu, cuda (the first), cuda:1, mps. Raises ConfigError unless it is here."""
    if name != "cpu":  # always here, and PyTorch need not be loaded to know
        here = devices()
        if name not in here and f"{name}:0" not in here and name.removesuffix(":0") not in here:
            raise ConfigError(f"found device {name!r}, expected one that is here; this machine has: {', '.join(here)}")
    return name


Device = Annotated[str, AfterValidator(check_device)]
"""A setting that is refused where the device is not there."""


def training_device() -> str:
    """The kind of device that trainings run on: cuda or mps where there is one, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def is_fast(precision: Literal["bf16", "fp16"], device: str) -> bool:
    """Whether a device computes matrix products in this type by itself rather than by way of float32."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability() >= CUDA[precision]
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer PyTorch
    return device == "cpu" and any(capabilities.get(name) for name in FAST[precision])


def choose_precision(asked: Precision, device: str | None = None) -> Literal["no", "bf16", "fp16"]:
    """What `auto` stands for on a kind of device; other precisions stay, with a warning where they are slow there.

    Args:
        device: None: that of trainings
    """
    if asked == "no":
        return asked
    device = device or training_device()
    wanted: Literal["bf16", "fp16"] = "bf16" if asked == "auto" else asked
    fast = is_fast(wanted, device)
    has = f"this {device} {'has' if fast else 'is not known to have'} {wanted} arithmetic of its own"
    if asked == "auto":
        _tell(logging.INFO, f"trained in {'bf16' if fast else 'float32'} (precision auto): {has}")
        return "bf16" if fast else "no"
    if not fast:
        _tell(logging.WARNING, f"{wanted} is likely slower than float32 here: {has}; precision auto or no avoids that")
    return wanted


@functools.cache
def _tell(level: int, sentence: str) -> None:
    """Log a sentence, once a process."""
    log.log(level, sentence)
