"""`python -m lab tokenizer`: measures the reconstruction error of held-out clips."""

from pathlib import Path

import numpy as np
import tyro

from exuvia.config import settings
from exuvia.data.store import Store
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.recipes.tokenizer import errors_mm, reconstruct
from exuvia.registry import DEFAULT_GENERATOR
from lab.clips import chosen_clips, clips_name
from lab.ledger.numbers import Number, record_numbers


@settings
class TokenizerBench:
    """The tokenizer and the clips."""

    data: tyro.conf.Positional[Path]
    """Folder made by `exuvia prepare`."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    split: str = "test"
    """Split of the clips."""
    sensors: tuple[str, ...] = ("optical",)
    """Only clips of these sensors; default: all."""
    record: Path | None = None
    """Ledger to append the result to."""


def bench_tokenizer(config: TokenizerBench) -> None:
    """Measure the joint error of held-out clips after encoding and decoding, with aligned roots.

    Raises:
        DataError: no store.
        ConfigError: no clips of this split and these sensors.
        OutputError: the ledger cannot be written.
    """
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    clips = [np.asarray(store.features(n)) for n in chosen_clips(store, config.split, config.sensors)]
    errors = [errors_mm(*reconstruct(pipe.tokenizer, pipe.normaliser, clip)) for clip in clips]
    aligned, placed = map(float, np.mean(errors, axis=0))
    print(f"{len(clips)} clips: {aligned:.1f} mm with the roots aligned, {placed:.1f} mm as placed")
    which = clips_name(config.split, config.sensors)
    numbers = {
        f"tokenizer.mpjpe_mm.{which}": Number(aligned, "mm"),
        f"tokenizer.mpjpe_placed_mm.{which}": Number(placed, "mm"),
    }
    record_numbers(config.record, numbers, pipeline=config.pipeline)
