"""`exuvia export humanml3d`: a prepared store in the layout that the official loaders accept."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from exuvia.data.export_humanml3d import export_humanml3d
from exuvia.data.store import Store


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    store: tyro.conf.Positional[Path]
    """Folder made by `exuvia prepare`."""
    out: tyro.conf.Positional[Path]
    """Folder to write; it must not exist yet, or be empty."""


def export(config: ExportConfig) -> Path:
    """Write a prepared data set as the folder that MoMask, MDM, T2M-GPT and their kin load.

    Captions without part-of-speech tags are tagged; clips without captions are left out.

    Examples:
        exuvia export humanml3d stores/mine dataset/HumanML3D

    Raises:
        DataError: no store, or nothing in it to export.
        OutputError: the folder is not empty or cannot be written.
    """
    store = Store.open(config.store)
    with tqdm(unit=" clips", desc="export", file=sys.stderr, disable=None, total=len(store)) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = export_humanml3d(store, config.out, progress=progress)
    left_out = sum(not clip.captions for clip in store.clips)
    print(f"{folder}: {len(store) - left_out} clips, {left_out} without captions left out")
    return folder
