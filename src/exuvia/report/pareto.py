"""Forgetting against quality: one point per method with intervals, and the Pareto front; SVG by matplotlib.

More is better on both axes: if less is better, a share s is shown as 1 - s, and a distance with its sign reversed.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from exuvia.errors import ConfigError
from exuvia.evaluation.report import REAL, YARDSTICKS, Report
from exuvia.tables import Interval

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
