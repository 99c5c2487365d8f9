"""Formats numbers of the ledger for documents (decimals, percent, intervals) and remembers what was quoted."""

from collections.abc import Iterable

from exuvia.tables import Interval, number
from lab.ledger.numbers import Row

OPEN, CLOSE, SOURCED = "\ue000", "\ue001", "\ue002"
"""Marks around text from the ledger, and in lines that name a source; present only while documents are checked."""

Form = int | str | None
"""Decimals; or a format such as ",.0f" or ".1e"; None: three significant digits."""


class Quotes:
    """The last row of every name, and the names that documents quote."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = {row["name"]: row for row in rows}
        self.used: set[str] = set()
        """Names that were quoted."""
        self.problems: list[str] = []
        """Problems of quotations."""

    def estimate(self, name: str) -> Interval | None:
        """Return value and limits of a row and mark it as quoted; None if the row does not exist."""
        row = self.rows.get(name)
        if row is None:
            return None
        self.used.add(name)
        low, high = row["low"], row["high"]
        value = float(row["value"])
        return Interval(value, value, value) if low is None or high is None else Interval(value, low, high)

    def value(self, name: str, form: Form = None) -> str:
        """`1.9`"""
        found = self._known(name)
        return "" if found is None else quoted(written(found.mean, form))

    def percent(self, name: str, form: Form = 0) -> str:
        """`51 %`, of a share or of a percentage."""
        found = self._known(name)
        scale = 1 if found is None or self.rows[name]["unit"] == "%" else 100
        return "" if found is None else quoted(f"{written(scale * found.mean, form)} %")

    def spread(self, name: str, form: Form = None) -> str:
        """`1.9 ± 0.2`"""
        found = self._interval(name)
        return (
            ""
            if found is None
            else quoted(f"{written(found.mean, form)} ± {written((found.high - found.low) / 2, form)}")
        )

    def limits(self, name: str, form: Form = None) -> str:
        """`1.9 [1.7, 2.1]`"""
        found = self._interval(name)
        if found is None:
            return ""
        return quoted(f"{written(found.mean, form)} [{written(found.low, form)}, {written(found.high, form)}]")

    def _known(self, name: str) -> Interval | None:
        found = self.estimate(name)
        if found is None:
            self.problems.append(f"{name} is quoted, but no row has measured it")
        return found

    def _interval(self, name: str) -> Interval | None:
        found = self._known(name)
        if found is not None and self.rows[name]["low"] is None:
            self.problems.append(f"{name} is quoted with an interval, but its row has none")
            return None
        return found


def quoted(text: str) -> str:
    """A text, marked as coming from the ledger."""
    return f"{OPEN}{text}{CLOSE}"


def source(text: str) -> str:
    """Name the publication of a table line's numbers, shown in the document."""
    return f"{SOURCED}{text}"


def written(value: float, form: Form) -> str:
    """Return a number as text; zero has no sign."""
    text = format(value, form) if isinstance(form, str) else number(value, form)
    return text[1:] if text.startswith("-") and not any(digit in text for digit in "123456789") else text
