"""Batches: padding does not change real frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.data.batches import pad_batch
from exuvia.errors import ShapeError


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_padding_does_not_change_real_frames(lengths: list[int]) -> None:
    clips = [np.full((n, 3), k + 1, np.float32) for k, n in enumerate(lengths)]
    x, valid = pad_batch(clips)
    assert x.shape == (len(clips), max(lengths), 3)
    assert valid.sum(1).tolist() == lengths
    assert (x[~valid] == 0).all()
    for row, mask, clip in zip(x, valid, clips, strict=True):
        np.testing.assert_array_equal(row[mask], clip)


def test_padding_refuses_different_channels() -> None:
    with pytest.raises(ShapeError, match="empty batch"):
        pad_batch([])
    with pytest.raises(ShapeError, match="different channels"):
        pad_batch([np.zeros((5, 2), np.float32), np.zeros((5, 3), np.float32)])
