"""A report as an offline page: sortable tables by prompt set, Pareto plots, costs, and players.

A plot has one point per method with intervals, and the Pareto front; more is better on both axes: if less is better, a
share s is shown as 1 - s, and a distance with its sign reversed.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.report import REAL, YARDSTICKS, Report
from exuvia.files import whole_folder, write_text
from exuvia.judges.metrics import Interval
from exuvia.motion.clip import Clip
from exuvia.readers import read_safetensors, read_toml
from exuvia.tables import cell_text
from exuvia.view.page import ComparisonRow, Panel, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes


INK, GRID, DOT, YARDSTICK = "#010203", "#999999", "#c2410c", "#2563a8"
"""The first colour is replaced by the page's text colour."""
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "exuvia", "font.family": "sans-serif"}
STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
STYLE |= {"axes.edgecolor": GRID, "axes.spines.top": False, "axes.spines.right": False}
OFFSETS = (
    (7, 5, "left"), (-7, 5, "right"), (7, -12, "left"), (-7, -12, "right"), (0, 14, "center"), (0, -22, "center"),
    (7, 22, "left"), (-7, 22, "right"), (7, -30, "left"), (-7, -30, "right"), (0, 36, "center"),
)  # fmt: skip
"""Offsets of a name from its dot, in points, best first."""


@dataclass(frozen=True)
class Point:
    """A method's place; more is better on both axes."""

    label: str
    x: Interval
    """Quality on the retain set."""
    y: Interval
    """Forgetting."""


def points_of(report: Report, forget: tuple[str, str], retain: tuple[str, str]) -> list[Point]:
    """Points of the methods that have both numbers, each of a set and a metric."""
    points = []
    for label in report.labels(forget[0]):
        y, x = report.at(forget[0], label, forget[1]), report.at(retain[0], label, retain[1])
        if x is not None and y is not None and label != REAL:
            points.append(Point(label, _upwards(report, retain[1], x), _upwards(report, forget[1], y)))
    return points


def _upwards(report: Report, metric: str, value: Interval) -> Interval:
    scale = report.metrics[metric]
    if scale.better == "higher":
        return value
    top = 1.0 if scale.unit == "share" else 0.0
    return Interval(top - value.mean, top - value.high, top - value.low)


def axis_name(report: Report, metric: str) -> str:
    """Label of a metric's axis."""
    scale = report.metrics.get(metric)
    if scale is None or scale.better == "higher":
        return metric
    return f"1 \N{MINUS SIGN} {metric}" if scale.unit == "share" else f"\N{MINUS SIGN} {metric}"


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other point beats on both axes, from left to right."""
    at = {point.label: (point.x.mean, point.y.mean) for point in points}
    beaten = {p for p, (x, y) in at.items() if any(a >= x and b >= y and (a, b) != (x, y) for a, b in at.values())}
    return sorted((point for point in points if point.label not in beaten), key=lambda point: point.x.mean)


def draw(points: Sequence[Point], title: str, x_name: str, y_name: str) -> str:
    """The picture as an SVG element; an empty string without points. Raises ConfigError without matplotlib."""
    if not points:
        return ""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError('charts need matplotlib: pip install "exuvia[plot]"') from None
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
        axes.grid(color=GRID, alpha=0.3, lw=0.6)
        axes.margins(0.12)
        best = front(points)
        axes.plot([p.x.mean for p in best], [p.y.mean for p in best], color=YARDSTICK, ls="--", lw=1.2)
        for p in points:
            across = [[p.x.mean - p.x.low], [p.x.high - p.x.mean]]
            upwards = [[p.y.mean - p.y.low], [p.y.high - p.y.mean]]
            colour = YARDSTICK if p.label in YARDSTICKS else DOT
            axes.errorbar(p.x.mean, p.y.mean, upwards, across, fmt="o", color=colour, ecolor=GRID, elinewidth=1, ms=6)
        figure.draw_without_rendering()
        _name(axes, points)
        file = io.BytesIO()
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=unsaid)
    return _inline(file.getvalue().decode(), title)


def _name(axes: "Axes", points: Sequence[Point]) -> None:
    """Place each name without covering other names or dots, if possible."""
    from matplotlib.transforms import Bbox

    dots = [axes.transData.transform((p.x.mean, p.y.mean)) for p in points]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in dots]
    frame = axes.get_tightbbox()
    for p in points:
        look: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9}
        texts = [axes.annotate(p.label, (p.x.mean, p.y.mean), (x, y), ha=side, **look) for x, y, side in OFFSETS]
        boxes = [text.get_window_extent() for text in texts]
        outside = [frame is not None and not (frame.x0 <= box.x0 and box.x1 <= frame.x1) for box in boxes]
        costs = [box.count_overlaps(taken) + out for box, out in zip(boxes, outside, strict=True)]
        chosen = costs.index(min(costs))
        taken.append(boxes[chosen])
        for text in (*texts[:chosen], *texts[chosen + 1 :]):
            text.remove()


def _inline(svg: str, title: str) -> str:
    """The SVG, with the page's width and text colour."""
    _, box, rest = re.split(r'(viewBox="[^"]*")', svg, maxsplit=1)
    inner = rest[rest.index(">") :].replace(INK, "currentColor")
    about = f'class="pareto" role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {about} {box}{inner.rstrip()}'


HERE = Path(__file__).parent
TEXTS = read_toml(Path(__file__).with_suffix(".toml"))
Clips = dict[str, NDArray[np.float16]]
FOLDER = "report page"
"""Kind of the folder that `write_report` makes, for `files.check_folder`."""


def write_report(report: Report, folder: str | Path, clips: Clips | None = None, *, overwrite: bool = False) -> Path:
    """Write index.html, report.json, report.csv, report.md and report.tex; nothing is measured again. Returns the page.

    `clips` are joints [F, 22, 3] by the names in the report's examples. An older page in the folder is replaced. Raises
    OutputError if the folder holds something else, or cannot be written.
    """
    with whole_folder(folder, FOLDER, overwrite=overwrite) as made:
        report.write_into(made)
        write_text(made / "index.html", _page(report, clips or {}))
    return Path(folder) / "index.html"


def read_clips(path: Path) -> Clips:
    """Read joints of the examples in a benchmark's folder, if any. Raises DataError."""
    file = path / "examples.safetensors"
    if not file.is_file():
        return {}
    clips, _ = read_safetensors(file)
    for name, joints in clips.items():
        if joints.ndim != 3 or joints.shape[1:] != (22, 3) or joints.dtype.kind != "f" or not np.isfinite(joints).all():
            raise DataError(f"{file} is damaged: {name} is no motion of 22 joints; run the benchmark again")
    return clips


def _page(report: Report, clips: Clips) -> str:
    concept = report.about.get("concept")
    title = f"Forgetting {concept}: methods side by side" if concept else "Evaluations side by side"
    charts, notes = _charts(report)
    paragraphs = [report.origin(), TEXTS["reading"], *notes, *report.notes]
    shown = {"charts": charts, "sheets": [_sheet(report, name) for name in report.sets()], "cell_text": cell_text}
    shown |= {"failures": report.failures(), "costs": report.costs()}
    return render("report.html.j2", "comparison", title, _players(report, clips), paragraphs, home=HERE, **shown)


def _charts(report: Report) -> tuple[list[Markup], list[str]]:
    """The plots; without matplotlib, a note on how to install it."""
    charts = []
    try:
        for title, forget, retain in TEXTS["plots"]:
            kept, forgotten = f"kept: {axis_name(report, retain[1])}", f"forgotten: {axis_name(report, forget[1])}"
            charts.append(Markup(draw(points_of(report, forget, retain), title, kept, forgotten)))
    except ConfigError as error:
        return [], [str(error)]
    return charts, []


def _players(report: Report, clips: Clips) -> list[ComparisonRow]:
    """One row of players per prompt."""
    rows = []
    for example in report.examples:
        here = [(label, np.asarray(clips[key], np.float32)) for label, key in example.motions.items() if key in clips]
        panels = [Panel(label, Clip(joints, caption=example.prompt)) for label, joints in here]
        if panels:
            rows.append(ComparisonRow(example.prompt, panels, tag=example.set, note=f"seed {example.seed}"))
    return rows


def _sheet(report: Report, part: str) -> dict[str, Any]:
    """The table of a prompt set."""
    table = report.table(part)
    metrics = report.metrics_of(part)
    lines = []
    for i, method in enumerate(report.labels(part)):
        cells = [_cell(report, part, method, m, i in table.best(n)) for n, m in enumerate(metrics, start=1)]
        lines.append({"method": method, "cells": cells})
    scales = zip(table.columns[1:], map(report.metrics.__getitem__, metrics), strict=True)
    columns = [{"title": column.title, "meaning": one.meaning, "unit": one.unit} for column, one in scales]
    return {"name": part, "prompts": report.about.get("prompts", {}).get(part), "columns": columns, "lines": lines}


def _cell(report: Report, part: str, method: str, metric: str, is_best: bool) -> dict[str, Any]:
    """One number; `is_level`: its difference from the original generator has no interval, or one that contains 0."""
    estimate = report.at(part, method, metric)
    gaps = [report.difference(part, method, metric, name) for name in YARDSTICKS if name != "retrain"]
    gap = next((gap for gap in gaps if gap is not None), None)
    about = {"text": cell_text(estimate), "value": None if estimate is None else estimate.mean, "is_best": is_best}
    if gap is None:
        return about
    level = report.repeats(part, method, metric) < 2 or gap.low <= 0 <= gap.high
    return about | {"difference": f"{gap.mean:+.2g}", "is_level": level}
