"""What a check says about a clip, and the rule for conditions that must hold for some time."""

from typing import NamedTuple

import numpy as np

from exuvia.shapes import Array


class Verdict(NamedTuple):
    """Whether a clip does what a check asks for, and what was measured."""

    passed: bool
    value: float
    """In the unit of the check's kind (checks.py)."""


def between(value: float, low: float, high: float) -> Verdict:
    """Passed if low ≤ value ≤ high."""
    return Verdict(low <= value <= high, float(value))


def lasting(
    values: Array, fps: float, above: float | None, below: float | None, seconds: float = 0.0, share: float = 0.0
) -> Verdict:
    """Whether values [F] are above, or else below, a threshold for a time: the longer of seconds and a share of all.

    The value is the threshold up to which the clip would pass.
    """
    needed = max(1, round(seconds * fps), round(share * len(values)))
    if needed > len(values):
        return Verdict(False, float("nan"))
    ranked = np.sort(values)
    if above is not None:
        return Verdict(bool(ranked[-needed] >= above), float(ranked[-needed]))
    return Verdict(below is not None and bool(ranked[needed - 1] <= below), float(ranked[needed - 1]))
