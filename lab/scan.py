"""Compares the selective scan with other implementations and with the machine's roofline."""

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from lab.cells import SKIPPED, Cell, Protocol, measure_cells
from lab.ledger.numbers import Origin
from lab.methods import METHODS
from lab.results import Results
from lab.roofline import Size, faster, measure_rates

TABLE = "lab.methods:METHODS"
CPU_SIZES = (Size(1, 1024, 256, 16), Size(4, 1024, 256, 16), Size(8, 2048, 128, 16), Size(1, 16384, 128, 16))
CUDA_SIZES = (*CPU_SIZES, Size(8, 2048, 1536, 16), Size(1, 65536, 256, 16), Size(256, 196, 1024, 16))
"""In addition a wide layer, a single long sequence, and many short ones."""
ATTENTION_SIZES = (Size(4, 512, 256, 16), Size(16, 512, 128, 16))
"""Short sequences, for which attention is fastest."""
LONG_SIZES = tuple(Size(1, length, 128, 16) for length in (4096, 16384, 65536, 262144))
CPU_METHODS = ("kernel", "chunked", "mambapy", "block", "attention", "reference", "loop", "transformers")
CUDA_METHODS = ("kernel", "chunked", "mamba_ssm", "block", "attention")
LONG_METHODS = ("kernel", "chunked")
PACKAGES = ("torch", "mambapy", "transformers", "mamba-ssm", "triton")
"""Packages whose versions are recorded."""

Log = Callable[[str, Sequence[Cell]], None]


def run_scan(
    sizes: Sequence[Size],
    methods: Sequence[str],
    protocol: Protocol,
    *,
    attention_sizes: Sequence[Size] = (),
    log: Log | None = None,
) -> Results:
    """Measure every method at every size, and the machine's floors before and after.

    Args:
        sizes: sizes for all methods
        methods: names in METHODS
        protocol: duration and number of measurements
        attention_sizes: additional sizes for attention and the kernel only
        log: receives a size and its cells when they are measured
    Raises:
        ConfigError: an unknown method, or no GPU although one was requested.
    """
    for name in methods:
        if name not in METHODS:
            raise ConfigError(f"unknown method {name!r}; {suggest(name, METHODS)}")
    if protocol.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError("found no CUDA device, expected one for --device cuda; use --device cpu")
    rates = measure_rates(protocol.threads, protocol.device)
    cells = run_sizes(TABLE, [(size, methods) for size in sizes], protocol, log)
    short = [name for name in ("kernel", "attention") if name in methods]
    if len(short) == 2:
        cells += run_sizes(TABLE, [(size, short) for size in attention_sizes], protocol, log)
    rates = faster(rates, measure_rates(protocol.threads, protocol.device))
    return Results(Origin.here(), protocol, cells, rates, notes(protocol.device))


def run_sizes(
    table: str, plan: Sequence[tuple[Size, Sequence[str]]], protocol: Protocol, log: Log | None = None
) -> list[Cell]:
    """Measure the methods of every size; a method that cannot run at one size is not tried again."""
    cells: list[Cell] = []
    for size, methods in plan:
        without = {cell.method: cell.reason for cell in cells if cell.status == SKIPPED}
        found = measure_cells(table, methods, size, protocol, without=without)
        cells += found
        if log is not None:
            log(str(size), found)
    return cells


def notes(device: str) -> dict[str, str]:
    """Return versions of the compared packages, and the GPU's name."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name()
    return found
