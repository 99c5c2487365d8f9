"""`python -m lab defects`: measures the effect of defects in the released unlearning methods on a generator."""

from pathlib import Path

import numpy as np
import tyro

from exuvia.config import settings
from exuvia.data.concepts import find_concept
from exuvia.data.store import Store
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.unlearning.base import Evidence
from lab.defects import closed_form, criteria, padding
from lab.ledger.numbers import Number, record_numbers


@settings
class DefectsBench:
    """The generator and data."""

    concept: tyro.conf.Positional[str] = "violence"
    """Concept to forget."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_defects(config: DefectsBench) -> None:
    """Compare the released RECE, UCE and LCR with the intended ones: weights, choices and statistics, no generation.

    Raises:
        ConfigError: unknown concept, or no clip shows it.
        DataError: the data cannot be read.
        OutputError: the ledger cannot be written.
    """
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    evidence = Evidence(pipe, find_concept(config.concept), store)
    flags = np.isin(evidence.clips, evidence.forget)
    clips = [np.asarray(store.features(int(number))) for number in evidence.clips]
    found = [
        *criteria(evidence.statistics(1)),
        *padding(pipe, clips, flags),
        *closed_form(pipe, evidence),
    ]
    for one in found:
        print(f"{one.name:26} {one.value:10.4g}  {one.meaning}")
    tag = "" if config.concept == "violence" else f".{config.concept}"
    record_numbers(config.record, {f"released.{one.name}{tag}": Number(one.value) for one in found})
