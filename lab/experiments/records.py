"""`python -m lab numbers` and `record-...`: documents from their templates, and rows from what the product measured."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from exuvia.errors import DataError
from exuvia.files import read_json
from lab.ledger.names import benchmark_name
from lab.ledger.numbers import Number, Origin, prune, record_numbers
from lab.ledger.render import check_documents, write_documents

LEDGER = Path("docs/results/numbers.jsonl")
EVALUATION = (
    ("generator.r3", "all", "original", "r_precision@3"),
    ("ground_truth.r3", "all", "real", "r_precision@3"),
    ("generator.fid", "all", "original", "fid"),
    ("generator.kid", "all", "original", "kid"),
    ("ground_truth.forget_violence_rate", "forget", "real", "violence_rate"),
)
"""Rows of an evaluation that belong to no method: name, set, generator and metric."""
BESIDE = (
    ("forget_violence_rate", "forget", "violence_rate"),
    ("retain_violence_rate", "retain", "violence_rate"),
    ("retain_fid", "retain", "fid"),
    ("retain_kid", "retain", "kid"),
    ("retain_r3", "retain", "r_precision@3"),
    ("forget_speed_m_per_s", "forget", "mean_joint_speed_m_per_s"),
    ("forget_freeze_rate", "forget", "freeze_rate"),
)
"""Rows of `original` and of the edited generator, under the name of its method."""


@dataclass(frozen=True)
class NumbersConfig:
    """Where the documents and the measured rows are."""

    root: Path = Path(".")
    """Root of the repository: README.md.in, docs/ and configs/ are read there."""
    rows: Path = LEDGER
    """The measured rows, relative to the root."""
    fix: bool = False
    """Write the documents from their templates."""
    prune: bool = False
    """Move rows that no document quotes, and older rows of one name, to history.jsonl beside the others."""


@dataclass(frozen=True)
class RecordConfig:
    """Which results."""

    folder: tyro.conf.Positional[Path]
    """Folder of a run of `exuvia benchmark`, or of a report of `exuvia evaluate`."""
    record: Path = LEDGER
    """Ledger to append the rows to."""


@dataclass(frozen=True)
class RecordBenchmarkConfig(RecordConfig):
    """Which run."""

    tag: str = ""
    """Put behind the concept in the names of rows, such as .kinect."""


@dataclass(frozen=True)
class RecordEvaluationConfig(RecordConfig):
    """Which report."""

    method: str = ""
    """Under which the edited generator's rows stand; without it, the method of its last edit."""


def check_numbers(config: NumbersConfig) -> int:
    """Render every document from its template, and compare it with the committed one.

    Exit code 1 with a line a problem: a quoted number without a row, a row without one of its keys, a document that
    differs from its rendering, or a table of results with a decimal number that neither a row nor a source stands for.

    Examples:
        python -m lab numbers --fix

    Raises:
        DataError: the rows cannot be read.
        OutputError: a document cannot be written.
    """
    ledger = config.root / config.rows
    for path in write_documents(config.root, ledger) if config.fix else ():
        print(f"wrote {path}")
    report = check_documents(config.root, ledger)
    for problem in report.problems:
        print(problem, file=sys.stderr)
    print(f"{len(report.quoted)} quoted numbers, {report.rows} rows, {len(report.problems)} problems")
    if config.prune and not report.problems:
        print(f"moved {prune(ledger, report.quoted)} rows to the history")
    return 1 if report.problems else 0


def record_benchmark(config: RecordBenchmarkConfig) -> None:
    """Add the main numbers of a run of `exuvia benchmark` to the ledger, with the command, commit and date of that run.

    Examples:
        python -m lab record-benchmark runs/benchmark --tag .kinect

    Raises:
        DataError: the folder holds no such run.
        OutputError: the ledger cannot be written.
    """
    results, origin = _results(config.folder / "results.json", "methods", "metrics", "rows")
    place = f"{results['about']['concept']}{config.tag}"
    _record(config, dict(benchmark_numbers(results, place)), origin)


def benchmark_numbers(results: Mapping[str, Any], place: str) -> Iterator[tuple[str, Number]]:
    """Names and numbers of results.json; `place` is the concept with its tag."""
    for row in results["rows"]:
        name = benchmark_name(row["set"], row["method"], row["metric"], place)
        if name:
            yield name, Number.over(row["values"], results["metrics"][row["metric"]]["unit"])
    for method in results["methods"]:
        if method["edit_s"] is not None:
            name = f"unlearn.{method['label']}.{place}"
            yield f"{name}.edit_s", Number(method["edit_s"], "s")
            yield f"{name}.edit_mb", Number(method["edit_peak_mb"], "MB")
            yield f"{name}.evaluation_s", Number(method["evaluation_s"], "s")


def record_evaluation(config: RecordEvaluationConfig) -> None:
    """Add the main numbers of a report of `exuvia evaluate` to the ledger, under the name of the method that edited.

    Examples:
        python -m lab record-evaluation report

    Raises:
        DataError: the folder holds no such report, or nothing was edited and no method is given.
        OutputError: the ledger cannot be written.
    """
    report, origin = _results(config.folder / "report.json")
    method = config.method or report["about"].get("method")
    if not method:
        raise DataError(f"{config.folder} does not say how the generator was edited; name it with --method")
    names = [*EVALUATION, *(_beside("original", "original")), *(_beside(method, "edited"))]
    numbers = {}
    for name, of, model, metric in names:
        entry = report.get(of, {}).get(metric, {}).get(model)
        if entry is not None:
            unit = "m/s" if metric.endswith("m_per_s") else "1"
            numbers[name] = Number(entry["value"], unit, entry["low"], entry["high"])
    _record(config, numbers, origin)


def _beside(label: str, model: str) -> Iterator[tuple[str, str, str, str]]:
    return ((f"{label}.{name}", of, model, metric) for name, of, metric in BESIDE)


def _results(path: Path, *keys: str) -> tuple[Mapping[str, Any], Origin]:
    """What a run left, and how it came about. Raises DataError."""
    results = read_json(path)
    if not isinstance(results, dict) or any(key not in results for key in ("about", *keys)):
        raise DataError(f"{path} holds no results, expected a file that exuvia benchmark or exuvia evaluate wrote")
    return results, Origin.of_run(results["about"], path)


def _record(config: RecordConfig, numbers: Mapping[str, Number], origin: Origin) -> None:
    record_numbers(config.record, numbers, origin=origin)
    print(f"{len(numbers)} rows of {origin.command!r}, {origin.date}, added to {config.record}")
