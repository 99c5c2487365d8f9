"""Padding clips of different lengths to one array."""

from collections.abc import Sequence

import numpy as np

from exuvia.errors import ShapeError
from exuvia.shapes import Features, Mask


def pad_batch(clips: Sequence[Features]) -> tuple[Features, Mask]:
    """Clips [F, C] as one array x [B, F, C], float32, padded with zeros; and valid [B, F], True where real.

    Pad after normalising, as the published loaders do, so that zero is the mean. Raises ShapeError if there is no clip,
    or if clips differ in their channels.
    """
    if not clips:
        raise ShapeError("found an empty batch, expected at least one clip")
    lengths = np.asarray([len(clip) for clip in clips])
    width = int(lengths.max())
    inner = {clip.shape[1:] for clip in clips}
    if len(inner) != 1:
        raise ShapeError(f"found clips with different channels {sorted(inner)}, expected the same for all")
    x = np.zeros((len(clips), width, *inner.pop()), np.float32)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip)] = clip
    return x, np.arange(width) < lengths[:, None]
