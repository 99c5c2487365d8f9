"""Smooth curves near given ones: least squares with a penalty on the third difference, solved as a banded system."""

import numpy as np
from scipy.linalg import solveh_banded

from exuvia.shapes import Array

SHORTEST_CURVE = 4
"""Fewest frames that have a third difference."""
MOST_FRAMES = 60.0
"""Longest reach; beyond it rounding errors of the solver become visible."""
ROUNDS = 8


def smoothed(values: Array, reach_frames: float, weights: Array | None = None, ties: Array | None = None) -> Array:
    """Curves [F ≥ 4, C] that minimise Σ w |z - values|² + Σ ties |Δz|² + reach⁶ Σ |Δ³z|².

    Waves shorter than about six times the reach are removed. The weights w [F] are 1 by default; a large tie [F - 1]
    makes two neighbouring frames equal.
    """
    frames = len(values)
    penalty = min(reach_frames, MOST_FRAMES) ** 6
    weights = np.ones(frames) if weights is None else weights
    bands = np.zeros((4, frames))
    bands[0] = weights
    if ties is not None:
        bands[0, :-1] += ties
        bands[0, 1:] += ties
        bands[1, :-1] -= ties
    third = (-1.0, 3.0, -3.0, 1.0)
    for i, j in zip(*np.tril_indices(4), strict=True):
        bands[i - j, j : frames - 3 + j] += penalty * third[i] * third[j]
    curves: Array = solveh_banded(bands, weights[:, None] * values, lower=True)
    return curves


def smoothed_between(values: Array, low: Array, high: Array, reach_frames: float, ties: Array | None = None) -> Array:
    """A smooth curve [F] near `values` that stays within [low, high]; frames outside get ten times the weight."""
    weights, target = np.ones(len(values)), np.clip(values, low, high)
    for _ in range(ROUNDS):
        curve = smoothed(target[:, None], reach_frames, weights, ties)[:, 0]
        outside = (curve < low) | (curve > high)
        if not outside.any():
            break
        weights = np.where(outside, 10 * weights, weights)
    inside: Array = np.clip(curve, low, high)
    return inside
