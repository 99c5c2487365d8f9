"""`exuvia export`: a prepared store in the layout of another project."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from exuvia.data.export_humanml3d import export_humanml3d
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.registry import suggest

FORMAT = {"humanml3d": export_humanml3d}
"""Layout -> what writes it."""


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    store: tyro.conf.Positional[Path]
    """Folder made by `exuvia prepare`."""
    out: tyro.conf.Positional[Path]
    """Folder to write; it must not exist yet, or be empty."""
    format: str = "humanml3d"
    """Layout: humanml3d (new_joint_vecs, new_joints, texts, split lists, Mean.npy, Std.npy)."""


def export(config: ExportConfig) -> Path:
    """Write a prepared data set as the folder that MoMask, MDM, T2M-GPT and their kin load.

    Captions without part-of-speech tags are tagged; clips without captions are left out.

    Examples:
        exuvia export stores/mine dataset/HumanML3D

    Raises:
        ConfigError: an unknown layout.
        DataError: no store, or nothing in it to export.
        OutputError: the folder is not empty or cannot be written.
    """
    if config.format not in FORMAT:
        raise ConfigError(f"unknown layout {config.format!r}; {suggest(config.format, FORMAT)}")
    store = Store.open(config.store)
    with tqdm(unit=" clips", desc="export", file=sys.stderr, disable=None, total=len(store)) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = FORMAT[config.format](store, config.out, progress=progress)
    left_out = sum(not clip.captions for clip in store.clips)
    print(f"{folder}: {len(store) - left_out} clips, {left_out} without captions left out")
    return folder
