"""The kinds of checks by name, and how they are applied to a clip."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exuvia.errors import DataError
from exuvia.motion.clip import Clip
from exuvia.registry import suggest
from lab.prompts import count, gait, level, rest, side, travel, turn
from lab.prompts.verdict import Verdict

KINDS: dict[str, tuple[Callable[..., Verdict], str]] = {
    "direction": (travel.direction, "m"), "place": (travel.place, "m"), "closure": (travel.closure, "1"),
    "speed": (travel.speed, "m/s"), "turn": (turn.turn, "deg"), "circle": (turn.circle, "deg"),
    "height": (level.height, "m"), "reach": (level.reach, "m"), "near": (level.near, "m"),
    "lean": (level.lean, "deg"), "rise": (level.rise, "m"), "still": (rest.still, "m"),
    "activity": (rest.activity, "m/s"), "swift": (rest.swift, "m/s"), "side": (side.side, "log2"),
    "count": (count.count, "1"), "wave": (count.wave, "1"), "steps": (gait.steps, "1"),
    "uneven": (gait.uneven, "1"), "flight": (gait.flight, "s"),
}  # fmt: skip
"""Function of a clip and settings, and unit of the measured value."""
CUTS, LEAST_S = 15, 0.5
"""Number of moments at which a clip is cut into two parts, and the shortest part."""
BLANK = Clip(np.zeros((20, 22, 3), np.float32))

Spec = Mapping[str, Any]
"""A check: its `kind`, and settings of its function."""


def check(clip: Clip, spec: Spec) -> Verdict:
    """Apply one check."""
    return KINDS[spec["kind"]][0](clip, **{name: value for name, value in spec.items() if name != "kind"})


def validate(spec: Spec, where: str) -> None:
    """Raise DataError unless a check has a known kind, and settings that its function takes (it is tried)."""
    if (kind := spec.get("kind")) not in KINDS:
        raise DataError(f"{where} has the kind {kind!r}; {suggest(str(kind), KINDS)}")
    try:
        check(BLANK, spec)
    except (TypeError, KeyError) as error:
        raise DataError(f"{where} does not fit the kind {kind}: {error}") from None


def in_order(clip: Clip, first: Sequence[Spec], then: Sequence[Spec]) -> Verdict:
    """Whether there is a moment before which `first` holds, and after which `then` holds; its value is in s."""
    least = max(2, round(LEAST_S * clip.fps))
    for cut in np.linspace(least, clip.frames - least, CUTS).astype(int).tolist() if clip.frames >= 2 * least else []:
        before, after = (replace(clip, joints=joints) for joints in (clip.joints[:cut], clip.joints[cut:]))
        if all(check(before, spec).passed for spec in first) and all(check(after, spec).passed for spec in then):
            return Verdict(True, cut / clip.fps)
    return Verdict(False, float("nan"))
