"""A table that can be written as Markdown, CSV or LaTeX, with intervals in cells and the best values in bold."""

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tabulate import tabulate

from exuvia.errors import ConfigError

Better = Literal["higher", "lower", "closer", ""]
"""Which values are better; `closer` means closer to the value of real motion."""
ARROW: dict[str, str] = {"higher": " ↑", "lower": " ↓", "closer": " →", "": ""}
LATEX_ARROW = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", "closer": r" $\rightarrow$", "": ""}


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval; without one, both limits equal the mean."""

    mean: float
    low: float
    high: float


Cell = str | int | float | Interval | None


@dataclass(frozen=True)
class Column:
    """How to write the values of a column."""

    head: str
    better: Better = ""
    """Which values are bold; without a direction none is."""
    decimals: int | None = None
    """Number of decimals; None: three significant digits."""

    @property
    def title(self) -> str:
        """The heading with an arrow."""
        return self.head + ARROW[self.better]


@dataclass(frozen=True)
class Table:
    """Rows of values; the first cell of a row is its name."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    """One cell per column in each row; None is an empty cell."""
    aside: Collection[str] = ()
    """Names of the rows that are never bold: yardsticks."""
    target: str = ""
    """Name of the row that `closer` columns compare with."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ConfigError(f"found a row of {len(row)} cells in a table of {len(self.columns)} columns")

    def markdown(self, turned: bool = False) -> str:
        """A pipe table; `turned` swaps rows and columns."""
        lines = [
            [f"**{text}**" if text and i in self.best(n) else text for n, text in enumerate(row)]
            for i, row in enumerate(self._texts())
        ]
        pipe = partial(re.sub, r"(?<!\\)\|", r"\|")
        return self._laid_out([column.title for column in self.columns], lines, "pipe", turned, pipe)

    def latex(self, turned: bool = False) -> str:
        """A booktabs table."""
        rows = [
            [_latex_cell(self.rows[i][n], text, i in self.best(n)) for n, text in enumerate(row)]
            for i, row in enumerate(self._texts())
        ]
        heads = [_latex(column.head) + LATEX_ARROW[column.better] for column in self.columns]
        text = self._laid_out(heads, rows, "latex_raw", turned, str)
        for rule in ("toprule", "midrule", "bottomrule"):
            text = text.replace(r"\hline", rf"\{rule}", 1)
        return text

    def csv(self) -> str:
        """Numbers with all digits; a column with intervals is followed by two columns of limits."""
        wide = [any(_spread(row[n]) for row in self.rows) for n in range(len(self.columns))]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        heads = [[column.head, f"{column.head} low", f"{column.head} high"] for column in self.columns]
        writer.writerow([text for three, more in zip(heads, wide, strict=True) for text in three[: 3 if more else 1]])
        for row in self.rows:
            writer.writerow([x for cell, more in zip(row, wide, strict=True) for x in _values(cell, more)])
        return stream.getvalue()

    def best(self, column: int) -> frozenset[int]:
        """Rows with the best value of a column, and rows whose values lie within its interval.

        Empty if the column has no direction, or if all competitors lie within that interval.
        """
        better = self.columns[column].better
        known = {i: e for i, row in enumerate(self.rows) if (e := _estimate(row[column])) is not None}
        goal = next((e[0] for i, e in known.items() if self.rows[i][0] == self.target), None)
        racing = {i: e for i, e in known.items() if self.rows[i][0] not in {*self.aside, self.target}}
        if not better or not racing or (better == "closer" and goal is None):
            return frozenset()
        cost = {"lower": lambda x: x, "higher": lambda x: -x, "closer": lambda x: abs(x - (goal or 0.0))}[better]
        _, low, high = racing[min(racing, key=lambda i: cost(racing[i][0]))]
        level = frozenset(i for i, e in racing.items() if low <= e[0] <= high)
        return level if len(level) < len(racing) else frozenset()

    def _texts(self) -> Iterator[list[str]]:
        for row in self.rows:
            yield [cell_text(cell, column.decimals) for cell, column in zip(row, self.columns, strict=True)]

    def _laid_out(
        self, heads: list[str], rows: list[list[str]], style: str, turned: bool, clean: Callable[[str], str]
    ) -> str:
        grid = [[clean(text) for text in row] for row in (heads, *rows)]
        if turned:
            grid = [list(line) for line in zip(*grid, strict=True)]
        sides = ["left", *["right"] * (len(grid[0]) - 1)]
        return tabulate(grid[1:], grid[0], tablefmt=style, disable_numparse=True, colalign=sides)


def number(value: float, decimals: int | None = None, digits: int = 3) -> str:
    """A number with `decimals` decimals, else with `digits` significant digits; no exponent from 1e-4 up to 1e6."""
    if isinstance(value, int) and decimals is None:
        return str(value)
    if not math.isfinite(value):
        return f"{value:g}"
    if decimals is None and value != 0 and 1e-4 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}g}" if decimals is None else f"{value:.{decimals}f}"


def cell_text(cell: Cell, decimals: int | None = None) -> str:
    """Format a cell: `0.13`, `0.130 ± 0.021`, or `0.13 [0.1, 0.2]` for asymmetric limits.

    If `decimals` is None, half an interval has two significant digits, and its mean has the same number of decimals.
    """
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, int | float):
        return number(cell, decimals)
    text, down, up = number(cell.mean, decimals), cell.mean - cell.low, cell.high - cell.mean
    if not _spread(cell):
        return text
    if math.isfinite(down + up) and math.isclose(down, up, rel_tol=0.01):
        half = (up + down) / 2
        decimals = min(6, max(0, 1 - math.floor(math.log10(half)))) if decimals is None else decimals
        return f"{number(cell.mean, decimals)} ± {number(half, decimals)}"
    return f"{text} [{number(cell.low, decimals)}, {number(cell.high, decimals)}]"


def _estimate(cell: Cell) -> tuple[float, float, float] | None:
    """Mean and limits of a cell; None for texts and values that are not finite."""
    if cell is None or isinstance(cell, str):
        return None
    three = (cell, cell, cell) if isinstance(cell, int | float) else (cell.mean, cell.low, cell.high)
    return three if math.isfinite(three[0]) else None


def _spread(cell: Cell) -> bool:
    three = _estimate(cell)
    return three is not None and three[1] != three[2]


def _values(cell: Cell, wide: bool) -> list[object]:
    three = _estimate(cell)
    if three is None or isinstance(cell, int | float):
        return [cell, *[None, None] * wide]
    return [three[0], *((three[1:] if _spread(cell) else (None, None)) if wide else ())]


def _latex(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", r"\textbackslash ").replace("~", r"\textasciitilde "))


def _latex_cell(cell: Cell, text: str, bold: bool) -> str:
    if cell is None or isinstance(cell, str):
        return rf"\textbf{{{_latex(text)}}}" if bold else _latex(text)
    mean, sign, rest = text.partition(" ± ") if " ± " in text else text.partition(" [")
    mean = rf"\mathbf{{{mean}}}" if bold else mean
    return f"${mean}{sign}{rest}$".replace("±", r"\pm")
