"""`python -m lab lcr` and `python -m lab demo`: time the codebook edit, alone and within the whole demo."""

import tempfile
import time
from pathlib import Path

from exuvia.commands.demo import DemoConfig, demo
from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.unlearning.base import unlearn
from lab.ledger.numbers import Number, record_numbers
from lab.memory import peak_memory_mb
from lab.timing import Runs


@settings
class LCRBench:
    """The edit to time."""

    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    forget: str = "violence"
    """Concept to forget."""
    num_codes: int = 64
    """Codebook rows to replace."""
    repeats: int = 3
    """Number of timed runs after a warm-up run."""
    record: Path | None = None
    """Ledger to append the results to."""


@settings
class DemoBench:
    """Where to record."""

    record: Path | None = None
    """Ledger to append the result to."""


def bench_lcr(config: LCRBench) -> None:
    """Time latent code replacement on a loaded pipeline: seconds of the edit and peak memory of the process.

    Raises:
        CheckpointError: the pipeline cannot be loaded.
        OutputError: the ledger cannot be written.
    """
    if config.repeats < 1:
        raise ConfigError(f"found {config.repeats} repeats, expected at least 1")
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    runs = Runs.of(lambda: unlearn("lcr", pipe, forget=config.forget, num_codes=config.num_codes), config.repeats)
    memory_mb = peak_memory_mb()
    print(f"lcr on {config.pipeline}, {config.num_codes} codes: {runs}")
    print(f"peak memory of the process: {memory_mb:.0f} MB")
    record_numbers(config.record, {"lcr.edit_s": runs.number, "lcr.peak_memory_mb": Number(memory_mb, "MB")})


def bench_demo(config: DemoBench) -> None:
    """Time `exuvia demo` with its defaults, without the start of Python.

    Raises:
        CheckpointError: no shipped pipeline.
        OutputError: the ledger cannot be written.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        demo(DemoConfig(out=Path(folder)))
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s")
    record_numbers(config.record, {"demo.wall_s": Number(seconds, "s")}, seed=DemoConfig().seed)
