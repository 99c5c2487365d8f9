"""`exuvia prepare`: one memory-mapped store of a folder of motions and captions."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from exuvia.config import Count, Seed, settings
from exuvia.progress import progress_bar


@settings
class PrepareConfig:
    """What to prepare, and where to."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """HumanML3D's or KIT's folder, a folder with clips.npz and clips.jsonl, a folder of motion files, one motion
    file, or the word `synthetic`; several are joined with '+'."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the store; it must not exist yet, or hold the same data set."""
    mirror: bool = True
    """Add mirrored twins of train clips, unless the source brings its own."""
    representation: str = "humanml3d"
    """Feature layout: humanml3d or kit."""
    limit: Count | None = None
    """Use only this many clips, evenly spread over the source."""
    seed: Seed = 0
    """Seed of synthetic motion and of splits by hash."""
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Number of synthetic clips."""


def prepare(config: PrepareConfig) -> None:
    """Make a store that training and evaluation read: joints, features, captions, labels, checksums.

    Running it again does nothing; a run that was killed continues where it stopped.
    """
    from exuvia.data.prepare import prepare as prepare_store

    with progress_bar("prepare", "clips") as progress:
        store = prepare_store(**vars(config), progress=progress)
    splits = ", ".join(f"{count} {split}" for split, count in store.manifest["by_split"].items())
    skipped = len(store.manifest["skipped"])
    print(f"{config.out}: {len(store)} clips ({splits}), {skipped} skipped, data {store.data_hash[:12]}")
    for licence, count in store.manifest["by_licence"].items():
        print(f"  {count} clips: {licence or 'no licence stated'}")
