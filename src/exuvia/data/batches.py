"""Clips of different lengths as one padded array."""

from collections.abc import Sequence

import numpy as np

from exuvia.errors import ShapeError
from exuvia.shapes import Features, Mask


def pad_batch(clips: Sequence[Features]) -> tuple[Features, Mask]:
    """Clips of different lengths as one array, zeros behind each.

    Pad after normalising, as the published loaders do: a zero is then the mean.

    Args:
        clips: [F, C] each, one C.
    Returns:
        x         [B, F, C]   float32
        valid     [B, F]      True where real
    Raises:
        ShapeError: no clip, or different channels.
    """
    if not clips:
        raise ShapeError("found an empty batch, expected at least one clip")
    lengths = np.asarray([len(clip) for clip in clips])
    width = int(lengths.max())
    inner = {clip.shape[1:] for clip in clips}
    if len(inner) != 1:
        raise ShapeError(f"found clips with different channels {sorted(inner)}, expected one")
    x = np.zeros((len(clips), width, *inner.pop()), np.float32)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip)] = clip
    return x, np.arange(width) < lengths[:, None]
