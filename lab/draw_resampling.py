"""Pictures of a resampling as SVG text: intervals as bars, kept elements coloured, one strip per rate."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.draw_frames import stick_figures
from lab.figures import plots

MUTED, KEPT, LEFT_OUT = "#6b7280", "#c2410c", "#9aa3af"
FPS = 20.0


@dataclass(frozen=True)
class Strip:
    """The resampling of the drawn elements by one branch."""

    rate: float
    """kappa"""
    steps: NDArray[np.float64]
    """Delta_l [L]"""
    selected: NDArray[np.bool_]
    """kept elements [L]"""

    @property
    def title(self) -> str:
        """Return a label with the rate and the number of kept elements."""
        return f"κ = {self.rate:g}: {int(self.selected.sum())} of {len(self.selected)} kept"


def draw_sentence(text: str, strips: Sequence[Strip]) -> str:
    """Draw the sentence once per strip: intervals above the characters, kept characters highlighted."""
    pyplot = plots()
    figure, rows = pyplot.subplots(len(strips), 1, figsize=(0.19 * len(text) + 0.4, 0.95 * len(strips)), squeeze=False)
    for axes, strip in zip(rows[:, 0], strips, strict=True):
        places = np.arange(len(text))
        _bars(axes, places, 0.75, strip)
        axes.bar(places[strip.selected], -0.85, 0.94, bottom=-0.1, color=KEPT)
        for place, (character, kept) in enumerate(zip(text, strip.selected, strict=True)):
            look = {"color": "white", "weight": "bold"} if kept else {"color": MUTED}
            shown = "·" if kept and character == " " else character
            axes.text(place, -0.55, shown.replace("$", r"\$"), ha="center", va="center", family="monospace", **look)
        axes.set(xlim=(-0.7, len(text) - 0.3), ylim=(-1.0, 1.05))
        axes.set_xticks([])
    return _text(figure, "Kept characters, by compression rate; bars: the interval of each character, from κ to 1")


def draw_motion(joints: NDArray[np.float32], strips: Sequence[Strip]) -> str:
    """The poses of the kept frames along time, a strip per rate; below, how fast the joints move.

    Args:
        joints: metres, y up      [F, 22, 3]
        strips: one per rate, over the same frames
    """
    pyplot, count, seconds = plots(), len(strips), np.arange(len(joints)) / FPS
    size, heights = (10, 1.9 * count + 1.1), [*[4, 1.2] * count, 2.2]
    figure, rows = pyplot.subplots(2 * count + 1, 1, figsize=size, sharex=True, height_ratios=heights)
    for poses, bars, strip in zip(rows[:-1:2], rows[1::2], strips, strict=True):
        stick_figures(poses, joints, FPS, np.flatnonzero(strip.selected).tolist())
        _bars(bars, seconds, 0.7 / FPS, strip, poses)
    moved = np.linalg.norm(np.diff(joints.astype(np.float64), axis=0), axis=-1).mean(1) * FPS
    rows[-1].plot(seconds[1:], moved, color=MUTED)
    rows[-1].set(xlabel="seconds", ylabel="joint speed, m/s", ylim=(0, None))
    return _text(figure, "Poses of the kept frames, by rate; bars: the interval of each frame, from κ to 1")


def _bars(axes: Any, places: NDArray[Any], width: float, strip: Strip, titled: Any = None) -> None:
    """Delta from kappa (the base) to 1 (the whole height)."""
    share = (strip.steps - strip.rate) / (1 - strip.rate) if strip.rate < 1 else np.ones_like(strip.steps)
    axes.bar(places, np.maximum(share, 0.04), width, color=np.where(strip.selected, KEPT, LEFT_OUT))
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(bottom=False)
    (titled or axes).set_title(strip.title, loc="left", fontsize=9)


def _text(figure: Any, title: str) -> str:
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    file = io.StringIO()
    with plots().rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    plots().close(figure)
    return file.getvalue()
