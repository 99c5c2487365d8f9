"""Clips of prepared stores as batches for the evaluator and the classifier: crops, captions, which pairs are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.data.batches import pad_batch
from exuvia.data.captions import Caption
from exuvia.data.record import ClipRecord
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.guo import UNIT
from exuvia.shapes import Features


@dataclass(frozen=True)
class Crop:
    """A stretch of a clip's feature rows."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class ClipSet:
    """The clips of one split in one or several stores."""

    def __init__(
        self,
        stores: Sequence[Store],
        split: str,
        *,
        sensors: Sequence[str] = (),
        captioned: bool = False,
        rows: int = 16,
    ) -> None:
        """Choose clips.

        Args:
            stores: prepared data sets of one representation
            split: train, val or test
            sensors: only clips of these; empty: all
            captioned: only clips with a caption
            rows: only clips with at least so many feature rows
        Raises:
            ConfigError: no clip is left.
        """
        self.stores, self.split = list(stores), split
        self.places = [
            (number, int(index))
            for number, store in enumerate(self.stores)
            for index in store.select(split=split)
            if _wanted(store.clips[index], sensors, captioned, rows)
        ]
        if not self.places:
            names = ", ".join(str(store.folder) for store in self.stores)
            raise ConfigError(f"no {split} clip of at least {rows} rows in {names}; choose other data or sensors")

    def __len__(self) -> int:
        return len(self.places)

    def record(self, number: int) -> ClipRecord:
        """What is known of a clip."""
        store, index = self.places[number]
        return self.stores[store].clips[index]

    def features(self, number: int) -> Features:
        """Un-normalised features [rows, C] of a clip."""
        store, index = self.places[number]
        return self.stores[store].features(index)

    def normaliser(self) -> Normaliser:
        """Mean and deviation over these clips, without synthetic ones where there are others."""
        real = [n for n in range(len(self)) if self.record(n).sensor != "synthetic"] or list(range(len(self)))
        joints = (self.features(0).shape[1] + 1) // 12
        return Normaliser.fit((self.features(n) for n in real), joints)

    def whole(self, number: int, longest: int) -> Crop:
        """As many rows from the start as make whole units, at most `longest`."""
        return Crop(0, min(self.record(number).rows, longest) // UNIT * UNIT)

    def random_crop(self, number: int, longest: int, rng: np.random.Generator, caption: Caption | None = None) -> Crop:
        """A crop of whole units, one unit short in a third of cases, at a random start (momask-codes, t2m_dataset.py).

        A caption with times restricts it to its stretch, unless that is shorter than four units.
        """
        low, high = 0, self.record(number).rows
        if caption is not None and not caption.is_whole:
            fps = self.record(number).fps
            begin, end = max(0, int(caption.start_s * fps)), min(high, int(caption.end_s * fps))
            if end - begin >= 4 * UNIT:
                low, high = begin, end
        units = min(high - low, longest) // UNIT
        units -= int(units > 4 and rng.random() < 1 / 3)
        start = low + int(rng.integers(0, high - low - units * UNIT + 1))
        return Crop(start, start + units * UNIT)

    def padded(self, numbers: Sequence[int], crops: Sequence[Crop], normaliser: Normaliser) -> tuple[Tensor, Tensor]:
        """Normalised features [B, F, C] of crops, zero past their ends, and their lengths [B]."""
        rows = [self.features(number)[crop.start : crop.stop] for number, crop in zip(numbers, crops, strict=True)]
        batch, valid = pad_batch([normaliser.normalise(clip) for clip in rows])
        return torch.from_numpy(batch), torch.from_numpy(valid.sum(1))

    def kinds(self) -> list[frozenset[str]]:
        """For every clip, the names under which others count as the same: its captions, and its label with its side."""
        return [_kinds(self.record(number)) for number in range(len(self))]

    def distinct_batches(self, size: int, rng: np.random.Generator) -> list[list[int]]:
        """Disjoint batches in random order in which no two clips are of one kind; clips that fit nowhere stay out."""
        kinds, batches, met = self.kinds(), list[list[int]](), list[set[str]]()
        for number in map(int, rng.permutation(len(self))):
            free = (b for b, batch in enumerate(batches) if len(batch) < size and not kinds[number] & met[b])
            place = next(free, None)
            if place is None:
                place = len(batches)
                batches.append([])
                met.append(set())
            batches[place].append(number)
            met[place] |= kinds[number]
        return [batch for batch in batches if len(batch) == size]


def negatives(kinds: Sequence[frozenset[str]]) -> Tensor:
    """True where two clips of a batch are of different kinds [B, B]: captions repeat, and equal ones are not wrong."""
    return torch.tensor([[not (a & b) for b in kinds] for a in kinds])


def _wanted(clip: ClipRecord, sensors: Sequence[str], captioned: bool, rows: int) -> bool:
    return clip.rows >= rows and (not sensors or clip.sensor in sensors) and (bool(clip.captions) or not captioned)


def _kinds(clip: ClipRecord) -> frozenset[str]:
    names = {caption.text for caption in clip.captions}
    label = clip.labels.get("label")
    if label is not None:
        names.add(f"label:{clip.source}:{label}:{clip.labels.get('side')}:{clip.labels.get('mirrored')}")
    return frozenset(names)


def binary_labels(clips: ClipSet, name: str) -> NDArray[np.bool_]:
    """A label of every clip, False where the source says nothing [N]."""
    return np.asarray([bool(clips.record(n).labels.get(name)) for n in range(len(clips))])
