"""`python -m lab generators`: times the generation of ListOps, Pathfinder and Path-X on one core, and draws samples."""

import time
from pathlib import Path

import numpy as np

from exuvia.config import settings
from exuvia.errors import ConfigError
from lab.figures import plots, save
from lab.ledger.numbers import Number, record_numbers
from lab.lra import listops
from lab.lra.pathfinder.generate import generate
from lab.lra.pathfinder.tables import PRESETS

COLUMNS = 8
"""Pictures per row of a sheet."""


@settings(kw_only=True)
class GeneratorsBench:
    """Number of samples to generate."""

    trees: int = 100_000
    """Number of ListOps trees of the published size; all splits together have 100,000."""
    small: int = 4000
    """Number of Pathfinder pictures with 32 pixels."""
    large: int = 80
    """Number of Path-X pictures with 128 pixels."""
    seed: int = 0
    """Seed of every random choice."""
    sheet: Path | None = None
    """Picture file for 16 pictures of each kind, the first half without a connection."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_generators(config: GeneratorsBench) -> None:
    """Time the generators on one core.

    Examples:
        python -m lab generators --trees 10000

    Raises:
        ConfigError: nothing to generate.
        OutputError: the sheet or the ledger cannot be written.
    """
    if min(config.trees, config.small, config.large) < 1:
        raise ConfigError(f"found {config.trees} trees, {config.small} and {config.large} pictures, expected 1 or more")
    started = time.perf_counter()
    trees = listops.generate(config.trees, config.seed)
    seconds = (time.perf_counter() - started) * 100_000 / config.trees
    shares = np.bincount(trees.labels, minlength=listops.CLASSES) / config.trees
    print(f"ListOps: {seconds:.1f} s for 100,000; lengths {trees.lengths.min()} to {trees.lengths.max()}, "
          f"mean {trees.lengths.mean():.0f}; labels {' '.join(f'{share:.3f}' for share in shares)}")  # fmt: skip
    numbers = {"listops.100k_s": Number(seconds, "s")}
    for name, preset, count in (("pathfinder32", "32", config.small), ("pathx", "128", config.large)):
        generate(1, PRESETS[preset], config.seed)  # compiles, and makes the tables
        started = time.perf_counter()
        _, labels = generate(count, PRESETS[preset], config.seed)
        rate = count / (time.perf_counter() - started)
        print(f"{name}: {rate:,.0f} pictures per second, {labels.mean():.2f} of them connected")
        numbers[f"{name}.images_per_s"] = Number(rate, "1/s")
    if config.sheet is not None:
        print(f"wrote {_sheet(config.sheet, config.seed)}")
    record_numbers(config.record, numbers, seed=config.seed)


def _sheet(path: Path, seed: int) -> Path:
    """Draw pictures of both sizes, by label."""
    figure, grid = plots().subplots(4, COLUMNS, figsize=(1.4 * COLUMNS, 6.2))
    for half, preset in enumerate(("32", "128")):
        images, labels = generate(8 * COLUMNS, PRESETS[preset], seed)
        for label in (0, 1):
            for place, image in zip(grid[2 * half + label], images[labels == label], strict=False):
                place.imshow(image, cmap="gray")
                place.set_xticks([])
                place.set_yticks([])
            grid[2 * half + label][0].set_ylabel(("apart", "connected")[label])
    return save(figure, path)
