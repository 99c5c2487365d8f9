"""`exuvia prepare`: converts a folder of motions and captions to a memory-mapped store."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from exuvia.commands.switches import SourceSwitches, show_warnings_in_switches
from exuvia.config import Count, Seed, settings
from exuvia.progress import progress_bar

SWITCHES = {field.name for field in fields(SourceSwitches)}


@settings
class PrepareConfig(SourceSwitches):
    """Source and output folder."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """HumanML3D's or KIT's folder, a folder with clips.npz and clips.jsonl, a folder of motion files, one motion
    file, or the word `synthetic`; join several with '+'."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the store; it must not exist, or must hold the same data set."""
    mirror: bool = True
    """Whether to add mirrored copies of train clips, unless the source contains them."""
    commercial: bool = False
    """Whether to leave out clips whose licence does not allow commercial use."""
    representation: str = "humanml3d"
    """Feature layout: humanml3d or kit."""
    limit: Count | None = None
    """Maximum number of clips, evenly spaced over the source."""
    seed: Seed = 0
    """Seed of synthetic motion and of splits by hash."""
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Number of synthetic clips."""


def prepare(config: PrepareConfig) -> None:
    """Make a store for training and evaluation: joints, features, captions, labels, checksums.

    A finished store is not made again; a killed run continues.
    """
    from exuvia.data.prepare import prepare as prepare_store

    show_warnings_in_switches(config)
    own = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in SWITCHES}
    with progress_bar("prepare", "clips") as progress:
        store = prepare_store(**own, motion=config.as_source(), progress=progress)
    splits = ", ".join(f"{count} {split}" for split, count in store.manifest["by_split"].items())
    skipped = len(store.manifest["skipped"])
    print(f"{config.out}: {len(store)} clips ({splits}), {skipped} skipped, data {store.data_hash[:12]}")
    for licence, count in store.manifest["by_licence"].items():
        print(f"  {count} clips: {licence or 'no licence stated'}")
