"""The product's benchmark, run or read again by an experiment."""

from pathlib import Path

from exuvia.evaluation.benchmark import Plan, run_benchmark
from exuvia.evaluation.report import Report, read_report

Values = dict[tuple[str, str, str], tuple[float, ...]]
"""Set, method and metric -> one value a seed."""


def benchmark_report(plan: Plan, out: Path, workers: int) -> Report:
    """Run what is missing of a plan in a folder, with a printed line a method. Raises ConfigError, DataError."""
    return read_report(run_benchmark(plan, out, workers, log=lambda line: print(line, flush=True)))


def values_of(report: Report) -> Values:
    """Everything that a report holds, by place."""
    return {(row.set, row.method, row.metric): row.values for row in report.rows}
