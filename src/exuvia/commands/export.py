"""`exuvia export humanml3d` and `momask`: writes a data set or a pipeline in the layout of other projects."""

from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings
from exuvia.files import check_folder
from exuvia.progress import progress_bar


@settings
class ExportHumanML3DConfig(OverwriteSwitch):
    """Data set and output folder."""

    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Folder made by `exuvia prepare`."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; an older export there is replaced."""


def export_humanml3d(config: ExportHumanML3DConfig) -> None:
    """Write a prepared data set as the folder that MoMask, MDM, T2M-GPT and similar projects load.

    Captions without part-of-speech tags are tagged; clips without captions are omitted.
    """
    from exuvia.data.export_humanml3d import export_humanml3d as export_store
    from exuvia.data.store import Store

    store = Store.open(config.store)
    with progress_bar("export", "clips") as progress:
        folder = export_store(store, config.out, overwrite=config.overwrite, progress=progress)
    left_out = sum(not clip.captions for clip in store.clips)
    print(f"{folder}: {len(store) - left_out} clips, {left_out} without captions left out")


@settings
class ExportMomaskConfig(OverwriteSwitch):
    """Pipeline and output folder."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """A pipeline folder, such as one of `exuvia unlearn`."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Output folder, such as checkpoints/t2m; an older export there is replaced."""


def export_momask(config: ExportMomaskConfig) -> None:
    """Write tokenizer, both transformers and length estimator in MoMask's released layout.

    A generator from `exuvia import momask` gets its original folder names and options: scripts that load the original
    also load the edited one.
    """
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.published.export import FOLDER, save_momask

    check_folder(config.out, FOLDER, overwrite=config.overwrite, sources=[config.pipeline])
    folder = save_momask(MotionPipeline.from_pretrained(config.pipeline), config.out, overwrite=config.overwrite)
    for path in sorted(folder.rglob("*.tar")):
        print(f"wrote {path}")
