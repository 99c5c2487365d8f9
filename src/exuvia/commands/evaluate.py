"""`exuvia evaluate`: an edited pipeline against its original and real motion, as a folder of tables."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from tqdm import tqdm

from exuvia.errors import ConfigError
from lab.ledger.numbers import record_number

LEDGER = (
    ("generator.r3", "all", "original", "r_precision@3"),
    ("ground_truth.r3", "all", "real", "r_precision@3"),
    ("generator.fid", "all", "original", "fid"),
    ("generator.kid", "all", "original", "kid"),
    ("original.forget_violence_rate", "forget", "original", "violence_rate"),
    ("lcr.forget_violence_rate", "forget", "edited", "violence_rate"),
    ("ground_truth.forget_violence_rate", "forget", "real", "violence_rate"),
    ("original.retain_violence_rate", "retain", "original", "violence_rate"),
    ("lcr.retain_violence_rate", "retain", "edited", "violence_rate"),
    ("original.retain_fid", "retain", "original", "fid"),
    ("lcr.retain_fid", "retain", "edited", "fid"),
    ("original.retain_kid", "retain", "original", "kid"),
    ("lcr.retain_kid", "retain", "edited", "kid"),
    ("original.retain_r3", "retain", "original", "r_precision@3"),
    ("lcr.retain_r3", "retain", "edited", "r_precision@3"),
    ("original.forget_speed_m_per_s", "forget", "original", "mean_joint_speed_m_per_s"),
    ("lcr.forget_speed_m_per_s", "forget", "edited", "mean_joint_speed_m_per_s"),
    ("original.forget_freeze_rate", "forget", "original", "freeze_rate"),
    ("lcr.forget_freeze_rate", "forget", "edited", "freeze_rate"),
)
"""Names in the ledger of measured numbers, and where they stand in a report: set, generator, metric."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What to compare, and by which benchmark."""

    pipeline: tyro.conf.Positional[str]
    """Edited pipeline: a folder or a shipped name."""
    original: str = "base"
    """The pipeline before the edit."""
    benchmark: str = "violence"
    """Concept whose forgetting is measured."""
    data: Path | None = None
    """Folder made by `exuvia prepare`, whose captions are the prompts; without it, prompts of our own."""
    split: str = "test"
    """Which clips of the data."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors, such as optical; all without it."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """A repeat each; intervals are over them."""
    limit: int | None = None
    """At most so many prompts a set."""
    out: Path = Path("report")
    """Folder of report.json, report.csv, report.md and report.tex; an older one is replaced."""
    cache: Path | None = None
    """Folder for the motions made; a killed run goes on from there."""
    device: str = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""
    record: Path | None = None
    """Ledger of measured numbers to add the main ones to."""


def evaluate(config: EvaluateConfig) -> None:
    """Measure how far an edited pipeline forgot a concept and kept everything else, beside the original.

    Examples:
        exuvia evaluate runs/safe --original base --benchmark violence --data stores/mocap --out runs/safe-report

    Raises:
        ConfigError: an unknown benchmark, or no prompts.
        CheckpointError: a pipeline cannot be loaded.
        DataError: the data cannot be read.
        OutputError: the report cannot be written.
    """
    from exuvia.evaluation.suite import evaluate as evaluate_pipeline
    from exuvia.pipeline.pipeline import MotionPipeline

    if config.out.is_file():
        raise ConfigError(f"found the file {config.out}, expected a folder for the report")
    load = MotionPipeline.from_pretrained
    edited, original = (load(name, device=config.device) for name in (config.pipeline, config.original))
    with tqdm(unit=" motions", desc="evaluate", file=sys.stderr, disable=None, total=0) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = evaluate_pipeline(
            edited,
            original=original,
            data=config.data,
            benchmark=config.benchmark,
            split=config.split,
            sensors=config.sensors,
            seeds=config.seeds,
            limit=config.limit,
            cache=config.cache,
            progress=progress,
        )
    report.save(config.out)
    print(report)
    print(f"\n{config.out}")
    if config.record is not None:
        _record(config, report)


def _record(config: EvaluateConfig, report: Any) -> None:
    """Add the main numbers of a report to the ledger."""
    assert config.record is not None
    data = "" if config.data is None else f" --data {config.data}"
    sensors = f" --sensors {' '.join(config.sensors)}" if config.sensors else ""
    command = f"exuvia evaluate {config.pipeline} --original {config.original}{data}{sensors} --record {config.record}"
    for name, where, model, metric in LEDGER:
        entry = report.at(where, model, metric)
        if entry is not None:
            record_number(
                config.record,
                name,
                entry.mean,
                unit="m/s" if metric.endswith("m_per_s") else "1",
                command=command,
                low=None if entry.low == entry.high else entry.low,
                high=None if entry.low == entry.high else entry.high,
            )
