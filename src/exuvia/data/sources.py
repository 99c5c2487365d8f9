"""Sources that `prepare` can read: their base classes, and the clips that they return."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
    """A clip as it is in its source."""

    id: str
    joints: Joints | None
    """Joints [F, J, 3], or None if the source has only features."""
    split: str
    source: str
    fps: float
    features: Features | None = None
    """Features [rows, C] if the source has them; they are stored unchanged."""
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
    """Name of the layout, for the manifest."""
    ids: Sequence[str]
    """Clip ids in a fixed order."""
    has_twins = False
    """Whether mirrored twins are already among the ids."""

    @abstractmethod
    def read(self, number: int) -> RawClip:
        """Read one clip. Raises ExuviaError, ValueError or OSError for a bad clip, which is then skipped."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return values for JSON that identify the contents of the source, wherever it is stored."""

    @abstractmethod
    def stamp(self) -> dict[str, Any]:
        """Return a cheap fingerprint (sizes and times). Equal stamps mean equal contents, but not the reverse."""


def hash_split(name: str, seed: int = 0) -> str:
    """Split of an id by its hash, with HumanML3D's shares: 80 % train, 5 % val, 15 % test."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64
    return "train" if draw < 0.80 else "val" if draw < 0.85 else "test"


class FileSource(Source):
    """Base class of sources that read files below one folder."""

    root: Path
    """Folder that contains the files."""
    settings: Mapping[str, Any] = {}
    """Anything else that determines the clips."""

    @abstractmethod
    def files(self) -> list[Path]:
        """Return all files that are read, in a fixed order."""

    def fingerprint(self) -> dict[str, Any]:
        """Return the SHA-256 of relative names and contents of the files. Raises DataError for an unreadable file."""
        return {"layout": self.name, "sha256": self._digest(sha256_file), **self.settings}

    def stamp(self) -> dict[str, Any]:
        """Return the SHA-256 of relative names, sizes and modification times of the files."""

        def size_and_time(path: Path) -> str:
            return f"{path.stat().st_size}\0{path.stat().st_mtime_ns}"

        return {"layout": self.name, "stamp": self._digest(size_and_time), **self.settings}

    def _digest(self, describe: Callable[[Path], str]) -> str:
        total = hashlib.sha256()
        for path in self.files():
            try:
                total.update(f"{path.relative_to(self.root).as_posix()}\0{describe(path)}\n".encode())
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        return total.hexdigest()
