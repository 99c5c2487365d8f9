"""Small valid files, stores and models, created at their first use, which campaigns damage and interrupt."""

import os
import site
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.data.prepare import prepare
from exuvia.motion.clip import Clip

TESTS = Path(__file__).resolve().parents[2] / "tests"


def made_by(module: str) -> Any:
    """Import a module of the tests that makes small files and models."""
    site.addsitedir(str(TESTS))
    return import_module(module)


class Fixtures:
    """A folder of valid files, stores and models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")

    @cached_property
    def clip(self) -> Clip:
        """A walking body, twelve frames."""
        return Clip(made_by("made_mocap").body(12), fps=20.0, caption="a person walks")

    @cached_property
    def tiny(self) -> Any:
        """A generator of width 16 with the hashed caption encoder."""
        return made_by("tiny").tiny_pipeline()

    @cached_property
    def pipeline(self) -> Path:
        """Its folder."""
        return Path(self.tiny.save_pretrained(self.root / "tiny"))

    @cached_property
    def mocap(self) -> Path:
        """Six clips in the layout of clips.npz and clips.jsonl."""
        return Path(made_by("made_mocap").mocap_folder(self.root / "mocap", clips=6))

    @cached_property
    def store(self) -> Path:
        """Eighty synthetic clips."""
        return prepare("synthetic", self.root / "store", count=80).folder

    def motion(self, folder: Path, suffix: str, frames: int = 12) -> Path:
        """The first frames of the clip in one of the formats."""
        return Path(Clip(self.clip.joints[:frames], fps=20.0).save(folder / f"m{suffix}"))


def put(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files by name."""
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)


def body_model(path: Path) -> None:
    """Return a synthetic body model [joints as vertices] in the layout of SMPL-H."""
    from exuvia.motion.skeleton import SMPL22

    rest = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22.parents):
        rest[joint] = SMPL22.rest_offsets[joint] + (rest[parent] if parent >= 0 else 0)
    tree = np.stack([np.asarray(SMPL22.parents), np.arange(22)])
    path.parent.mkdir(parents=True)
    np.savez(path, v_template=rest, shapedirs=np.ones((22, 3, 4)) / 99, J_regressor=np.eye(22), kintree_table=tree)
