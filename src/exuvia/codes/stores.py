"""Several prepared stores as one training corpus: which clips, in which shares, from which data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.data.splits import actual_rule, split_store
from exuvia.data.store import ClipRecord, Store
from exuvia.errors import ConfigError
from exuvia.features.normaliser import Normaliser
from exuvia.shapes import Features


@dataclass(frozen=True)
class CorpusConfig:
    """Which stores and clips to learn from."""

    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    shares: tuple[float, ...] = ()
    """Probability of drawing from each store; empty: by number of frames."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors (optical, kinect, synthetic ...); empty: all."""
    without: tuple[str, ...] = ()
    """Concepts (violence, kick ...) whose clips are left out of every split: a generator trained so never saw them."""


@dataclass(frozen=True)
class Item:
    """One clip of the corpus."""

    store: int
    """Index of its store."""
    index: int
    """Index within the store."""
    record: ClipRecord
    """Captions, labels, split."""


class Corpus:
    """Clips of several stores, by split."""

    def __init__(self, config: CorpusConfig) -> None:
        if not config.data:
            raise ConfigError("no data given; name at least one folder made by `exuvia prepare`")
        if config.shares and len(config.shares) != len(config.data):
            raise ConfigError(f"found {len(config.shares)} shares for {len(config.data)} stores, expected one each")
        self.config = config
        self.stores = [Store.open(Path(folder)) for folder in config.data]
        self.left_out = [self._left_out(store) for store in self.stores]

    def _left_out(self, store: Store) -> frozenset[int]:
        """Numbers of a store's clips that show one of the concepts to go without."""
        everything = np.arange(len(store))
        shown = [
            split_store(store, concept, actual_rule(store, concept, "auto", everything)).forget
            for concept in self.config.without
        ]
        return frozenset(store.index_of[name] for names in shown for name in names)

    def items(self, split: str) -> list[Item]:
        """Clips of a split, of the wanted sensors, in store order. Raises ConfigError if there are none."""
        found = [
            Item(number, index, store.clips[index])
            for number, store in enumerate(self.stores)
            for index in map(int, store.select(split=split))
            if index not in self.left_out[number]
            and (not self.config.sensors or store.clips[index].sensor in self.config.sensors)
        ]
        if not found:
            sensors = self.config.sensors or "all"
            raise ConfigError(f"no {split} clips in {', '.join(self.config.data)} for sensors {sensors}")
        return found

    def features(self, item: Item) -> Features:
        """Un-normalised features [F-1, C], memory-mapped."""
        return self.stores[item.store].features(item.index)

    def weights(self, items: Sequence[Item], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Drawing probability of every item: proportional to its size within its store's share."""
        weights = sizes.astype(np.float64)
        if self.config.shares:
            stores = np.asarray([item.store for item in items])
            for number, share in enumerate(self.config.shares):
                mine = stores == number
                total = weights[mine].sum()
                if total > 0:
                    weights[mine] *= share / total
        return weights / weights.sum()

    def normaliser(self) -> Normaliser:
        """Mean and deviation over the real (not synthetic) training clips, or all if there are no real ones."""
        items = self.items("train")
        real = [item for item in items if item.record.sensor != "synthetic"] or items
        joints = (self.features(real[0]).shape[1] + 1) // 12
        return Normaliser.fit((self.features(item) for item in real), joints)

    def facts(self) -> Mapping[str, Any]:
        """For the provenance: every store with its data hash."""
        data = [
            {"store": store.name, "hash": store.data_hash, "left_out": len(left_out)}
            for store, left_out in zip(self.stores, self.left_out, strict=True)
        ]
        return {"data": data, "sensors": self.config.sensors, "without": self.config.without}
