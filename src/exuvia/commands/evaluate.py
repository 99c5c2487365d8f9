"""`exuvia evaluate`: an edited pipeline against its original and real motion, as a folder of tables."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import Count, Seed, settings
from exuvia.device import Device
from exuvia.files import check_folder
from exuvia.progress import progress_bar


@settings
class EvaluateConfig(OverwriteSwitch):
    """What to compare, and by which benchmark."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """Edited pipeline: a folder or a shipped name."""
    original: str = "base"
    """The pipeline before the edit."""
    benchmark: str = "violence"
    """Concept whose forgetting is measured."""
    data: Path | None = None
    """Folder made by `exuvia prepare`, whose captions are the prompts; without it, built-in prompts."""
    split: str = "test"
    """Which clips of the data."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors, such as optical; all without it."""
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    """Seeds, one repeat each; intervals are over repeats."""
    limit: Count | None = None
    """At most this many prompts in a set."""
    out: Path = Path("report")
    """Folder of report.json, report.csv, report.md and report.tex; an older report there is replaced."""
    cache: Path | None = None
    """Folder for the generated motions; a killed run continues from there."""
    device: Device = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""


def evaluate(config: EvaluateConfig) -> None:
    """Measure how far an edited pipeline forgot a concept and kept everything else, compared with the original."""
    from exuvia.evaluation.report import FOLDER
    from exuvia.evaluation.suite import evaluate as evaluate_pipeline
    from exuvia.pipeline.pipeline import MotionPipeline

    sources = [read for read in (config.pipeline, config.original, config.data, config.cache) if read]
    check_folder(config.out, FOLDER, overwrite=config.overwrite, sources=sources)
    load = MotionPipeline.from_pretrained
    edited, original = (load(name, device=config.device) for name in (config.pipeline, config.original))
    asked = ("data", "benchmark", "split", "sensors", "seeds", "limit", "cache")
    own: dict[str, Any] = {name: getattr(config, name) for name in asked}
    with progress_bar("evaluate", "motions") as progress:
        report = evaluate_pipeline(edited, original=original, progress=progress, **own)
    report.save(config.out, overwrite=config.overwrite)
    print(report)
    print(f"\n{config.out}")
