"""`python -m lab numbers` and `record-...`: render documents from templates, and record the product's results."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import tyro

from exuvia.config import settings
from exuvia.errors import DataError
from exuvia.evaluation.report import Report, read_report
from exuvia.registry import DEFAULT_GENERATOR
from lab.benchmark import values_of
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
"""Rows of an evaluation without a method: name, set, generator and metric."""
OTHER_METRICS = (
    ("forget_violence_rate", "forget", "violence_rate"),
    ("retain_violence_rate", "retain", "violence_rate"),
    ("retain_fid", "retain", "fid"),
    ("retain_kid", "retain", "kid"),
    ("retain_r3", "retain", "r_precision@3"),
    ("forget_speed_m_per_s", "forget", "mean_joint_speed_m_per_s"),
    ("forget_freeze_rate", "forget", "freeze_rate"),
)
"""Rows of `original` and of the edited generator, under the name of its method."""


@settings
class NumbersConfig:
    """Locations of the documents and the measured rows."""

    root: Path = Path(".")
    """Root of the repository, with README.md.in, docs/ and configs/."""
    rows: Path = LEDGER
    """The measured rows, relative to the root."""
    fix: bool = False
    """Write the documents from their templates."""
    prune: bool = False
    """Move rows that no document quotes, and older rows of the same name, to history.jsonl in the same folder."""


@settings
class RecordConfig:
    """The results to record."""

    folder: tyro.conf.Positional[Path]
    """Folder of a run of `exuvia benchmark`, or of a report of `exuvia evaluate`."""
    record: Path = LEDGER
    """Ledger to append the rows to."""


@settings
class RecordBenchmarkConfig(RecordConfig):
    """The run to record."""

    tag: str = ""
    """Suffix of the concept in the names of rows, such as .kinect."""


@settings
class RecordEvaluationConfig(RecordConfig):
    """The report to record."""

    method: str = ""
    """Method in the names of the edited generator's rows; default: the method of its last edit."""
    pipeline: str = DEFAULT_GENERATOR
    """The original generator; names of rows of another than the default end with its name."""


def check_numbers(config: NumbersConfig) -> int:
    """Render every document from its template, and compare it with the committed one.

    Exit code 1 with one line per problem: a quoted number without a row, a row with a missing key, a document that
    differs from its rendering, or a decimal number in a table of results that comes from neither a row nor a source.

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
    report = read_report(config.folder)
    _record(config, report, dict(benchmark_numbers(report, f"{report.about['concept']}{config.tag}")))


def benchmark_numbers(report: Report, place: str) -> Iterator[tuple[str, Number]]:
    """Return names and numbers of a benchmark; `place` is the concept with its tag."""
    for row in report.rows:
        name = benchmark_name(row.set, row.method, row.metric, place)
        if name:
            yield name, Number.over(row.values, report.metrics[row.metric].unit)
    for method in report.methods:
        for short, seconds_or_mb, unit in (
            ("edit_s", method.edit_s, "s"),
            ("edit_mb", method.edit_peak_mb, "MB"),
            ("evaluation_s", method.evaluation_s, "s"),
        ):
            if seconds_or_mb is not None:
                yield f"unlearn.{method.label}.{place}.{short}", Number(seconds_or_mb, unit)


def record_evaluation(config: RecordEvaluationConfig) -> None:
    """Add the main numbers of a report of `exuvia evaluate` to the ledger, under the name of the method that edited.

    Examples:
        python -m lab record-evaluation report

    Raises:
        DataError: the folder holds no such report, or nothing was edited and no method is given.
        OutputError: the ledger cannot be written.
    """
    report = read_report(config.folder)
    edited = next((method.name for method in report.methods if method.label == "edited"), "")
    method = config.method or edited
    if not method:
        raise DataError(f"{config.folder} does not say how the generator was edited; name it with --method")
    others = [
        (f"{name}.{short}", of, label, metric)
        for name, label in (("original", "original"), (method, "edited"))
        for short, of, metric in OTHER_METRICS
    ]
    values = values_of(report)
    numbers = {
        name: Number.over(values[of, label, metric], report.metrics[metric].unit)
        for name, of, label, metric in (*EVALUATION, *others)
        if (of, label, metric) in values
    }
    _record(config, report, numbers, config.pipeline)


def _record(
    config: RecordConfig, report: Report, numbers: Mapping[str, Number], pipeline: str = DEFAULT_GENERATOR
) -> None:
    origin = Origin.of_run(report.about, config.folder)
    record_numbers(config.record, numbers, origin=origin, pipeline=pipeline)
    print(f"{len(numbers)} rows of {origin.command!r}, {origin.date}, added to {config.record}")
