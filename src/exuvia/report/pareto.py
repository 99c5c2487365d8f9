"""Forgotten against kept: one point a method with its intervals, the front marked, as SVG text.

More is better on both axes: of a metric of which less is better, a share is shown as what is left to 1, a distance with
its sign turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from exuvia.evaluate.metrics import Interval
from exuvia.report.summary import Summary

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 520, 380, 58, 46, 34, 16


@dataclass(frozen=True)
class Point:
    """A method's place; more is better on both axes."""

    label: str
    x: Interval
    """What is kept."""
    y: Interval
    """What is forgotten."""


def points_of(summary: Summary, forget: tuple[str, str], retain: tuple[str, str]) -> list[Point]:
    """Methods with both numbers; a metric of which less is better is turned round: 1 - rate, - distance."""
    found = []
    for label in summary.labels(forget[0]):
        y, x = summary.at(forget[0], label, forget[1]), summary.at(retain[0], label, retain[1])
        if x is not None and y is not None and label != "real":
            found.append(Point(label, _up(summary, retain[1], x.estimate), _up(summary, forget[1], y.estimate)))
    return found


def _up(summary: Summary, metric: str, found: Interval) -> Interval:
    about = summary.metrics[metric]
    if about["better"] == "higher":
        return found
    top = 1.0 if about["unit"] == "share" else 0.0
    return Interval(top - found.mean, top - found.high, top - found.low)


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other one beats on both axes, from left to right."""
    kept = [p for p in points if not any(_beats(q, p) for q in points)]
    return sorted(kept, key=lambda p: p.x.mean)


def _beats(q: Point, p: Point) -> bool:
    at_least = q.x.mean >= p.x.mean and q.y.mean >= p.y.mean
    return at_least and (q.x.mean > p.x.mean or q.y.mean > p.y.mean)


def draw(points: Sequence[Point], title: str, x_name: str, y_name: str) -> str:
    """The picture; an empty text where there is no point."""
    if not points:
        return ""
    across = _axis([v for p in points for v in (p.x.mean, p.x.low, p.x.high)], LEFT, WIDTH - RIGHT)
    up = _axis([v for p in points for v in (p.y.mean, p.y.low, p.y.high)], HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{WIDTH / 2}" y="18" class="title" text-anchor="middle">{escape(title)}</text>']
    for place, text in across.ticks:
        parts.append(f'<path class="grid" d="M{place:.1f},{TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{text}</text>')
    for place, text in up.ticks:
        parts.append(f'<path class="grid" d="M{LEFT},{place:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{text}</text>')
    line = "L".join(f"{across.of(p.x.mean):.1f},{up.of(p.y.mean):.1f}" for p in front(points))
    parts.append(f'<path class="front" d="M{line}"/>')
    for p in points:
        x, y = across.of(p.x.mean), up.of(p.y.mean)
        parts.append(f'<path class="bar" d="M{across.of(p.x.low):.1f},{y:.1f}H{across.of(p.x.high):.1f}"/>')
        parts.append(f'<path class="bar" d="M{x:.1f},{up.of(p.y.low):.1f}V{up.of(p.y.high):.1f}"/>')
        kind = "yardstick" if p.label in ("none", "retrain") else "dot"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        end = x > WIDTH - 110
        anchor, shift = ("end", -9) if end else ("start", 9)
        parts.append(f'<text x="{x + shift:.1f}" y="{y - 7:.1f}" text-anchor="{anchor}">{escape(p.label)}</text>')
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
    inner = "\n".join(parts)
    return f'<svg class="pareto" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{inner}</svg>'


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    stop: float

    def of(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Five places with their texts."""
        values = [self.low + (self.high - self.low) * i / 4 for i in range(5)]
        return [(self.of(value), f"{value:.3g}") for value in values]


def _axis(values: Sequence[float], start: float, stop: float) -> _Axis:
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.1
    return _Axis(low - pad, high + pad, start, stop)
