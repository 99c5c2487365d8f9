"""`python -m lab scan` and `python -m lab serpent`: compare the cost of state-space kernels and layers."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import tyro

from exuvia.config import settings
from exuvia.errors import ConfigError
from lab import layers, scan
from lab.cell_text import text_table
from lab.cells import MEASURED, Cell, Protocol
from lab.ledger.numbers import Number, Origin, record_numbers
from lab.methods import METHODS
from lab.results import Results, read_results, write_results
from lab.roofline import Size
from lab.scan_numbers import largest_differences, long_numbers, scan_numbers

AGREE = 1e-3
"""Difference from the reference, at a tiny size, above which a warning is printed."""


@settings
class _Output:
    """Settings of both commands."""

    protocol: tyro.conf.OmitArgPrefixes[Protocol] = dataclasses.field(default_factory=Protocol)
    """Settings of the measurement."""
    sizes: tuple[str, ...] = ()
    """Batch x steps x channels x states, such as 8x2048x128x16; default: the standard sizes."""
    out: Path = Path("runs/bench")
    """Folder of the results (NAME.json, NAME.csv)."""
    results: Path | None = None
    """NAME.json of an earlier run to show and record instead of measuring."""
    record: Path | None = None
    """Ledger to append the numbers to, e.g. docs/results/numbers.jsonl."""


@settings
class ScanBench(_Output):
    """What to time."""

    methods: tuple[str, ...] = ()
    """Names of methods; default: all of the device."""
    long: bool = False
    """Measure only our scans at lengths up to 262,144: is time linear, and memory bounded?"""


@settings
class SerpentBench(_Output):
    """What to time."""

    layers: tuple[str, ...] = ()
    """Names of layers; default: all."""


def bench_scan(config: ScanBench) -> None:
    """Time the selective scan against every other installed one, and against the machine's roofline.

    Methods take turns, each in a separate process; a call that exceeds --limit is stopped, and its cell says so. The
    number of a cell is the median over the bursts that other processes did not disturb, or the best call (*).

    Raises:
        ConfigError: an unknown method, an invalid size, or a missing device.
        DataError: --results is not a file of this command.
        OutputError: a file cannot be written.
    """
    cuda = config.protocol.device.startswith("cuda")
    standard = scan.LONG_SIZES if config.long else scan.CUDA_SIZES if cuda else scan.CPU_SIZES
    known = scan.LONG_METHODS if config.long else scan.CUDA_METHODS if cuda else scan.CPU_METHODS
    sizes = tuple(map(Size.parse, config.sizes)) or standard
    short = () if config.long or config.sizes else scan.ATTENTION_SIZES
    name = "scan-long" if config.long else "scan"
    methods = config.methods or known
    if config.results is not None:
        found = read_results(config.results)
        sizes = tuple(size for size in found.sizes if size not in short)
    else:
        found = scan.run_scan(sizes, methods, config.protocol, attention_sizes=short, log=_progress)
    numbers = long_numbers(found) if config.long else scan_numbers(found, sizes, short)
    prefix = f"scan.{'gpu' if found.protocol.device.startswith('cuda') else 'cpu'}{'.long' if config.long else ''}"
    titles = {method: METHODS[method].title for method in METHODS}
    _finish(config, found, name, numbers, prefix, titles)


def bench_serpent(config: SerpentBench) -> None:
    """Time SeRpEnt layers against the plain layer of equal width, forward and backward.

    Raises:
        ConfigError: an unknown layer, or an invalid size.
        DataError: --results is not a file of this command.
        OutputError: a file cannot be written.
    """
    names = config.layers or tuple(layers.LAYERS)
    for name in names:
        if name not in layers.LAYERS:
            raise ConfigError(f"unknown layer {name!r}; expected one of {', '.join(layers.LAYERS)}")
    sizes = tuple(map(Size.parse, config.sizes)) or layers.SIZES
    if config.results is not None:
        found = read_results(config.results)
    else:
        cells = scan.run_sizes(layers.TABLE, [(size, names) for size in sizes], config.protocol, _progress)
        found = Results(Origin.here(), config.protocol, cells, notes=scan.notes(config.protocol.device))
    titles = {name: method.title for name, method in layers.LAYERS.items()}
    prefix = "serpent.gpu" if found.protocol.device.startswith("cuda") else "serpent"
    _finish(config, found, "serpent", layers.layer_numbers(found), prefix, titles)


def _finish(
    config: _Output, found: Results, name: str, numbers: Mapping[str, Number], prefix: str, titles: Mapping[str, str]
) -> None:
    """Print, write and record the results."""
    written = write_results(found, config.out, name) if config.results is None else ()
    for line in text_table(found, titles):
        print(line)
    print()
    for key, number in numbers.items():
        if not key.startswith(("ms.", "mb.")):
            span = "" if number.low is None else f"  [{number.low:.3g}, {number.high:.3g}] over the sizes"
            print(f"{prefix}.{key} = {number.value:.3g} {number.unit}{span}")
    for method, apart in largest_differences(found).items():
        note = "" if apart <= AGREE else "  <-- DOES NOT AGREE"
        print(f"{titles.get(method, method)}: {apart:.1e} from what it must agree with{note}")
    if written:
        print("wrote " + " and ".join(map(str, written)))
    record_numbers(config.record, {f"{prefix}.{key}": n for key, n in numbers.items()}, origin=found.origin)


def _progress(size: str, cells: Sequence[Cell]) -> None:
    done = sum(cell.status == MEASURED for cell in cells)
    print(f"{size}: {done} of {len(cells)} cells measured", flush=True)
