"""Batches: windows of many clips, padded clips, caption draws; every draw is a function of (seed, step, rank).

Loader rules of the published generators: momask-codes, data/t2m_dataset.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import Caption
from exuvia.data.record import ClipRecord
from exuvia.data.store import Store
from exuvia.errors import ConfigError, ShapeError
from exuvia.shapes import Features, Mask


def pad_batch(clips: Sequence[Features], frames: int | None = None) -> tuple[Features, Mask]:
    """Clips of different lengths as one array, zeros behind each.

    Pad after normalising, as the published loaders do: a zero is then the mean.

    Args:
        clips: [F, C] each, one C.
        frames: length to pad to; None: that of the longest.
    Returns:
        x         [B, F, C]   float32
        valid     [B, F]      True where real
    Raises:
        ShapeError: no clip, different channels, or a clip longer than `frames`.
    """
    if not clips:
        raise ShapeError("found an empty batch, expected at least one clip")
    lengths = np.asarray([len(clip) for clip in clips])
    width = int(lengths.max()) if frames is None else frames
    if lengths.max() > width:
        raise ShapeError(f"found a clip of {lengths.max()} frames, expected at most {width}")
    inner = {clip.shape[1:] for clip in clips}
    if len(inner) != 1:
        raise ShapeError(f"found clips with different channels {sorted(inner)}, expected one")
    x = np.zeros((len(clips), width, *inner.pop()), np.float32)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip)] = clip
    return x, np.arange(width) < lengths[:, None]


def step_rng(seed: int, step: int, *purpose: int) -> np.random.Generator:
    """Random numbers of one step: the same whenever, wherever and after whatever interruption the step is made."""
    return np.random.default_rng(np.random.SeedSequence([seed, step, *purpose]))


class WindowSampler:
    """Windows of one length, drawn evenly from all offsets of all clips of a store that are long enough."""

    def __init__(
        self, store: Store, clips: NDArray[np.int64], batch: int, frames: int = 64, seed: int = 0, world: int = 1
    ) -> None:
        """
        Args:
            store: where the features lie.
            clips: clip numbers to draw from.
            batch: windows B a step and process.
            frames: rows F of a window.
            seed: of all draws.
            world: number of processes; together they draw one batch of world · B, so that two processes of B
                windows see the same as one of 2 B.
        Raises:
            ConfigError: no clip has so many frames.
        """
        self.rows = store.columns["features"]
        self.batch, self.frames, self.seed, self.world = batch, frames, seed, world
        records = [store.clips[int(number)] for number in clips]
        self.starts = np.asarray([record.row_start for record in records], np.int64)
        offsets = np.asarray([max(0, record.rows - frames + 1) for record in records], np.int64)
        self.ends = np.cumsum(offsets)
        if not len(offsets) or not self.ends[-1]:
            raise ConfigError(f"none of the {len(records)} clips has {frames} frames; choose shorter windows")
        self.first = self.ends - offsets

    @property
    def windows(self) -> int:
        """Number of different windows."""
        return int(self.ends[-1])

    def draw(self, step: int, rank: int = 0) -> NDArray[np.int64]:
        """First rows, in the features column, of the windows of one step, [B]."""
        every = step_rng(self.seed, step).integers(self.windows, size=self.batch * self.world)
        mine = every[rank * self.batch : (rank + 1) * self.batch]
        clip = np.searchsorted(self.ends, mine, side="right")
        return self.starts[clip] + mine - self.first[clip]

    def windows_at(self, step: int, rank: int = 0) -> Features:
        """The windows of one step, un-normalised, [B, F, C]; only their rows are read from disk."""
        return gather_windows(self.rows, self.draw(step, rank), self.frames)


def gather_windows(rows: Features, starts: NDArray[np.int64], frames: int) -> Features:
    """Windows rows[s : s + frames] for every start s, [B, F, C]."""
    out = np.empty((len(starts), frames, *rows.shape[1:]), rows.dtype)
    for window, start in zip(out, starts, strict=True):
        window[...] = rows[start : start + frames]
    return out


@dataclass(frozen=True)
class TextItem:
    """A stretch of a clip and the sentences about it: what a text-to-motion model learns from."""

    clip: int
    """Clip number in the store."""
    start: int
    """First feature row within the clip."""
    rows: int
    """Number of feature rows."""
    captions: tuple[Caption, ...]


def text_items(
    store: Store, clips: NDArray[np.int64], min_frames: int = 40, max_frames: int = 199
) -> tuple[TextItem, ...]:
    """Items by the published loader's rules: lengths 40 to 199 (KIT: from 24), a timed caption is an item of its own.

    A clip outside the limits is left out with its timed captions; so is a clip without captions.
    """
    items: list[TextItem] = []
    for number in map(int, clips):
        record = store.clips[number]
        if not min_frames <= record.rows <= max_frames:
            continue
        whole = tuple(caption for caption in record.captions if caption.is_whole)
        if whole:
            items.append(TextItem(number, 0, record.rows, whole))
        for caption in record.captions:
            if caption.is_whole:
                continue
            start, end = int(caption.start_s * record.fps), min(int(caption.end_s * record.fps), record.rows)
            if min_frames <= end - start <= max_frames:
                items.append(TextItem(number, start, end - start, (caption,)))
    return tuple(items)


def crop(rows: int, rng: np.random.Generator, unit: int = 4) -> tuple[int, int]:
    """A random stretch whose length is a multiple of `unit`: the longest such, or with probability 1/3 one unit less.

    Returns:
        first row, number of rows
    """
    units = rows // unit
    if units > 1 and rng.integers(3) == 2:
        units -= 1
    length = units * unit
    return int(rng.integers(rows - length + 1)), length


def pick_caption(about: ClipRecord | TextItem, rng: np.random.Generator) -> Caption | None:
    """One of the captions, each as likely; None where there is none."""
    if not about.captions:
        return None
    return about.captions[int(rng.integers(len(about.captions)))]
