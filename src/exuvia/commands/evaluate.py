"""`exuvia evaluate`: compares an edited pipeline with its original and with real motion."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import Count, Seed, settings
from exuvia.device import Device
from exuvia.files import check_folder
from exuvia.progress import progress_bar
from exuvia.registry import DEFAULT_GENERATOR


@settings
class EvaluateConfig(OverwriteSwitch):
    """Pipelines to compare, and the benchmark."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """Edited pipeline: a folder or a shipped name."""
    original: str = DEFAULT_GENERATOR
    """The pipeline before the edit."""
    benchmark: str = "violence"
    """Concept whose forgetting is measured."""
    data: Path | None = None
    """Folder made by `exuvia prepare`, whose captions are the prompts; without it, built-in prompts."""
    split: str = "test"
    """Split of the data to use."""
    sensors: tuple[str, ...] = ()
    """Sensors of the clips to use, such as optical; without it, all."""
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    """Seeds, one repeat each; intervals are over repeats."""
    limit: Count | None = None
    """Maximum number of prompts in a set."""
    out: Path = Path("report")
    """Folder for report.json, report.csv, report.md and report.tex; an older report there is replaced."""
    cache: Path | None = None
    """Folder for generated motions; a killed run continues from there."""
    device: Device = "cpu"
    """Device of the models: cpu, cuda, cuda:1, mps."""


def evaluate(config: EvaluateConfig) -> None:
    """Measure what an edited pipeline forgot and what it kept, compared with the original."""
    from exuvia.evaluation.report import FOLDER
    from exuvia.evaluation.suite import evaluate as evaluate_pipeline
    from exuvia.pipeline.pipeline import MotionPipeline

    sources = [path for path in (config.pipeline, config.original, config.data, config.cache) if path]
    check_folder(config.out, FOLDER, overwrite=config.overwrite, sources=sources)
    load = MotionPipeline.from_pretrained
    edited, original = (load(name, device=config.device) for name in (config.pipeline, config.original))
    names = ("data", "benchmark", "split", "sensors", "seeds", "limit", "cache")
    options: dict[str, Any] = {name: getattr(config, name) for name in names}
    with progress_bar("evaluate", "motions") as progress:
        report = evaluate_pipeline(edited, original=original, progress=progress, **options)
    report.save(config.out, overwrite=config.overwrite)
    print(report)
    print(f"\n{config.out}")
