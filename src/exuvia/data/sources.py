"""What `prepare` can read: the protocol of a source, and one class a layout, found by looking at the folder."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import Caption
from exuvia.errors import DataError
from exuvia.files import sha256_file
from exuvia.shapes import Features, Joints


@dataclass(frozen=True)
class RawClip:
    """A clip as its source has it."""

    id: str
    joints: Joints | None
    """[F, J, 3], or None where only features are shipped."""
    split: str
    source: str
    fps: float
    features: Features | None = None
    """[rows, C] where the source ships them: they are stored as they are."""
    captions: tuple[Caption, ...] = ()
    caption_kind: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    frame_labels: NDArray[np.int16] | None = None
    licence: str = ""
    sensor: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)


class Source(ABC):
    """A collection of clips in one layout."""

    name: str
    """The layout, for the manifest."""
    ids: Sequence[str]
    """Clip ids in a fixed order."""
    has_twins = False
    """True where mirrored twins are already among the ids."""

    @abstractmethod
    def read(self, number: int) -> RawClip:
        """One clip. Raises ExuviaError, ValueError or OSError for a bad one, which is then skipped."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What the source is made of, JSON-ready: the same for the same contents, wherever they lie."""

    @abstractmethod
    def stamp(self) -> dict[str, Any]:
        """A cheap fingerprint (sizes and times); equal stamps mean equal contents, the reverse need not hold."""


def hash_split(name: str, seed: int = 0) -> str:
    """A split by hash of the id, in HumanML3D's shares: 80 % train, 5 % val, 15 % test."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64
    return "train" if draw < 0.80 else "val" if draw < 0.85 else "test"


class FileSource(Source):
    """What a source of files below one folder shares: it names them, and so its fingerprint and stamp follow."""

    root: Path
    """The folder."""
    settings: Mapping[str, Any] = {}
    """What else decides the clips."""

    @abstractmethod
    def files(self) -> list[Path]:
        """All files that are read, in a fixed order."""

    def fingerprint(self) -> dict[str, Any]:
        """SHA-256 over the relative names and contents of the files. Raises DataError if one cannot be read."""
        total = hashlib.sha256()
        for path in self.files():
            try:
                total.update(f"{path.relative_to(self.root).as_posix()}\0{sha256_file(path)}\n".encode())
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        return {"layout": self.name, "sha256": total.hexdigest(), **self.settings}

    def stamp(self) -> dict[str, Any]:
        """SHA-256 over the relative names, sizes and modification times of the files."""
        total = hashlib.sha256()
        for path in self.files():
            facts = path.stat()
            named = path.relative_to(self.root).as_posix()
            total.update(f"{named}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return {"layout": self.name, "stamp": total.hexdigest(), **self.settings}
