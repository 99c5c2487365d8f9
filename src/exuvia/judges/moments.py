"""When a motion is violent: the classifier's score of every frame, from windows that slide over the clip.

The classifier judges whole clips. A frame's score is the mean over the windows that contain it, with larger weights for
frames near the middle of a window.
"""

import numpy as np
from numpy.typing import NDArray

from exuvia.judges.classifier import ViolenceDetector
from exuvia.shapes import Features

WINDOW, HOP = 30, 5
"""Length and step of the windows in frames, at 20 frames per second."""


def violence_by_frame(detector: ViolenceDetector, rows: Features) -> NDArray[np.float64]:
    """Probability of violence around every frame [F] of un-normalised features [F, C], by the given detector.

    A window of `WINDOW` frames is judged every `HOP` frames, a clip shorter than a window as a whole.
    """
    last = max(0, len(rows) - WINDOW)
    starts = sorted({*range(0, last + 1, HOP), last})
    scores = detector.violence_probability([rows[start : start + WINDOW] for start in starts])
    size = min(WINDOW, len(rows))
    weights = 1 - np.abs(np.linspace(-1, 1, size + 2)[1:-1])
    total, seen = np.zeros(len(rows)), np.zeros(len(rows))
    for start, score in zip(starts, scores, strict=True):
        total[start : start + size] += score * weights
        seen[start : start + size] += weights
    return total / seen
