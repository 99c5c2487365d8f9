"""A picture of step sizes against information: hexagons of counts, means of bins, the fitted line; SVG, no packages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.selectivity.source import Bits

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 270, 62, 14, 46, 44
COLUMNS = 34
"""Hexagons across a panel."""
SHADES = 10
"""Steps of darkness, even in the logarithm of the count."""
INK, LINE, DOT, CELL = "#222222", "#c2410c", "#111111", "#2563a8"


@dataclass(frozen=True)
class Panel:
    """One layer."""

    title: str
    note: str
    """A second line, smaller."""
    x: Bits
    """[N]"""
    y: Bits
    """[N]"""
    slope: float
    intercept: float


def draw_panels(panels: Sequence[Panel], x_label: str, y_label: str, title: str) -> str:
    """The panels side by side, as the text of an SVG file.

    Axes reach to the 99.8th percentile of the points, so that a few far ones do not squeeze the rest.
    """
    width, height = WIDTH * len(panels), HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}">',
        _cell(),
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{width / 2}" y="17" text-anchor="middle" font-size="14">{_escaped(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH},24)">', *_panel(panel, x_label, y_label), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, x_label: str, y_label: str) -> list[str]:
    x_axis = _Axis(panel.x, LEFT, WIDTH - RIGHT)
    y_axis = _Axis(panel.y, HEIGHT - BOTTOM, TOP)
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<text x="{middle:.0f}" y="18" text-anchor="middle" font-size="12">{_escaped(panel.title)}</text>',
        f'<text x="{middle:.0f}" y="34" text-anchor="middle" fill="#555555">{_escaped(panel.note)}</text>',
        *_hexagons(x_axis.place(panel.x), y_axis.place(panel.y)),
    ]
    ends = np.asarray([x_axis.low, x_axis.high])
    heights = panel.intercept + panel.slope * ends
    parts.append(
        f'<polyline points="{_points(x_axis.place(ends), np.clip(y_axis.place(heights), TOP, HEIGHT - BOTTOM))}" '
        f'fill="none" stroke="{LINE}" stroke-width="2"/>'
    )
    for x, y in _bin_means(panel.x, panel.y):
        if x <= x_axis.high and y_axis.low <= y <= y_axis.high:
            parts.append(f'<circle cx="{x_axis.place(x):.1f}" cy="{y_axis.place(y):.1f}" r="3.2" fill="{DOT}"/>')
    parts.append(
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="{INK}" stroke-width="1"/>'
    )
    for value, text in x_axis.ticks():
        parts.append(
            f'<text x="{x_axis.place(value):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{text}</text>'
        )
    for value, text in y_axis.ticks():
        parts.append(f'<text x="{LEFT - 5}" y="{y_axis.place(value) + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{_escaped(x_label)}</text>')
    turned = f'transform="rotate(-90 13 {centre:.0f})"'
    parts.append(f'<text x="13" y="{centre:.0f}" text-anchor="middle" {turned}>{_escaped(y_label)}</text>')
    return parts


class _Axis:
    """From values to places on the page."""

    def __init__(self, values: Bits, first: float, last: float) -> None:
        self.low, self.high = (float(v) for v in np.quantile(values, [0.002, 0.998]))
        if self.high - self.low <= 1e-9 * max(1.0, abs(self.high)):
            self.low, self.high = self.low - 0.5, self.high + 0.5
        margin = 0.03 * (self.high - self.low)
        self.low, self.high = self.low - margin, self.high + margin
        self.first, self.last = first, last

    def place(self, values: Bits | float) -> Bits:
        share = (np.asarray(values) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values, four to eight of them, and how they are written."""
        raw = (self.high - self.low) / 5
        power = 10.0 ** np.floor(np.log10(raw))
        step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - raw))
        values = np.arange(np.ceil(self.low / step), np.floor(self.high / step) + 1) * step
        decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
        return [(float(v), f"{v + 0.0:.{decimals}f}") for v in values]


def _hexagons(x: Bits, y: Bits) -> list[str]:
    """Cells of a hexagonal grid, darker where more of the points (page coordinates) fall."""
    inside = (x >= LEFT) & (x <= WIDTH - RIGHT) & (y >= TOP) & (y <= HEIGHT - BOTTOM)
    x, y = x[inside], y[inside]
    across = (WIDTH - LEFT - RIGHT) / COLUMNS
    down = across * np.sqrt(3)
    # The grid is two rectangular ones, shifted by half a cell; a point belongs to the nearer centre.
    even = np.stack([np.round(x / across), np.round(y / down)])
    odd = np.stack([np.floor(x / across), np.floor(y / down)])
    to_even = (x / across - even[0]) ** 2 + 3 * (y / down - even[1]) ** 2
    to_odd = (x / across - odd[0] - 0.5) ** 2 + 3 * (y / down - odd[1] - 0.5) ** 2
    doubled = np.where(to_even <= to_odd, 2 * even, 2 * odd + 1)
    centres, counts = np.unique(doubled, axis=1, return_counts=True)
    shades = np.ceil(SHADES * np.log1p(counts) / np.log1p(counts.max(initial=1)))
    parts = []
    for shade in np.unique(shades):
        places = (centres[:, shades == shade] * [[across / 2], [down / 2]]).T
        uses = "".join(f'<use href="#cell" x="{x:.1f}" y="{y:.1f}"/>' for x, y in places)
        parts.append(f'<g fill="{CELL}" fill-opacity="{0.9 * shade / SHADES:.2f}">{uses}</g>')
    return parts


def _cell() -> str:
    """One hexagon around the origin."""
    radius = (WIDTH - LEFT - RIGHT) / COLUMNS / np.sqrt(3)
    angles = np.pi / 180 * np.asarray([30, 90, 150, 210, 270, 330])
    corners = _points(radius * np.cos(angles), radius * np.sin(angles))
    return f'<defs><polygon id="cell" points="{corners}"/></defs>'


def _bin_means(x: Bits, y: Bits, bins: int = 14) -> list[tuple[float, float]]:
    """Mean x and mean y in equally filled bins of x."""
    groups = np.digitize(x, np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1])))
    return [(float(x[groups == g].mean()), float(y[groups == g].mean())) for g in np.unique(groups)]


def _points(x: Bits, y: Bits) -> str:
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x, y, strict=True))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
