"""Runs the product's benchmark for an experiment, or reads its results."""

from pathlib import Path

from exuvia.evaluation.benchmark import Plan, run_benchmark
from exuvia.evaluation.report import Report, read_report

Values = dict[tuple[str, str, str], tuple[float, ...]]
"""Set, method and metric -> one value per seed."""


def benchmark_report(plan: Plan, out: Path, workers: int) -> Report:
    """Run the missing parts of a plan in a folder, printing one line per method. Raises ConfigError, DataError."""
    return read_report(run_benchmark(plan, out, workers, log=lambda line: print(line, flush=True)))


def values_of(report: Report) -> Values:
    """Everything that a report holds, by place."""
    return {(row.set, row.method, row.metric): row.values for row in report.rows}
