"""Source: a folder of unified motion capture, `clips.npz` (joints, offsets) with `clips.jsonl`."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exuvia.data.captions import Caption
from exuvia.data.sources import FileSource, RawClip
from exuvia.errors import DataError
from exuvia.features.representation import Representation

LABELS = ("violent", "keyword_violent", "side", "label")
PROVENANCE = ("trial", "segment", "fix", "note", "max_jump_m", "flag_jump")


class MocapFolder(FileSource):
    """Clips of 22 joints at 20 fps, all in one array: joints [sum F, 22, 3] cut by offsets [clips + 1]."""

    name = "mocap"
    has_twins = False

    def __init__(self, folder: Path, layout: Representation) -> None:
        """Read the index; `layout` is not needed. Raises DataError if `clips.jsonl` is missing or malformed."""
        self.root = folder
        try:
            lines = (folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
            self.facts = [json.loads(line) for line in lines]
            self.ids = [facts["id"] for facts in self.facts]
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{folder}/clips.jsonl is not one JSON object with an id a line ({error!r})") from None

    @staticmethod
    def fits(folder: Path) -> bool:
        """True if the folder has this layout."""
        return (folder / "clips.npz").is_file() and (folder / "clips.jsonl").is_file()

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        path = self.root / "clips.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                joints, offsets = arrays["joints"], arrays["offsets"]
        except Exception as error:
            raise DataError(f"{path} is not an archive with joints and offsets ({error})") from None
        if len(offsets) != len(self.ids) + 1 or offsets[0] != 0 or offsets[-1] != len(joints):
            raise DataError(f"{path} holds {len(offsets) - 1} clips, clips.jsonl {len(self.ids)}; they must agree")
        return joints, offsets

    def read(self, number: int) -> RawClip:
        """One clip with all that its line says."""
        joints, offsets = self._arrays
        facts = self.facts[number]
        captions = facts.get("captions", [])
        return RawClip(
            id=facts["id"],
            joints=joints[offsets[number] : offsets[number + 1]],
            split=facts.get("split", "train"),
            source=facts.get("source", self.name),
            fps=float(facts.get("fps", 20.0)),
            captions=tuple(
                Caption(c["text"], c.get("tokens"), c.get("start_s", 0.0), c.get("end_s", 0.0)) for c in captions
            ),
            caption_kind=facts.get("caption_kind", ""),
            labels={name: facts.get(name) for name in LABELS},
            licence=facts.get("licence", ""),
            sensor=facts.get("sensor", ""),
            provenance={"file": "clips.npz", **{name: facts[name] for name in PROVENANCE if name in facts}},
        )

    def files(self) -> list[Path]:
        """All files that are read."""
        return [self.root / "clips.jsonl", self.root / "clips.npz"]
