"""A picture of step sizes against information: hexagons of counts, means of bins, the fitted line."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.figures import plots
from lab.selectivity.source import Bits

LINE, DOT = "#c2410c", "#111111"


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

    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot = plots()
    with pyplot.rc_context({"svg.fonttype": "none"}):
        figure, row = pyplot.subplots(1, len(panels), figsize=(3.8 * len(panels), 3.1), squeeze=False)
        for axes, panel in zip(row[0], panels, strict=True):
            _draw(axes, panel)
            axes.set_xlabel(x_label)
        row[0][0].set_ylabel(y_label)
        figure.suptitle(title)
        figure.tight_layout()
        file = io.StringIO()
        figure.savefig(file, format="svg", dpi=110, metadata={"Date": None})
        pyplot.close(figure)
    return file.getvalue()


def _draw(axes: Any, panel: Panel) -> None:
    (left, right), (low, high) = _range(panel.x), _range(panel.y)
    axes.set(xlim=(left, right), ylim=(low, high))
    # Points outside the panel would make the cells larger.
    inside = (panel.x >= left) & (panel.x <= right) & (panel.y >= low) & (panel.y <= high)
    cells = {"gridsize": (34, 20), "extent": (left, right, low, high), "mincnt": 1, "bins": "log"}
    axes.hexbin(panel.x[inside], panel.y[inside], cmap="Blues", lw=0.1, rasterized=True, **cells)
    ends = np.asarray([left, right])
    axes.plot(ends, panel.intercept + panel.slope * ends, color=LINE, lw=1.6)
    axes.plot(*_bin_means(panel.x, panel.y), "o", color=DOT, ms=3.5)
    axes.set_title(f"{panel.title}\n", fontsize=10)
    axes.text(0.5, 1.03, panel.note, transform=axes.transAxes, ha="center", fontsize=8, color="#555555")


def _range(values: Bits) -> tuple[float, float]:
    low, high = (float(v) for v in np.quantile(values, [0.002, 0.998]))
    if high - low <= 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def _bin_means(x: Bits, y: Bits, bins: int = 14) -> tuple[Bits, Bits]:
    """Mean x and mean y in equally filled bins of x."""
    groups = np.digitize(x, np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1])))
    means = np.asarray([(x[groups == g].mean(), y[groups == g].mean()) for g in np.unique(groups)])
    return means[:, 0], means[:, 1]
