"""`exuvia import momask`: a folder of published MoMask checkpoints -> one pipeline folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from exuvia.commands.pack import save
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import sha256_file
from exuvia.registry import TEXT_ENCODER, resolve


@dataclass(frozen=True)
class ImportMomaskConfig:
    """Where the published weights lie, and where the pipeline goes."""

    folder: tyro.conf.Positional[Path]
    """Folder of published checkpoints, such as checkpoints/t2m or checkpoints/kit."""
    out: Path
    """Folder of the pipeline; an older one there is replaced."""
    text: str = "clip"
    """Caption encoder that the weights learnt with: clip (ViT-B/32) for those of the authors."""
    half: bool = False
    """Store weights as float16: half the size."""


def import_momask(config: ImportMomaskConfig) -> None:
    """Read MoMask's released folders (opt.txt, *.tar, meta/) without unpickling code, and save them as one pipeline.

    Raises:
        CheckpointError: a part is missing, holds pickled code, or has another architecture.
        ConfigError: the caption encoder is absent or of another width.
        OutputError: the folder cannot be written.
    """
    save(from_momask(config.folder, config.text), config.out, config.half)


def from_momask(folder: Path, text: str) -> Any:
    """A pipeline of published weights, conditioned on one sentence vector as they were trained."""
    from exuvia.features.normaliser import Normaliser
    from exuvia.pipeline.assemble import assemble
    from exuvia.pipeline.settings import GenerationConfig
    from exuvia.published.momask import GUIDANCE, layout_of, load_momask

    found = load_momask(folder)
    if found.length is None:
        raise CheckpointError(f"{folder} has no length_estimator/model/finest.tar; fetch it from the same release")
    encoder = resolve(TEXT_ENCODER, text, "text encoder")()
    wanted = found.mask.config.text_dim
    if encoder.dim != wanted:
        raise ConfigError(
            f"the caption encoder {text} has width {encoder.dim}, the weights expect {wanted}; see --text"
        )
    parts = (found.tokenizer, Normaliser(found.mean, found.std), found.mask, found.residual, found.length)
    hashes = {name: sha256_file(path) for name, path in found.files.items()}
    names = {name: path.parent.parent.name for name, path in found.files.items() if name != "length"}
    facts = {"momask": hashes, "momask_names": names, "momask_options": found.options}
    layout = layout_of(found.mean)
    settings = GenerationConfig(cond_scale=GUIDANCE[layout])
    return assemble(*parts, encoder, pooled=True, generation=settings, facts=facts, representation=layout)
