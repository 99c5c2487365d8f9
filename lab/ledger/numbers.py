"""The ledger of measured numbers: JSON rows in docs/results/numbers.jsonl, older ones in history.jsonl.

A row has a measured number, its uncertainty, and the command to measure it again. The last row of a name counts.
Templates of documents quote rows by name (render.py).
"""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from exuvia.checkpoint import origin as observed
from exuvia.errors import DataError
from exuvia.files import write_text
from exuvia.judges.metrics import interval
from exuvia.readers import parse_json
from exuvia.registry import DEFAULT_GENERATOR

KEYS = ("name", "value", "low", "high", "unit", "command", "commit", "seed", "machine", "date")
"""Keys of a row; low, high and seed may be null."""
HISTORY = "history.jsonl"
"""Rows that no document quotes any more, in the ledger's folder."""

Row = dict[str, Any]


class Number(NamedTuple):
    """A measured value."""

    value: float
    unit: str = "1"
    """"s", "%", "MB" ...; "1" for ratios and shares"""
    low: float | None = None
    """Lower limit of its 95 % interval or its range, if any."""
    high: float | None = None
    """Upper limit."""

    @classmethod
    def over(cls, values: Sequence[float], unit: str = "1") -> "Number":
        """Return the mean of repeats with its 95 % interval; a single repeat has no interval."""
        mean = interval(values)
        return cls(mean.mean, unit) if len(values) == 1 else cls(mean.mean, unit, mean.low, mean.high)


@dataclass(frozen=True)
class Origin:
    """The recorded origin of a number."""

    command: str
    """The command line, as it ran."""
    commit: str
    """Commit of the code."""
    machine: str
    """Processor, cores and system."""
    date: str
    """YYYY-MM-DD"""

    @classmethod
    def here(cls) -> "Origin":
        """Return the origin of numbers measured by this process."""
        return cls.of_run(observed(), "this process")

    @classmethod
    def of_run(cls, about: Mapping[str, Any], place: str | Path) -> "Origin":
        """Return the origin stored in the results of a run. Raises DataError."""
        missing = [key for key in ("command", "commit", "machine", "date") if not about.get(key)]
        if missing:
            raise DataError(f"{place} does not say its {', '.join(missing)}; expected results that exuvia wrote")
        return cls(about["command"], about["commit"], about["machine"], about["date"][:10])


def record_number(
    path: str | Path,
    name: str,
    value: float,
    *,
    unit: str,
    low: float | None = None,
    high: float | None = None,
    seed: int | None = None,
    origin: Origin | None = None,
) -> Row:
    """Append one measured number to a ledger, with the command line, commit, machine and date of this process.

    Args:
        path: the .jsonl ledger; made if need be
        name: dotted name, e.g. "features.encode_1000_clips_s"
        value: what was measured
        unit: "s", "1", "%", "MB" ...
        low, high: limits of its 95 % confidence interval or its range, if any
        seed: the seed, if any
        origin: for a number that an earlier run left on disk; None: this process
    Returns:
        the row that was written
    Raises:
        DataError: the value is not finite, the name has a blank or a quote in it, or the ledger is not readable.
        OutputError: the ledger cannot be written; the old one stays.
    """
    return record_numbers(path, {name: Number(value, unit, low, high)}, seed=seed, origin=origin)[0]


def record_numbers(
    path: str | Path | None,
    numbers: Mapping[str, Number],
    *,
    seed: int | None = None,
    origin: Origin | None = None,
    pipeline: str = DEFAULT_GENERATOR,
) -> list[Row]:
    """Append measured numbers to a ledger, all or none, as `record_number`; do nothing without a ledger.
    Names of numbers of another generator than the default one end with its name, as in generator.fid.base."""
    if path is None or not numbers:
        return []
    if pipeline != DEFAULT_GENERATOR:
        numbers = {f"{name}.{Path(pipeline).name}": number for name, number in numbers.items()}
    facts = asdict(origin or Origin.here())
    for name, number in numbers.items():
        if not math.isfinite(number.value):
            raise DataError(f"found {number.value} as the value of {name!r}, expected a finite number")
        if not re.fullmatch(r"[^\s'\">]+", name):
            raise DataError(
                f"found {name!r} as a number's name, expected one without blanks, such as features.encode_s"
            )
    rows = [{"name": name, **number._asdict(), "seed": seed, **facts} for name, number in numbers.items()]
    rows = [{key: row[key] for key in KEYS} for row in rows]
    _append(Path(path), rows)
    return rows


def read_rows(path: str | Path) -> tuple[list[Row], list[str]]:
    """Return the rows of a ledger and their problems; a missing ledger is empty.

    Raises:
        DataError: the file is not readable text.
    """
    path = Path(path)
    rows, problems = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            row, problem = _row(line)
            if problem:
                problems.append(f"{path}:{number}: {problem}")
            else:
                rows.append(row)
    return rows, problems


def prune(path: Path, quoted: Collection[str]) -> int:
    """Move rows that no document quotes or that were measured again to the history; return their number.

    Raises:
        DataError: the ledger is not readable, or has broken rows, which would be lost.
        OutputError: a file cannot be written.
    """
    rows, problems = read_rows(path)
    if problems:
        raise DataError(problems[0])
    last = {row["name"]: place for place, row in enumerate(rows)}
    kept = [row for place, row in enumerate(rows) if last[row["name"]] == place and row["name"] in quoted]
    moved = [row for place, row in enumerate(rows) if last[row["name"]] != place or row["name"] not in quoted]
    if moved:
        _append(path.with_name(HISTORY), moved)  # first: no row is lost if the next line fails
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
    return len(moved)


def _append(path: Path, rows: Sequence[Row]) -> None:
    old = _text(path)
    write_text(path, old + "\n" * (not old.endswith("\n") and bool(old)) + "".join(json.dumps(r) + "\n" for r in rows))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable ledger ({error})") from None


def _row(line: str) -> tuple[Row, str]:
    try:
        row = parse_json(line, "the line")
    except DataError as error:
        return {}, f"not a JSON row ({error})"
    if not isinstance(row, dict):
        return {}, "not a JSON object"
    missing = [key for key in KEYS if key not in row]
    if missing:
        return {}, f"the row lacks {', '.join(missing)}"
    if isinstance(row["value"], bool) or not isinstance(row["value"], (int, float)) or not math.isfinite(row["value"]):
        return {}, f"found the value {row['value']!r}, expected a finite number"
    return row, ""
