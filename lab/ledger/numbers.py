"""The ledger of measured numbers: rows in docs/results/numbers.jsonl, and their quotations in documents.

A document quotes a row as `<!--n:NAME-->1.9<!--/n-->`; the text may carry a %, an interval `1.9 [1.7, 2.1]` or a half
width `1.9 ± 0.2`. The quoted digits must be the row's value, rounded to as many decimals. A number taken from a paper
stands in a table cell that also holds `<!--q:SOURCE-->`. The last row of a name is the one that counts.
"""

import json
import math
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exuvia.checkpoint import code_commit
from exuvia.errors import DataError
from exuvia.files import write_text

KEYS = ("name", "value", "low", "high", "unit", "command", "commit", "seed", "machine", "date")
"""Keys of a row; low, high and seed may be null."""
TODO = "TODO-" + "NUMBERS"
"""Mark of a number that has yet to be measured."""

QUOTE = re.compile(r"<!--n:([^>\s]+?)-->(.*?)<!--/n-->", re.DOTALL)
_OPEN = re.compile(r"<!--n:([^>\s]*?)-->")
_NUMBER = r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
TEXT = re.compile(
    rf"(?P<value>{_NUMBER})\s*(?:\[\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*\]|±\s*(?P<half>{_NUMBER}))?"
    r"\s*(?P<percent>%)?"
)
_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\.\d)")


@dataclass(frozen=True)
class Report:
    """What a check of the documents found."""

    quoted: int
    rows: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def record_number(
    path: str | Path,
    name: str,
    value: float,
    *,
    unit: str,
    command: str,
    low: float | None = None,
    high: float | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Append one measured number to a ledger, with the commit, machine and date filled in.

    Args:
        path: the .jsonl ledger; made if need be
        name: dotted name, e.g. "features.encode_1000_clips_s"
        value: what was measured
        unit: "s", "1", "%", "MB" ...
        command: the command line that measures it again
        low, high: limits of its 95 % confidence interval or its range, where there is one
        seed: the seed, where there is one
    Returns:
        the row that was written
    Raises:
        DataError: the value is not finite, the name has a blank or '>' in it, or the ledger is not readable.
        OutputError: the ledger cannot be written; the old one stays.
    """
    if not math.isfinite(value):
        raise DataError(f"found {value} as the value of {name!r}, expected a finite number")
    if not re.fullmatch(r"[^\s>]+", name):
        raise DataError(f"found {name!r} as a number's name, expected one without blanks, such as features.encode_s")
    row = dict(
        zip(KEYS, (name, value, low, high, unit, command, code_commit(), seed, machine(), _today()), strict=True)
    )
    target = Path(path)
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    write_text(target, old + ("\n" if old and not old.endswith("\n") else "") + json.dumps(row) + "\n")
    return row


def machine() -> str:
    """Processor, its logical cores as this process may use them, and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def read_rows(path: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a ledger, and what is wrong with them; a missing ledger is an empty one.

    Raises:
        DataError: the file is not readable text.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable ledger ({error})") from None
    rows, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row, problem = _row(line)
        if problem:
            problems.append(f"{path}:{number}: {problem}")
        else:
            rows.append(row)
    return rows, problems


def check_documents(root: Path, ledger: Path) -> Report:
    """Check every quotation of a ledger in README.md and docs/**/*.md, and the tables of README.md and docs/results/.

    Raises:
        DataError: the ledger is not readable text.
    """
    rows, problems = read_rows(ledger)
    latest = {row["name"]: row for row in rows}
    quoted, remarks = 0, []
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        place = path.relative_to(root)
        quotes = list(QUOTE.finditer(text))
        quoted += len(quotes)
        if len(_OPEN.findall(text)) != len(quotes):
            problems.append(f"{place}: found an opening <!--n:...--> without its <!--/n-->, expected pairs")
        for match in quotes:
            line = text.count("\n", 0, match.start()) + 1
            problem = quotation_problem(match.group(1), match.group(2), latest)
            problems += [f"{place}:{line}: {problem}"] if problem else []
        if path.name == "README.md" or "results" in place.parts:
            problems += [f"{place}:{line}: {problem}" for line, problem in untagged_cells(text)]
        if TODO in text:
            remarks.append(f"{place}: {text.count(TODO)} numbers are still to be measured ({TODO})")
    return Report(quoted, len(rows), tuple(problems), tuple(remarks))


def quotation_problem(name: str, text: str, rows: dict[str, dict[str, Any]]) -> str | None:
    """What is wrong with one quotation, or None."""
    if name not in rows:
        return f"{name} is quoted, but no row has measured it"
    match = TEXT.fullmatch(text.replace("*", "").strip())
    if match is None:
        return f"{name}: found {text.strip()!r}, expected a number, or one with [low, high], ± half or %"
    row = rows[name]
    scale = 100.0 if match["percent"] and row["unit"] != "%" else 1.0
    expected = {"value": row["value"], "low": row["low"], "high": row["high"], "half": None}
    if match["half"] and row["low"] is not None and row["high"] is not None:
        expected["half"] = (row["high"] - row["low"]) / 2
    for which, measured in expected.items():
        if match[which] is None:
            continue
        if measured is None:
            return f"{name}: quotes an interval, but its row has none"
        if not rounds_to(measured * scale, match[which]):
            return f"{name}: quotes {which} {match[which]}, but its row says {measured * scale:.6g}"
    return None


def rounds_to(value: float, text: str) -> bool:
    """Whether a number, rounded to the decimals of a quoted one, is that quoted one."""
    plain = text.replace(",", "").replace("−", "-")
    mantissa, _, exponent = plain.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return abs(value - float(plain)) <= 0.5 * unit * (1 + 1e-9) + 1e-12 * abs(value)


def untagged_cells(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and texts of table cells that hold a decimal number without the mark of a row or of a source."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= line.lstrip().startswith("```")
        if fenced or not line.lstrip().startswith("|"):
            continue
        for cell in line.strip().strip("|").split("|"):
            bare = re.sub(r"`[^`]*`", "", QUOTE.sub("", cell))
            if "<!--q:" not in cell and (match := _DECIMAL.search(bare)):
                yield number, f"table cell holds {match.group()} without <!--n:NAME--> or <!--q:SOURCE-->"


def _row(line: str) -> tuple[dict[str, Any], str]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return {}, f"not a JSON row ({error})"
    if not isinstance(row, dict):
        return {}, "not a JSON object"
    missing = [key for key in KEYS if key not in row]
    if missing:
        return {}, f"the row lacks {', '.join(missing)}"
    if isinstance(row["value"], bool) or not isinstance(row["value"], (int, float)) or not math.isfinite(row["value"]):
        return {}, f"found the value {row['value']!r}, expected a finite number"
    return row, ""


def documents(root: Path) -> list[Path]:
    """Pages that may quote numbers."""
    return [path for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))] if path.is_file()]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
