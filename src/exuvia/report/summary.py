"""A benchmark's results in numbers: means, intervals over seeds, and paired differences from the yardsticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError
from exuvia.files import read_json
from exuvia.judges.metrics import Interval, interval

YARDSTICKS = ("none", "retrain")
"""Methods that every other is compared with, seed by seed."""
NEEDED = ("about", "methods", "metrics", "rows", "examples")


@dataclass(frozen=True)
class Line:
    """One number of a report."""

    set: str
    method: str
    metric: str
    estimate: Interval
    """Mean and 95 % limits over seeds."""
    seeds: int
    """Values that it is the mean of; with one there are no limits."""
    against: Mapping[str, Interval]
    """Mean difference from each yardstick with its limits, from values of equal seeds."""

    def differs(self, yardstick: str) -> bool:
        """Whether the difference's interval leaves out zero."""
        found = self.against.get(yardstick)
        return found is not None and self.seeds > 1 and not found.low <= 0 <= found.high


@dataclass(frozen=True)
class Summary:
    """Everything that tables and pictures show."""

    about: Mapping[str, Any]
    methods: Sequence[Mapping[str, Any]]
    """Costs and status, in the order of the plan."""
    metrics: Mapping[str, Mapping[str, str]]
    """better, unit and meaning of each."""
    lines: tuple[Line, ...]
    examples: Sequence[Mapping[str, Any]]

    def sets(self) -> list[str]:
        """Names of prompt sets in their order."""
        return list(dict.fromkeys(line.set for line in self.lines))

    def labels(self, part: str) -> list[str]:
        """Methods that were measured on a set; real motion first."""
        return list(dict.fromkeys(line.method for line in self.lines if line.set == part))

    def at(self, part: str, method: str, metric: str) -> Line | None:
        """One number, or None where it was not measured."""
        return next((x for x in self.lines if (x.set, x.method, x.metric) == (part, method, metric)), None)


def read_results(folder: str | Path) -> Summary:
    """Summarise `results.json` of a benchmark's folder.

    Raises:
        DataError: there is none, or it is not that of a benchmark.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise DataError(f"{folder} has no results.json, expected the folder of an `exuvia benchmark`")
    found = read_json(path)
    missing = [key for key in NEEDED if not isinstance(found, dict) or key not in found]
    if missing:
        raise DataError(f"{path} has no {missing[0]!r}, expected a file written by `exuvia benchmark`")
    return summarise(found)


def summarise(found: Mapping[str, Any]) -> Summary:
    """The same of results in memory. Raises DataError: a row that cannot be read."""
    try:
        values = {(r["set"], r["method"], r["metric"]): np.asarray(r["values"], np.float64) for r in found["rows"]}
        lines = tuple(_line(key, values) for key in values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a row of the results cannot be read ({error})") from None
    return Summary(found["about"], found["methods"], found["metrics"], lines, found["examples"])


def _line(key: tuple[str, str, str], values: Mapping[tuple[str, str, str], Any]) -> Line:
    part, method, metric = key
    own, against = values[key], {}
    for yardstick in YARDSTICKS:
        other = values.get((part, yardstick, metric))
        if other is not None and yardstick != method and other.shape == own.shape:
            against[yardstick] = interval(own - other)
    return Line(part, method, metric, interval(own), len(own), against)
