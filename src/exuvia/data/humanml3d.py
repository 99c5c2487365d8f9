"""Source of clips from a folder in HumanML3D's official layout (also KIT-ML and Motion-X), with published features.

Any part of the layout marks it. Missing features are computed from the joints. Other missing parts are named in an
error, so that an incomplete copy is not read as a folder of unrelated motion files.

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
MOTIONS = ("new_joint_vecs", "new_joints")


class HumanML3DFolder(FileSource):
    """`new_joint_vecs/ID.npy` or `new_joints/ID.npy` or both, `texts/ID.txt`, `train.txt`, `val.txt`, `test.txt`."""

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
        self._check_parts()
        self.ids = list(self.split_of)
        self.has_twins = any(name.startswith("M") and name[1:] in self.split_of for name in self.ids)
        self._check_channels()

    @staticmethod
    def fits(folder: Path) -> bool:
        """Whether the folder has a part of this layout: a folder of motions, or texts with a split list."""
        listed = any((folder / f"{split}.txt").is_file() for split in SPLIT_FILES)
        return any((folder / part).is_dir() for part in MOTIONS) or (listed and (folder / "texts").is_dir())

    def _check_parts(self) -> None:
        """Raise DataError if captions, motions, or a split list with further clips are missing."""
        if not (self.root / "texts").is_dir():
            raise DataError(f"{self.root} has no folder texts with captions; copy it from the data set")
        motions = {path.stem for part in MOTIONS for path in (self.root / part).glob("*.npy")}
        if not motions:
            raise DataError(f"{self.root} has no motions in {' or '.join(MOTIONS)}; copy one of them from the data set")
        lost = [f"{split}.txt" for split in SPLIT_FILES if not (self.root / f"{split}.txt").is_file()]
        unlisted = sorted(motions - set(self.split_of))
        if lost and unlisted:
            raise DataError(
                f"{self.root} has no {' and no '.join(lost)}, and {len(unlisted)} motions, such as {unlisted[0]}, are "
                "in no split list; copy the lists from the data set"
            )

    def _check_channels(self) -> None:
        first = next((path for name in self.ids if (path := self._motion(name)).is_file()), None)
        if first is None:
            raise DataError(f"{self.root} holds none of the clips in the split lists")
        shape = _load(first).shape
        if first.parent.name == "new_joints" and shape[1:] != (self.representation.skeleton.num_joints, 3):
            wanted = f"(frames, {self.representation.skeleton.num_joints}, 3) for {self.representation.name!r}"
            raise ConfigError(f"{first} has the shape {shape}, expected {wanted}; use another representation")
        elif len(shape) == 2 and shape[1] != self.representation.dim:
            other = {263: "humanml3d", 251: "kit"}.get(shape[1])
            remedy = f"use representation {other!r}" if other else "this layout is unknown"
            wanted = f"{self.representation.dim} for {self.representation.name!r}"
            raise ConfigError(f"{first} has {shape[1]} channels, expected {wanted}; {remedy}")

    def _motion(self, name: str) -> Path:
        """File of a clip's features, or of its joints if there are no features."""
        vectors, joints = (self.root / part / f"{name}.npy" for part in MOTIONS)
        return joints if joints.is_file() and not vectors.is_file() else vectors

    def read(self, number: int) -> RawClip:
        """Read one clip: the features and joints that the folder has."""
        name = self.ids[number]
        motion = self._motion(name)
        features = _load(motion).astype(np.float32, copy=False) if motion.parent.name == "new_joint_vecs" else None
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
            provenance={"file": f"{motion.parent.name}/{name}.npy"},
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
