"""`exuvia report`: several evaluations as one table, a line for each measured quantity.

An evaluation file is nested names down to estimates; an estimate is a number, or {value, low, high} with the limits of
its 95 % confidence interval. Other entries (texts, lists) describe the run and are left out of the table.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.config import settings
from exuvia.errors import ConfigError, DataError
from exuvia.files import read_json, write_text


@settings
class ReportConfig:
    """Which evaluations to show."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")]
    """Files written by `exuvia evaluate`; each becomes a column. Or one folder of `exuvia benchmark`."""
    out: Path | None = None
    """Markdown file; without it the table is printed. Of a benchmark: the folder of the report."""
    only: tuple[str, ...] = ()
    """Beginnings of quantities to show, e.g. forget. retain.fid; all without it."""


def report(config: ReportConfig) -> None:
    """Put several evaluations side by side as a Markdown table, or draw the report of a benchmark again.

    The report of a benchmark's folder is index.html, table.csv, table.json and table.tex; nothing is run.

    Raises:
        ConfigError: no file, or no quantity left.
        DataError: a file is not an evaluation.
        OutputError: the table cannot be written.
    """
    from exuvia.report.page import write_report

    if not config.files:
        raise ConfigError("found no evaluation, expected at least one file written by `exuvia evaluate`")
    if len(config.files) == 1 and config.files[0].is_dir():
        print(write_report(config.files[0], config.out))
        return
    names = [path.stem for path in config.files]
    labels = [str(path) if names.count(path.stem) > 1 else path.stem for path in config.files]
    text = table_of({label: _read(path) for label, path in zip(labels, config.files, strict=True)}, config.only)
    if config.out is None:
        print(text)
    else:
        write_text(config.out, text + "\n")
        print(config.out)


def table_of(columns: Mapping[str, Mapping[str, Any]], only: tuple[str, ...] = ()) -> str:
    """A Markdown table: a column for each evaluation, a line for each estimate that any of them has.

    Raises:
        ConfigError: no estimate starts with one of `only`.
    """
    flat = {name: dict(estimates(values)) for name, values in columns.items()}
    lines = list(dict.fromkeys(key for values in flat.values() for key in values))
    lines = [key for key in lines if not only or key.startswith(only)]
    if not lines:
        raise ConfigError(f"found no estimate{' that starts with ' + ' or '.join(only) if only else ''}")
    head = [f"| | {' | '.join(flat)} |", "|---|" + "---|" * len(flat)]
    rows = [f"| {key} | {' | '.join(values.get(key, '') for values in flat.values())} |" for key in lines]
    return "\n".join([*head, *rows])


def estimates(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts of all estimates in an evaluation."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and "value" in value:
            yield name, _estimate(value)
        elif isinstance(value, Mapping):
            yield from estimates(value, f"{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, number(value)


def number(value: float) -> str:
    """Four significant digits, without an exponent where that is readable; `nan` and `inf` as they are."""
    if not math.isfinite(value):
        return f"{value:g}"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    digits = 4 - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, digits)}f}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"


def _estimate(value: Mapping[str, Any]) -> str:
    if value["value"] is None:
        return ""
    text = number(value["value"])
    low, high = value.get("low"), value.get("high")
    return text if low is None or high is None else f"{text} [{number(low)}, {number(high)}]"


def _read(path: Path) -> Mapping[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict) or not any(True for _ in estimates(values)):
        raise DataError(f"{path} holds no estimates, expected a file written by `exuvia evaluate`")
    return values
