"""Quoted numbers written anew from their rows, in the form that they have: decimals, percent, intervals, separators."""

import re
from pathlib import Path
from typing import Any

from exuvia.files import write_text
from lab.ledger.numbers import QUOTE, TEXT, documents, quotation_problem, read_rows


def requote_documents(root: Path, ledger: Path) -> list[str]:
    """Correct the quotations of README.md and docs/**/*.md that differ from their last rows; what was changed.

    A quotation without a row, and one that asks for an interval that its row lacks, stay as they are.

    Raises:
        DataError: the ledger is not readable text.
        OutputError: a document cannot be written.
    """
    rows, _ = read_rows(ledger)
    latest = {row["name"]: row for row in rows}
    changed: list[str] = []
    for path in documents(root):
        old = path.read_text(encoding="utf-8")
        new = QUOTE.sub(lambda match: _corrected(match, latest, changed), old)
        if new != old:
            write_text(path, new)
    return changed


def _corrected(match: re.Match[str], rows: dict[str, dict[str, Any]], changed: list[str]) -> str:
    name, text = match.groups()
    if quotation_problem(name, text, rows) is None or name not in rows:
        return match[0]
    found, row = TEXT.search(text), rows[name]
    if found is None:
        return match[0]
    measured = {which: row[which] for which in ("value", "low", "high")}
    measured["half"] = None if row["low"] is None or row["high"] is None else (row["high"] - row["low"]) / 2
    scale = 100.0 if found["percent"] and row["unit"] != "%" else 1.0
    new = text
    for which in ("half", "high", "low", "value"):  # from the end, so that places before stay
        if found[which] is not None:
            if measured[which] is None:
                return match[0]
            new = new[: found.start(which)] + like(measured[which] * scale, found[which]) + new[found.end(which) :]
    changed.append(f"{name}: {text} -> {new}")
    return f"<!--n:{name}-->{new}<!--/n-->"


def like(value: float, text: str) -> str:
    """A number in the form of another: its decimals, exponent, sign, thousands separators and kind of minus."""
    mantissa, exponent, _ = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    sign = "+" if text.startswith("+") else ""
    made = f"{value:{sign}.{decimals}e}" if exponent else f"{value:{sign}{',' * (',' in text)}.{decimals}f}"
    return made.replace("-", "−") if "−" in text else made
