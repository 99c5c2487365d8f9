"""Source of clips from a folder of unified motion capture: `clips.npz` (joints, offsets) and `clips.jsonl`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import Caption
from exuvia.data.sources import FileSource, RawClip
from exuvia.errors import DataError
from exuvia.features.representation import Representation
from exuvia.readers import parse_as, parse_json, read_lines, read_npz

LABELS = ("violent", "keyword_violent", "side", "label")
PROVENANCE = ("trial", "segment", "fix", "note", "max_jump_m", "flag_jump")


@dataclass(frozen=True)
class _WithId:
    id: str


@dataclass(frozen=True)
class _Line(_WithId):
    """Facts about a clip in its line, in addition to `LABELS` and `PROVENANCE`."""

    split: str = "train"
    source: str = "mocap"
    fps: float = 20.0
    captions: tuple[Caption, ...] = ()
    caption_kind: str = ""
    licence: str = ""
    sensor: str = ""


class MocapFolder(FileSource):
    """Clips of 22 joints at 20 fps: one array joints [sum F, 22, 3], and offsets [clips + 1] of first frames."""

    name = "mocap"

    def __init__(self, folder: Path, layout: Representation) -> None:
        """Read the index; `layout` is not used. Raises DataError if `clips.jsonl` is missing or malformed."""
        self.root, path = folder, folder / "clips.jsonl"
        self.lines = read_lines(path)
        self.ids = [parse_as(_WithId, line, f"{path}, line {n},").id for n, line in enumerate(self.lines, 1)]

    @staticmethod
    def fits(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return (folder / "clips.npz").is_file() and (folder / "clips.jsonl").is_file()

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        path = self.root / "clips.npz"
        joints, offsets = read_npz(path, ("joints", "offsets")).values()
        if joints.ndim != 3 or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
            shapes = f"joints {joints.shape} and offsets {offsets.shape} of type {offsets.dtype}"
            raise DataError(f"{path} holds {shapes}, expected (frames, 22, 3) and integers (clips + 1)")
        if len(offsets) != len(self.ids) + 1 or offsets[0] != 0 or offsets[-1] != len(joints):
            raise DataError(f"{path} holds {len(offsets) - 1} clips, clips.jsonl {len(self.ids)}; they must agree")
        if (np.diff(offsets.astype(np.int64)) < 0).any():
            raise DataError(f"{path} has offsets that decrease, expected the first frame of each clip in order")
        return joints, offsets.astype(np.int64)

    def read(self, number: int) -> RawClip:
        """Read one clip with all facts of its line."""
        joints, offsets = self._arrays
        line = self.lines[number]
        facts, fields = parse_json(line, "its line"), parse_as(_Line, line, "its line of clips.jsonl")
        return RawClip(
            **vars(fields),
            joints=joints[offsets[number] : offsets[number + 1]],
            labels={name: facts.get(name) for name in LABELS},
            provenance={"file": "clips.npz", **{name: facts[name] for name in PROVENANCE if name in facts}},
        )

    def files(self) -> list[Path]:
        """Return all files that are read."""
        return [self.root / "clips.jsonl", self.root / "clips.npz"]
