"""Clips of one or several prepared stores, selected by split, sensor and concept, with shares for drawing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.cache import stable_hash
from exuvia.data.concepts import find_concept
from exuvia.data.record import ClipRecord
from exuvia.data.settings import CorpusConfig
from exuvia.data.splits import actual_rule, split_store
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.shapes import Features


@dataclass(frozen=True)
class ClipSet:
    """Clips of one or several stores of one representation, in the stores' order."""

    stores: tuple[Store, ...]
    places: tuple[tuple[int, int], ...]
    """Store of each clip, and its number within that store."""
    shares: tuple[float, ...] = ()
    """Probability of drawing from each store; empty: all clips have the same chance."""
    source_power: float = 1.0
    """See `CorpusConfig`."""

    @classmethod
    def of(cls, *stores: Store) -> "ClipSet":
        """All clips of the given stores. Raises ConfigError without stores."""
        if not stores:
            raise ConfigError("no data given; name at least one folder made by `exuvia prepare`")
        return cls(stores, tuple((number, index) for number, store in enumerate(stores) for index in range(len(store))))

    def __len__(self) -> int:
        return len(self.places)

    def record(self, number: int) -> ClipRecord:
        """Facts about a clip: captions, labels, split, sensor."""
        store, index = self.places[number]
        return self.stores[store].clips[index]

    def features(self, number: int) -> Features:
        """Un-normalised features of a clip [rows, C], memory-mapped."""
        store, index = self.places[number]
        return self.stores[store].features(index)

    @cached_property
    def data_hash(self) -> str:
        """Hash that changes with the data and the choice of clips."""
        return stable_hash([[store.data_hash for store in self.stores], self.places])

    def choose(
        self, split: str | None = None, *, sensors: Sequence[str] = (), captioned: bool = False, rows: int = 0
    ) -> "ClipSet":
        """Select clips by split, sensors (empty: all), caption or number of rows. Raises ConfigError without any."""

        def fits(clip: ClipRecord) -> bool:
            chosen = split in (None, clip.split) and (not sensors or clip.sensor in sensors)
            return chosen and clip.rows >= rows and (bool(clip.captions) or not captioned)

        places = tuple(place for number, place in enumerate(self.places) if fits(self.record(number)))
        if not places:
            kind = " ".join(filter(None, (split, "captioned" if captioned else "", "clip")))
            kind += f" of at least {rows} rows" if rows else ""
            names = ", ".join(str(store.folder) for store in self.stores)
            raise ConfigError(f"no {kind} in {names}, sensors: {', '.join(sensors) or 'all'}; choose other data")
        return replace(self, places=places)

    def sample(self, count: int, rng: np.random.Generator) -> list[int]:
        """Draw the numbers of `count` different clips, or of all clips if there are fewer."""
        drawn = rng.choice(len(self), min(count, len(self)), replace=False, p=self.chances)
        return [int(number) for number in drawn]

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        """Probability of drawing each clip, see `weights`; clips of a store and source are alike."""
        return self.weights(range(len(self)), np.ones(len(self)))

    def weights(self, numbers: Sequence[int], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of drawing each of the listed clips, proportional to its size within its source, by the powers of
        its store's sources and its store's share."""
        weights = sizes.astype(np.float64)
        stores = np.asarray([self.places[number][0] for number in numbers])
        if self.source_power < 1:
            sources = [(self.places[number][0], self.record(number).source) for number in numbers]
            _, kinds = np.unique([f"{store} {source}" for store, source in sources], return_inverse=True)
            weights *= np.maximum(np.bincount(kinds, weights), 1e-9)[kinds] ** (self.source_power - 1)
        for number, share in enumerate(self.shares):
            mine = stores == number
            total = weights[mine].sum()
            if total > 0:
                weights[mine] *= share / total
        return weights / weights.sum()

    def normaliser(self) -> Normaliser:
        """Mean and standard deviation over these clips, without synthetic clips if there are others."""
        real = [n for n in range(len(self)) if self.record(n).sensor != "synthetic"] or range(len(self))
        joints = self.stores[0].representation.skeleton.num_joints
        return Normaliser.fit((self.features(n) for n in real), joints)


def open_corpus(config: CorpusConfig) -> tuple[ClipSet, dict[str, Any]]:
    """Clips of all splits to learn from, and the stores' hashes for the provenance. Raises ConfigError or DataError."""
    if config.shares and len(config.shares) != len(config.data):
        raise ConfigError(f"found {len(config.shares)} shares for {len(config.data)} stores, expected one each")
    without = [find_concept(name) for name in config.without]
    clips = ClipSet.of(*(Store.open(Path(folder)) for folder in config.data))
    left_out = []
    for store in clips.stores:
        everything = np.arange(len(store))
        splits = [split_store(store, concept, actual_rule(store, concept, "auto", everything)) for concept in without]
        left_out.append({store.index_of[name] for split in splits for name in split.forget})
    places = tuple((store, index) for store, index in clips.places if index not in left_out[store])
    chosen = replace(clips, places=places, shares=config.shares, source_power=config.source_power)
    chosen = chosen.choose(sensors=config.sensors)
    data = [
        {"store": store.name, "hash": store.data_hash, "left_out": len(numbers)}
        for store, numbers in zip(clips.stores, left_out, strict=True)
    ]
    return chosen, {"data": data, "sensors": config.sensors, "without": config.without}
