"""Packs code sequences end to end, as the product's code statistics read them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from exuvia.codes.statistics import PackedCodes
from exuvia.errors import ShapeError


def packed(clips: Sequence[Any], num_codes: int) -> PackedCodes:
    """Pack clips of shape [T, Q]; steps that are -1 on level 0 are padding and are left out.

    Raises:
        ShapeError: no clip, clips of unequal levels, or a code outside 0..V-1.
    """
    rows = [np.asarray(clip) for clip in clips]
    if not rows or any(r.ndim != 2 or r.shape[1] != rows[0].shape[1] for r in rows):
        shapes = sorted({r.shape[1:] for r in rows})
        raise ShapeError(f"found {len(rows)} clips of shapes {shapes}, expected [T, Q], one Q for all")
    rows = [r[r[:, 0] >= 0] for r in rows]
    codes = np.concatenate(rows)
    if codes.size and not (-1 <= codes.min() and codes.max() < num_codes):
        raise ShapeError(f"found codes {codes.min()}..{codes.max()}, expected 0..{num_codes - 1}")
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return PackedCodes(codes.astype(np.int16), offsets, num_codes)
