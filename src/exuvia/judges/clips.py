"""Batches of clips for the networks that judge motion: random crops, and masks of wrong pairs."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.data.batches import pad_batch
from exuvia.data.captions import Caption
from exuvia.data.clips import ClipSet
from exuvia.features.normaliser import Normaliser
from exuvia.judges.guo import UNIT


def judged_clips(clips: ClipSet, *, captioned: bool = False) -> tuple[ClipSet, ClipSet]:
    """Train and validation clips of sufficient length. Raises ConfigError if there are none."""
    train, val = (clips.choose(name, captioned=captioned, rows=16) for name in ("train", "val"))
    return train, val


def random_crop(
    clips: ClipSet, number: int, longest: int, rng: np.random.Generator, caption: Caption | None = None
) -> range:
    """Rows of a random crop of whole units, in a third of cases one unit shorter than possible (momask-codes).

    A caption with times restricts the crop to its part of the clip, unless that is shorter than four units.
    """
    low, high = 0, clips.record(number).rows
    if caption is not None and not caption.is_whole:
        fps = clips.record(number).fps
        begin, end = max(0, int(caption.start_s * fps)), min(high, int(caption.end_s * fps))
        if end - begin >= 4 * UNIT:
            low, high = begin, end
    units = min(high - low, longest) // UNIT
    units -= int(units > 4 and rng.random() < 1 / 3)
    start = low + int(rng.integers(0, high - low - units * UNIT + 1))
    return range(start, start + units * UNIT)


def padded(
    clips: ClipSet, numbers: Sequence[int], crops: Sequence[range], normaliser: Normaliser
) -> tuple[Tensor, Tensor]:
    """Normalised features [B, F, C] of crops, zero at padding, and their lengths [B]."""
    rows = [clips.features(number)[crop.start : crop.stop] for number, crop in zip(numbers, crops, strict=True)]
    batch, valid = pad_batch([normaliser.normalise(clip) for clip in rows])
    return torch.from_numpy(batch), torch.from_numpy(valid.sum(1))


def kinds_of(clips: ClipSet) -> list[frozenset[str]]:
    """The kinds of every clip, which are its captions and its label with its side; clips that share one are alike."""
    kinds = []
    for clip in map(clips.record, range(len(clips))):
        names = {caption.text for caption in clip.captions}
        label = clip.labels.get("label")
        if label is not None:
            names.add(f"label:{clip.source}:{label}:{clip.labels.get('side')}:{clip.labels.get('mirrored')}")
        kinds.append(frozenset(names))
    return kinds


def distinct_batches(clips: ClipSet, size: int, rng: np.random.Generator) -> list[list[int]]:
    """Disjoint random batches without clips of the same kind; clips that fit into no batch are dropped."""
    kinds, batches, met = kinds_of(clips), list[list[int]](), list[set[str]]()
    for number in map(int, rng.permutation(len(clips))):
        free = (b for b, batch in enumerate(batches) if len(batch) < size and not kinds[number] & met[b])
        place = next(free, len(batches))
        if place == len(batches):
            batches.append([])
            met.append(set())
        batches[place].append(number)
        met[place] |= kinds[number]
    return [batch for batch in batches if len(batch) == size]


def negatives(kinds: Sequence[frozenset[str]]) -> Tensor:
    """Mask of clips of different kinds in a batch [B, B]; pairs with equal captions are not wrong pairs."""
    return torch.tensor([[not (a & b) for b in kinds] for a in kinds])


def binary_labels(clips: ClipSet, name: str) -> NDArray[np.bool_]:
    """A label of every clip, False if the source does not state it [N]."""
    return np.asarray([bool(clips.record(n).labels.get(name)) for n in range(len(clips))])
