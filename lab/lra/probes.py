"""Small synthetic tasks that test abilities of a model: find by content, remember by content, see two time scales.

induction   somewhere a mark and a letter after it; at the end the mark again: which letter? [olsson2022induction]
copying     letters strewn among blanks, at the end a number k: which was the k-th letter? After the selective copying
            of [gu2023mamba], Sec. 4.1, as a classification
events      noise with one or two spikes of one step and a slow wave over the whole length, rising or falling first:
            how many spikes, which way? (4 classes)
"""

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ConfigError
from lab.lra.image import PixelSequences
from lab.lra.packed import Packed

LETTERS = 16
MARK = LETTERS + 1
BLANK = LETTERS + 2
COPIED = 8
"""Letters of a copying sequence; the numbers 1 to 8 are the tokens BLANK + 1 ... BLANK + 8."""
VOCABULARY = BLANK + COPIED + 1
"""Padding, letters, mark, blank, numbers."""
SPIKE = 6.0
"""Height of a spike, in deviations of the noise."""


def induction(count: int, length: int, seed: int) -> Packed:
    """Tokens [length]; label 0 .. 15. Chance is 1/16. Raises ConfigError for lengths below 4."""
    _check(count, length, 4)
    rng = np.random.default_rng(seed)
    x = rng.integers(1, LETTERS + 1, (count, length))
    place = rng.integers(0, length - 2, count)
    rows = np.arange(count)
    x[rows, place], x[:, -1] = MARK, MARK
    return _packed(x, x[rows, place + 1] - 1)


def copying(count: int, length: int, seed: int) -> Packed:
    """Tokens [length]; label 0 .. 15. Chance is 1/16. Raises ConfigError where the letters have no room."""
    _check(count, length, COPIED + 1)
    rng = np.random.default_rng(seed)
    x = np.full((count, length), BLANK)
    places = np.sort(rng.permuted(np.tile(np.arange(length - 1), (count, 1)), axis=1)[:, :COPIED], axis=1)
    letters = rng.integers(1, LETTERS + 1, (count, COPIED))
    np.put_along_axis(x, places, letters, axis=1)
    asked = rng.integers(0, COPIED, count)
    x[:, -1] = BLANK + 1 + asked
    return _packed(x, letters[np.arange(count), asked] - 1)


def events(count: int, length: int, seed: int) -> PixelSequences:
    """Numbers [length], kept as bytes around 128; label 0 .. 3: (spikes - 1) + 2 (falling first). Chance is 1/4."""
    _check(count, length, 16)
    rng = np.random.default_rng(seed)
    spikes, falling = rng.integers(1, 3, count), rng.integers(0, 2, count)
    wave = np.sin(2 * np.pi * np.arange(length) / length) * (1 - 2 * falling)[:, None]
    x = rng.standard_normal((count, length)) + 0.5 * wave
    places = rng.permuted(np.tile(np.arange(length), (count, 1)), axis=1)[:, :2]
    x[np.arange(count), places[:, 0]] += SPIKE
    x[np.arange(count), places[:, 1]] += SPIKE * (spikes == 2)
    pixels = np.clip(np.round(128 + 12 * x), 0, 255).astype(np.uint8)
    return PixelSequences(pixels, (spikes - 1 + 2 * falling).astype(np.int64), mean=128.0, deviation=12.0)


def _packed(x: NDArray[np.int64], labels: NDArray[np.int64]) -> Packed:
    count, length = x.shape
    return Packed(x.astype(np.uint8).ravel(), np.arange(count + 1) * length, labels.astype(np.int64))


def _check(count: int, length: int, least: int) -> None:
    if count < 0 or length < least:
        raise ConfigError(f"found {count} sequences of length {length}, expected a length of at least {least}")
