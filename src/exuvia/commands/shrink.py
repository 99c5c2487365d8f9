"""`exuvia checkpoint shrink`: a finished run as a small folder that can be handed out."""

from pathlib import Path
from typing import Annotated

import tyro

from exuvia.config import settings
from exuvia.errors import CheckpointError
from exuvia.files import read_json, whole_folder, write_json

FACTS = ("config.json", "provenance.json", "metrics.json")


@settings
class ShrinkConfig:
    """Which run, and where to."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Finished run folder, such as that of the evaluator or the classifier."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; an older one is replaced whole."""


def shrink(config: ShrinkConfig) -> None:
    """Copy a finished run without its training traces, its weights as float16 (widened again on load).

    Raises:
        CheckpointError: the run is not finished.
        OutputError: the folder cannot be written.
    """
    from exuvia.checkpoint import halved, load_tensors, save_tensors

    if not all((config.run / name).is_file() for name in FACTS):
        raise CheckpointError(
            f"{config.run} is not a finished run; train it to its end, or: exuvia checkpoint finish {config.run}"
        )
    tensors = load_tensors(config.run / "weights.safetensors")
    with whole_folder(config.out) as out:
        for name in FACTS:
            write_json(out / name, read_json(config.run / name))
        save_tensors(out / "weights.safetensors", halved(tensors))
    size_mb = sum(path.stat().st_size for path in config.out.iterdir()) / 1e6
    print(f"{config.out}: {size_mb:.1f} MB")
