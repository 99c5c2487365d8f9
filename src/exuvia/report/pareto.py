"""Forgotten against kept: one point a method with its intervals, the front marked, as SVG text.

More is better on both axes: of a metric of which less is better, a share is shown as what is left to 1, a distance with
its sign turned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from exuvia.judges.metrics import Interval
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


def axis_name(summary: Summary, metric: str) -> str:
    """What an axis shows of a metric."""
    about = summary.metrics.get(metric, {"better": "higher"})
    if about["better"] == "higher":
        return metric
    return f"1 \N{MINUS SIGN} {metric}" if about["unit"] == "share" else f"\N{MINUS SIGN} {metric}"


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
    dots = [(across.of(p.x.mean), up.of(p.y.mean)) for p in points]
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    for p, (x, y) in zip(points, dots, strict=True):
        parts.append(f'<path class="bar" d="M{across.of(p.x.low):.1f},{y:.1f}H{across.of(p.x.high):.1f}"/>')
        parts.append(f'<path class="bar" d="M{x:.1f},{up.of(p.y.low):.1f}V{up.of(p.y.high):.1f}"/>')
        kind = "yardstick" if p.label in ("none", "retrain") else "dot"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(_label(p.label, x, y, boxes))
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
    inner = "\n".join(parts)
    return f'<svg class="pareto" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{inner}</svg>'


def _label(text: str, x: float, y: float, boxes: list[tuple[float, float, float, float]]) -> str:
    """A name beside its dot, where it covers no other name or dot if there is such a place; `boxes` gets its own."""
    wide, best = 6.6 * len(text), (float("inf"), "", (0.0, 0.0, 0.0, 0.0))
    for down in (-7, 16, 4, -20, 29, -33, 42):
        for anchor, shift, left in (("start", 9, 9.0), ("end", -9, -9 - wide), ("middle", 0, -wide / 2)):
            box = (x + left, y + down - 10, x + left + wide, y + down + 3)
            cost = (
                sum(_shared(box, other) for other in boxes) + 10 * max(0, box[2] - WIDTH) + 10 * max(0, LEFT - box[0])
            )
            cost += 0.5 * abs(down + 7)
            if cost < best[0]:
                place = f'<text x="{x + shift:.1f}" y="{y + down:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
                best = (cost, place, box)
    boxes.append(best[2])
    return best[1]


def _shared(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Area of two boxes (left, top, right, bottom) in common."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


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
        """Round values with their places."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return [(self.of(number * step), f"{number * step:.3g}") for number in numbers]


def _axis(values: Sequence[float], start: float, stop: float) -> _Axis:
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.1
    return _Axis(low - pad, high + pad, start, stop)
