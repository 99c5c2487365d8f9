"""The report of an evaluation or a benchmark: values of all metrics by method, prompt set and seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from exuvia.config import to_dict
from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.metric_table import Scale, scales
from exuvia.files import whole_folder, write_json, write_text
from exuvia.judges.metrics import interval
from exuvia.readers import as_type, read_json
from exuvia.tables import Cell, Column, Interval, Table

FORMAT = "exuvia-report/1"
FILE = "report.json"
FOLDER = "report"
"""Kind of the folder that `Report.save` makes, for `files.check_folder`."""
REAL = "real"
"""Name of the rows of real motions."""
YARDSTICKS = ("none", "original", "retrain")
"""Methods with which the others are compared; they do not compete for the best value."""


@dataclass(frozen=True)
class Row:
    """One metric of one method on one prompt set."""

    set: str
    """forget, retain, all, lookalike, or a kind of written prompts."""
    method: str
    """Label of a method, or `real`."""
    metric: str
    """Key of Report.metrics."""
    values: tuple[float, ...]
    """One value per seed; a single one if seeds make no difference."""

    @cached_property
    def estimate(self) -> Interval:
        """Mean with 95 % limits over seeds; equal limits for a single value."""
        return interval(self.values[:1] if len(set(self.values)) == 1 else self.values)


@dataclass(frozen=True)
class Method:
    """One generator of a report: its edit and costs."""

    label: str
    """Name in the rows."""
    name: str
    """Key of registry.UNLEARN; empty for a generator that was not edited."""
    settings: Mapping[str, Any]
    status: str = "ok"
    """ok or failed."""
    message: str = ""
    """Reason of a failure."""
    hash: str = ""
    """Hash of the generator."""
    edit_s: float | None = None
    edit_peak_mb: float | None = None
    evaluation_s: float | None = None
    evaluation_peak_mb: float | None = None


@dataclass(frozen=True)
class Example:
    """A prompt with the motions of all methods."""

    set: str
    prompt: str
    seed: int
    motions: Mapping[str, str]
    """Method -> name of its joints [F, 22, 3] in examples.safetensors."""


COSTS = {"edit_s": "edit, s", "edit_peak_mb": "edit, MB", "evaluation_s": "evaluation, s"}
COSTS |= {"evaluation_peak_mb": "evaluation, MB"}
"""Fields of a method and their headings."""


@dataclass(frozen=True)
class Report:
    """Results of an evaluation; `str` returns its tables as Markdown."""

    about: Mapping[str, Any]
    """Concept, data, seeds, number of prompts in each set, commit ..."""
    methods: tuple[Method, ...]
    metrics: Mapping[str, Scale]
    """Scale of each metric."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Notes that explain the numbers."""
    examples: tuple[Example, ...] = ()

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], Row]:
        return {(row.set, row.method, row.metric): row for row in self.rows}

    def __str__(self) -> str:
        return self.markdown()

    def sets(self) -> list[str]:
        """Names of the prompt sets."""
        return list(dict.fromkeys(row.set for row in self.rows))

    def labels(self, part: str) -> list[str]:
        """Methods that were measured on a set."""
        return list(dict.fromkeys(row.method for row in self.rows if row.set == part))

    def metrics_of(self, part: str) -> list[str]:
        """Metrics that were measured on a set."""
        used = {row.metric for row in self.rows if row.set == part}
        return [name for name in self.metrics if name in used]

    def at(self, part: str, method: str, metric: str) -> Interval | None:
        """One number with its limits; None if it was not measured."""
        row = self._by_place.get((part, method, metric))
        return None if row is None else row.estimate

    def value(self, part: str, method: str, metric: str) -> float:
        """The mean of one metric. Raises ConfigError if it was not measured."""
        if (estimate := self.at(part, method, metric)) is None:
            raise ConfigError(f"the report has no {metric} of {method} on the {part} set")
        return estimate.mean

    def repeats(self, part: str, method: str, metric: str) -> int:
        """Number of values behind a mean; 0 if there are none."""
        row = self._by_place.get((part, method, metric))
        return 0 if row is None else len(row.values)

    def difference(self, part: str, method: str, metric: str, yardstick: str) -> Interval | None:
        """Mean difference from a yardstick over equal seeds, with its limits; None if there are no pairs."""
        row, other = (self._by_place.get((part, label, metric)) for label in (method, yardstick))
        if row is None or other is None or method in (yardstick, REAL) or len(row.values) != len(other.values):
            return None
        return interval([a - b for a, b in zip(row.values, other.values, strict=True)])

    def table(self, part: str, metrics: Sequence[str] | None = None) -> Table:
        """Table of a prompt set: one row per method, one column per metric."""
        names = self.metrics_of(part) if metrics is None else [m for m in metrics if m in self.metrics_of(part)]
        columns = [Column("method"), *(Column(name, self.metrics[name].better) for name in names)]
        rows: list[list[Cell]] = [[m, *(self.at(part, m, name) for name in names)] for m in self.labels(part)]
        return Table(columns, rows, aside=YARDSTICKS, target=REAL)

    def costs(self) -> Table:
        """Time and memory of edits and evaluations, if measured."""
        known = {key: head for key, head in COSTS.items() if any(getattr(m, key) is not None for m in self.methods)}
        rows: list[list[Cell]] = [[m.label, *(getattr(m, key) for key in known)] for m in self.methods]
        return Table([Column("method"), *map(Column, known.values())], rows)

    def origin(self) -> str:
        """A sentence about the origin of the numbers; empty if it is unknown."""
        about = self.about
        if "data" not in about:
            return ""
        split = f"{about['split']} split of " if "split" in about else ""
        sensors = f" ({' '.join(about['sensors'])})" if about.get("sensors") else ""
        facts = [f"{about.get('concept')}: {split}{about['data']}{sensors}"]
        facts += [f"seeds {', '.join(map(str, about['seeds']))}"] if "seeds" in about else []
        facts += [f"{key} {about[key]}" for key in ("pipeline", "commit", "date") if about.get(key)]
        return "; ".join(facts) + (f". Made by: {about['command']}" if about.get("command") else ".")

    def failures(self) -> list[str]:
        """A sentence for every method that failed."""
        return [f"{method.label} failed: {method.message}" for method in self.methods if method.status != "ok"]

    def markdown(self) -> str:
        """One table per set with one line per metric, then costs, failures and notes."""
        prompts, parts = self.about.get("prompts", {}), []
        for name in self.sets():
            count = f" ({prompts[name]} prompts)" if name in prompts else ""
            parts += [f"**{name}**{count}", self.table(name).markdown(turned=True)]
        costs = self.costs()
        parts += [costs.markdown()] if len(costs.columns) > 1 else []
        lines = [f"- {line}" for line in (*self.failures(), *self.notes)]
        return "\n\n".join([*parts, "\n".join(lines)] if lines else parts)

    def csv(self) -> str:
        """One line per number, with differences from the yardsticks."""
        heads = ["set", "method", "metric", "unit", "better", "seeds", "value"]
        yardsticks = [name for name in YARDSTICKS if any(row.method == name for row in self.rows)]
        rows: list[list[Cell]] = []
        for row in self.rows:
            scale = self.metrics[row.metric]
            gaps = [self.difference(row.set, row.method, row.metric, name) for name in yardsticks]
            place: list[Cell] = [row.set, row.method, row.metric, scale.unit, scale.better, len(row.values)]
            rows.append([*place, row.estimate, *gaps])
        return Table([Column(head) for head in (*heads, *(f"minus {name}" for name in yardsticks))], rows).csv()

    def latex(self, metrics: Sequence[str] | None = None) -> str:
        """One booktabs table per set."""
        return "\n\n".join(f"% {name}\n{self.table(name, metrics).latex()}" for name in self.sets()) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The content of report.json; rows contain values, mean and limits."""
        rows = []
        for row in self.rows:
            mean, low, high = row.estimate.mean, row.estimate.low, row.estimate.high
            limits = {"low": None, "high": None} if low == high else {"low": low, "high": high}
            rows.append(to_dict(row) | {"mean": mean, **limits})
        return {"format": FORMAT} | to_dict(self) | {"rows": rows}

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write report.json, report.csv, report.md and report.tex; an older report is replaced. Raises OutputError."""
        with whole_folder(folder, FOLDER, overwrite=overwrite) as out:
            self.write_into(out)
        return Path(folder)

    def write_into(self, folder: Path) -> None:
        """Write the files of `save` into an existing folder. Raises OutputError."""
        write_json(folder / FILE, self.to_dict())
        write_text(folder / "report.csv", self.csv())
        write_text(folder / "report.md", self.markdown() + "\n")
        write_text(folder / "report.tex", self.latex())

    def only(self, beginnings: Sequence[str]) -> "Report":
        """The report with only the rows whose SET.METRIC has one of these prefixes. Raises ConfigError without rows."""
        rows = tuple(row for row in self.rows if f"{row.set}.{row.metric}".startswith(tuple(beginnings)))
        if not rows:
            raise ConfigError(f"found no quantity that starts with {' or '.join(beginnings)}")
        return replace(self, rows=rows)


def report_of(
    about: Mapping[str, Any],
    methods: Sequence[Method],
    rows: Sequence[Row],
    notes: Sequence[str] = (),
    examples: Sequence[Example] = (),
) -> Report:
    """Make a report, and add the scales of its metrics."""
    used = scales({row.metric for row in rows})
    return Report(about, tuple(methods), used, tuple(rows), tuple(notes), tuple(examples))


class _About(TypedDict, total=False):
    """Facts in `Report.about` that tables and pages use."""

    data: str
    split: str
    sensors: list[str] | None
    seeds: list[int]
    prompts: dict[str, int]


def read_report(path: str | Path) -> Report:
    """Read a report.json, or the one in a folder. Raises DataError if it is missing, damaged or of another version."""
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise DataError(f"{path} has no {FILE}, expected a report of `exuvia evaluate` or `exuvia benchmark`")
    content = read_json(file)
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise DataError(f"{file} is not a report of this version ({version!r}, expected {FORMAT!r}); evaluate again")
    report = as_type(Report, content, file)
    as_type(_About, dict(report.about), f"{file}, about,")
    for row in report.rows:
        if row.metric not in report.metrics or not row.values or not all(map(math.isfinite, row.values)):
            raise DataError(f"{file} is damaged: {row.metric} of {row.method} on the {row.set} set cannot be read")
    return report


def side_by_side(reports: Mapping[str, Report]) -> Report:
    """Join several reports, by name, to one with all methods in the same tables.

    A method's label becomes NAME/LABEL, or NAME if it is the only method of its report that is not a yardstick.
    Yardsticks and real motion with equal values are shown once.
    """
    if len(reports) == 1:
        return next(iter(reports.values()))
    methods: dict[str, Method] = {}
    rows: dict[tuple[str, str, str], Row] = {}
    shown: dict[str, Report] = {}
    for name, report in reports.items():
        edited = [method.label for method in report.methods if method.label not in YARDSTICKS]
        labels = {label: f"{name}/{label}" for label in (*YARDSTICKS, REAL, *edited)}
        labels |= {edited[0]: name} if len(edited) == 1 else {}
        for label in (*YARDSTICKS, REAL):
            first = shown.setdefault(label, report)
            if [r for r in first.rows if r.method == label] == [r for r in report.rows if r.method == label]:
                labels[label] = label
        methods |= {labels[m.label]: replace(m, label=labels[m.label]) for m in report.methods}
        new = [replace(row, method=labels[row.method]) for row in report.rows]
        rows |= {(row.set, row.method, row.metric): row for row in new}
    metrics = {name: scale for report in reports.values() for name, scale in report.metrics.items()}
    notes = [f"{name}: {report.origin()}" for name, report in reports.items()]
    notes += dict.fromkeys(note for report in reports.values() for note in report.notes)
    return Report({}, tuple(methods.values()), metrics, tuple(rows.values()), tuple(notes))
