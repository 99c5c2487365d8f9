"""How well scores separate two classes: ROC curve, area under it, and a threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exuvia.errors import ShapeError

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class RocCurve:
    """Rates at every threshold, from the highest to the lowest."""

    thresholds: Doubles
    """Lowest score that counts as positive; the first is infinite [K]."""
    hit_rate: Doubles
    """True positive rate [K]."""
    false_rate: Doubles
    """False positive rate [K]."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with its rates on the clips on which it was chosen."""

    threshold: float
    hit_rate: float
    false_rate: float


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> RocCurve:
    """The receiver operating characteristic of scores [N], higher for positives; equal scores form one step.
    Raises ShapeError for different lengths, a score that is not finite, or an empty class."""
    x, y = np.asarray(scores, np.float64), np.asarray(labels, bool)
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"found scores {x.shape} and labels {y.shape}, expected one of each per clip")
    if not np.isfinite(x).all():
        raise ShapeError("found a NaN or infinite score, expected finite ones")
    if not y.any() or y.all():
        raise ShapeError(f"found {int(y.sum())} positives among {len(y)} clips, expected both classes")
    order = np.argsort(-x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(np.flatnonzero(np.diff(x)), len(x) - 1)
    hits, falses = np.cumsum(y)[last], np.cumsum(~y)[last]
    return RocCurve(
        np.concatenate([[np.inf], x[last]]),
        np.concatenate([[0.0], hits / y.sum()]),
        np.concatenate([[0.0], falses / (~y).sum()]),
    )


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the curve: the probability that a positive scores above a negative; ties count half."""
    curve = roc_curve(scores, labels)
    return float(np.trapezoid(curve.hit_rate, curve.false_rate))


def operating_point(scores: ArrayLike, labels: ArrayLike, false_rate: float = 0.05) -> OperatingPoint:
    """The threshold with the highest hit rate at a false rate of at most `false_rate`, midway to the next score.

    Choose it on validation clips, and report it on others.
    """
    curve = roc_curve(scores, labels)
    allowed = np.flatnonzero(curve.false_rate <= false_rate)
    best = int(allowed[np.argmax(curve.hit_rate[allowed])])
    if best == 0:  # the highest score belongs to a negative
        return OperatingPoint(float(np.nextafter(np.max(np.asarray(scores, np.float64)), np.inf)), 0.0, 0.0)
    below = curve.thresholds[best + 1] if best + 1 < len(curve.thresholds) else curve.thresholds[best]
    threshold = float((curve.thresholds[best] + below) / 2)
    return OperatingPoint(threshold, float(curve.hit_rate[best]), float(curve.false_rate[best]))
