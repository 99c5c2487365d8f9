"""Pictures of a resampling as SVG text: intervals as bars, kept elements filled, one strip a rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from exuvia.motion.skeleton import SMPL22

INK, MUTED, FAINT, KEPT, LEFT, RIGHT = "#222222", "#6b7280", "#d3d7dd", "#c2410c", "#2563a8", "#c2410c"
MARGIN, LABEL = 16, 92
"""Free space at the edges, and room for the labels of the strips."""


@dataclass(frozen=True)
class Strip:
    """What one branch did with the elements that are drawn."""

    rate: float
    """kappa"""
    steps: NDArray[np.float64]
    """Delta_l [L]"""
    selected: NDArray[np.bool_]
    """kept elements [L]"""

    @property
    def note(self) -> str:
        """How many are kept."""
        return f"{int(self.selected.sum())} of {len(self.selected)} kept"


def draw_sentence(text: str, strips: Sequence[Strip]) -> str:
    """The sentence once a strip; above every character its interval, kept characters on a filled ground."""
    cell, high, bar, gap = 18.0, 25, 30, 26
    width, height = LABEL + cell * len(text) + MARGIN, 40 + len(strips) * (high + bar + gap) + 8
    parts = [_title("Kept characters, by compression rate; bars: the interval of each character, from κ to 1", width)]
    for number, strip in enumerate(strips):
        top = 44 + number * (high + bar + gap)
        parts += _label(strip, top + bar + 9)
        parts += _bars(strip, [LABEL + cell * (i + 0.5) for i in range(len(text))], cell - 5, top, bar)
        for place, (character, kept) in enumerate(zip(text, strip.selected, strict=True)):
            left, base = LABEL + cell * place, top + bar + 3
            if kept:
                box = f'x="{left + 0.5:.1f}" y="{base}" width="{cell - 1:.1f}" height="{high}"'
                parts.append(f'<rect {box} rx="3" fill="{KEPT}"/>')
            shown = escape(character) if character != " " else "·" if kept else ""
            if shown:
                style = 'fill="white" font-weight="bold"' if kept else f'fill="{MUTED}"'
                parts.append(
                    f'<text x="{left + cell / 2:.1f}" y="{base + 18}" text-anchor="middle" font-family="monospace" '
                    f'font-size="16" {style}>{shown}</text>'
                )
    return _page(parts, width, height)


def draw_motion(joints: NDArray[np.float32], strips: Sequence[Strip]) -> str:
    """The poses of the kept frames along time, a strip a rate; below, how fast the joints move.

    Args:
        joints: metres, y up      [F, 22, 3]
        strips: one a rate, over the same frames
    """
    figures, step = _projected(joints), max(5.0, 930.0 / len(joints))
    places = [LABEL + 30 + step * frame for frame in range(len(joints))]
    width, row, bar, gap = places[-1] + 30 + MARGIN, 118, 26, 20
    height = 40 + len(strips) * (row + bar + gap) + 92
    parts = [_title("Poses of the kept frames, by rate; bars: the interval of each frame, from κ to 1", width)]
    top = 44
    for strip in strips:
        parts += _label(strip, top + row / 2)
        parts += [_figure(figures[frame], places[frame], top + row - 2) for frame in np.flatnonzero(strip.selected)]
        parts += _bars(strip, places, step * 0.7, top + row + 4, bar)
        top += row + bar + gap
    return _page([*parts, *_speeds(joints, places, top)], width, height)


def _projected(joints: NDArray[np.float32], pixels: float = 62.0) -> NDArray[np.float64]:
    """Poses seen from the side and a little from the front, roots in one place: [F, 22, 2] in pixels, y down."""
    centred = joints.astype(np.float64) - joints[:, :1] * np.asarray([1, 0, 1])
    across = centred[..., 2] * np.sin(1.1) + centred[..., 0] * np.cos(1.1)
    up = centred[..., 1] - joints[..., 1].min()
    return pixels * np.stack([across, -up], -1)


def _figure(pose: NDArray[np.float64], x: float, floor: float) -> str:
    """One pose: a path for every chain, left limbs blue and right ones orange."""
    lines = []
    for chain in SMPL22.chains:
        colour = {"left": LEFT, "right": RIGHT}.get(SMPL22.joints[chain[-1]].split("_")[0], INK)
        points = "L".join(f"{x + pose[j, 0]:.0f},{floor + pose[j, 1]:.0f}" for j in chain)
        lines.append(f'<path d="M{points}" stroke="{colour}"/>')
    head = pose[SMPL22.index("head")]
    lines.append(f'<circle cx="{x + head[0]:.0f}" cy="{floor + head[1] - 5:.0f}" r="4" stroke="{INK}"/>')
    return f'<g fill="none" stroke-width="1.3">{"".join(lines)}</g>'


def _speeds(joints: NDArray[np.float32], places: Sequence[float], top: float) -> list[str]:
    """Mean joint speed over time, and the axis of time."""
    moved = np.linalg.norm(np.diff(joints.astype(np.float64), axis=0), axis=-1).mean(1) * 20
    speed, base = np.append(moved, moved[-1]), top + 52
    points = " ".join(f"{x:.1f},{base - 46 * v / speed.max():.1f}" for x, v in zip(places, speed, strict=True))
    parts = [
        f'<text x="{MARGIN}" y="{base - 22}" fill="{MUTED}">joint speed</text>',
        f'<text x="{MARGIN}" y="{base - 8}" fill="{MUTED}">peak {speed.max():.1f} m/s</text>',
        f'<polyline points="{points}" fill="none" stroke="{MUTED}" stroke-width="1.5"/>',
        f'<path d="M{places[0]:.1f},{base}H{places[-1]:.1f}" stroke="{INK}" stroke-width="1"/>',
    ]
    for frame in range(0, len(places), 20):
        parts.append(f'<path d="M{places[frame]:.1f},{base}v5" stroke="{INK}"/>')
        parts.append(f'<text x="{places[frame]:.1f}" y="{base + 18}" text-anchor="middle">{frame // 20} s</text>')
    return parts


def _label(strip: Strip, y: float) -> list[str]:
    return [
        f'<text x="{MARGIN}" y="{y:.0f}" font-size="14" font-weight="bold">κ = {strip.rate:g}</text>',
        f'<text x="{MARGIN}" y="{y + 16:.0f}" fill="{MUTED}">{strip.note}</text>',
    ]


def _bars(strip: Strip, places: Sequence[float], wide: float, top: float, high: float) -> list[str]:
    """Delta from kappa (the base) to 1 (the whole height)."""
    line = f"M{places[0] - wide / 2:.1f},{top + high}H{places[-1] + wide / 2:.1f}"
    parts = [f'<path d="{line}" stroke="{FAINT}" stroke-width="1"/>']
    share = (strip.steps - strip.rate) / (1 - strip.rate) if strip.rate < 1 else np.ones_like(strip.steps)
    for x, value, kept in zip(places, share, strip.selected, strict=True):
        tall = max(1.0, high * float(value))
        parts.append(
            f'<rect x="{x - wide / 2:.1f}" y="{top + high - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
            f'fill="{KEPT if kept else "#9aa3af"}"/>'
        )
    return parts


def _title(text: str, width: float) -> str:
    return f'<text x="{width / 2:.0f}" y="24" text-anchor="middle" font-size="14">{escape(text)}</text>'


def _page(parts: Sequence[str], width: float, height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="11" fill="{INK}">'
    )
    return "\n".join([head, f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>', *parts, "</svg>"]) + "\n"
