"""A benchmark's cells as files: JSON that is read again, CSV for spreadsheets."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exuvia.errors import DataError
from exuvia.files import write_json, write_text
from exuvia.readers import read_json
from lab.cells import Cell, Protocol
from lab.ledger.numbers import Origin
from lab.roofline import Rates, Size, minimal_bytes


@dataclass(frozen=True)
class Results:
    """One run of a benchmark."""

    origin: Origin
    """command, commit, machine and date"""
    protocol: Protocol
    cells: Sequence[Cell]
    rates: Rates | None = None
    """peak rates of the machine, if measured"""
    notes: Mapping[str, str] = field(default_factory=dict)
    """versions of packages and the name of the device"""

    def at(self, method: str, size: Size, which: str) -> Cell | None:
        """Return the cell, or None."""
        wanted = (method, size, which)
        return next((cell for cell in self.cells if (cell.method, cell.size, cell.which) == wanted), None)

    @property
    def sizes(self) -> list[Size]:
        """Return them in the order of measurement."""
        return list(dict.fromkeys(cell.size for cell in self.cells))

    @property
    def methods(self) -> list[str]:
        """Return them in the order of measurement."""
        return list(dict.fromkeys(cell.method for cell in self.cells))


def write_results(results: Results, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.json for `read_results`, and NAME.csv with one row per cell.

    Raises:
        OutputError: the folder cannot be written.
    """
    written = folder / f"{name}.json", folder / f"{name}.csv"
    write_json(written[0], dataclasses.asdict(results))
    stream = io.StringIO()
    columns = [f.name for f in dataclasses.fields(Cell) if f.name not in ("size", "facts")]
    facts = sorted({fact for cell in results.cells for fact in cell.facts})
    table = csv.writer(stream, lineterminator="\n")
    table.writerow([*Size._fields, *columns, *facts, "gb_per_s"])
    for cell in results.cells:
        values = [getattr(cell, column) for column in columns] + [cell.facts.get(fact) for fact in facts]
        table.writerow([*cell.size, *values, rate_gb_s(cell)])
    write_text(written[1], stream.getvalue())
    return written


def read_results(path: Path) -> Results:
    """Read the JSON file that `write_results` wrote.

    Raises:
        DataError: the file was not written by `write_results`.
    """
    raw = read_json(path)
    try:
        rates = Rates(**raw["rates"]) if raw["rates"] else None
        cells = [_cell(item) for item in raw["cells"]]
        return Results(Origin(**raw["origin"]), Protocol(**raw["protocol"]), cells, rates, raw["notes"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not hold results of a benchmark ({error}); expected a file it wrote") from None


def rate_gb_s(cell: Cell) -> float | None:
    """Return the minimal bytes over time, the memory bandwidth that a scan uses; None without a time."""
    if cell.ms is None or cell.at_least:
        return None
    return minimal_bytes(cell.size, cell.which) / (1e6 * cell.ms)


def _cell(raw: dict[str, Any]) -> Cell:
    return Cell(**{**raw, "size": Size(*raw["size"])})
