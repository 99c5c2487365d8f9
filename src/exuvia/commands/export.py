"""`exuvia export`: a data set, a generator or the prompts, in the form that other projects read."""

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


@settings
class ExportHubConfig:
    """Which generator, and under which name."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """A pipeline folder, such as one of `exuvia unlearn`."""
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OWNER/NAME")]
    """Repository on the Hugging Face hub; created if there is none."""
    licence: str = ""
    """Licence of the weights, such as mit or cc-by-nc-4.0; without it, the one that the card names."""
    private: bool = False
    """Whether a new repository is private."""


def export_hub(config: ExportHubConfig) -> None:
    """Push a generator with its model card to the Hugging Face hub; log in first with `hf auth login`."""
    from exuvia.pipeline.hub import push_to_hub
    from exuvia.pipeline.pipeline import MotionPipeline

    pipe = MotionPipeline.from_pretrained(config.pipeline)
    print(push_to_hub(pipe, config.name, licence=config.licence, private=config.private))


@settings
class ExportPromptsConfig(OverwriteSwitch):
    """Where to."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; an older export there is replaced."""


def export_prompts(config: ExportPromptsConfig) -> None:
    """Write the benchmark's prompts as JSON lines with a card, as `datasets.load_dataset` reads them."""
    from exuvia.evaluation.prompts.export import export_prompts as write

    print(f"wrote {write(config.out, overwrite=config.overwrite)}")
