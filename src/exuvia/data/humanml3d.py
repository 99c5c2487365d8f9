"""Source of clips from a folder in HumanML3D's official layout (also KIT-ML and Motion-X), with published features.

Layout and loader rules: HumanML3D repository README; momask-codes, data/t2m_dataset.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import read_captions
from exuvia.data.sources import FileSource, RawClip
from exuvia.errors import ConfigError, DataError
from exuvia.features.representation import Representation
from exuvia.readers import read_npy, read_utf8

SPLIT_FILES = ("train", "val", "test")


class HumanML3DFolder(FileSource):
    """`new_joint_vecs/ID.npy`, `new_joints/ID.npy` (optional), `texts/ID.txt`, `train.txt`, `val.txt`, `test.txt`."""

    name = "humanml3d-folder"

    def __init__(self, folder: Path, representation: Representation) -> None:
        """Read the split lists. Raises DataError for unusable lists, ConfigError for features of another layout."""
        self.root = folder
        self.representation = representation
        self.split_of: dict[str, str] = {}
        for split in SPLIT_FILES:
            path = folder / f"{split}.txt"
            if not path.is_file():
                continue
            for name in read_utf8(path, "list of clip ids").split():
                if len(name.encode()) > 240:
                    raise DataError(
                        f"{path} has an id of {len(name)} letters, {name[:20]} ..., too long for a file name"
                    )
                if self.split_of.setdefault(name, split) != split:
                    raise DataError(f"{name} is in both {self.split_of[name]}.txt and {split}.txt of {folder}")
        if not self.split_of:
            raise DataError(f"{folder} has no train.txt, val.txt or test.txt with clip ids")
        self.ids = list(self.split_of)
        self.has_twins = any(name.startswith("M") and name[1:] in self.split_of for name in self.ids)
        self._check_channels()

    @staticmethod
    def fits(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return (folder / "new_joint_vecs").is_dir()

    def _check_channels(self) -> None:
        present = (self._vectors(name) for name in self.ids)
        first = next((path for path in present if path.is_file()), None)
        if first is None:
            raise DataError(f"{self.root}/new_joint_vecs holds none of the clips in the split lists")
        shape = _load(first).shape
        if len(shape) == 2 and shape[1] != self.representation.dim:
            other = {263: "humanml3d", 251: "kit"}.get(shape[1])
            remedy = f"use representation {other!r}" if other else "this layout is unknown"
            wanted = f"{self.representation.dim} for {self.representation.name!r}"
            raise ConfigError(f"{first} has {shape[1]} channels, expected {wanted}; {remedy}")

    def _vectors(self, name: str) -> Path:
        return self.root / "new_joint_vecs" / f"{name}.npy"

    def read(self, number: int) -> RawClip:
        """Read one clip: the features, and the joints if the folder has them."""
        name = self.ids[number]
        features = _load(self._vectors(name)).astype(np.float32, copy=False)
        joint_path = self.root / "new_joints" / f"{name}.npy"
        joints = _load(joint_path).astype(np.float32, copy=False) if joint_path.is_file() else None
        return RawClip(
            id=name,
            joints=joints,
            features=features,
            split=self.split_of[name],
            source=self.root.resolve().name,
            fps=self.representation.fps,
            captions=read_captions(self.root / "texts" / f"{name}.txt"),
            caption_kind="human",
            labels={"mirrored": name.startswith("M") and name[1:] in self.split_of},
            provenance={"file": f"new_joint_vecs/{name}.npy"},
        )

    def files(self) -> list[Path]:
        """Return all files that are read."""
        lists = [f"{split}.txt" for split in SPLIT_FILES]
        parts = ("new_joint_vecs/{}.npy", "new_joints/{}.npy", "texts/{}.txt")
        paths = [self.root / name for name in lists + [part.format(name) for name in self.ids for part in parts]]
        return [path for path in paths if path.is_file()]


def _load(path: Path) -> NDArray[Any]:
    array = read_npy(path, f"{path.parent.name}/{path.name}")
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path.parent.name}/{path.name} holds values of type {array.dtype}, expected numbers")
    return array
