"""`exuvia import bamm`: folders of published BAMM checkpoints -> one pipeline folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from exuvia.commands.pack import save
from exuvia.errors import ConfigError
from exuvia.files import sha256_file
from exuvia.registry import TEXT_ENCODER, resolve


@dataclass(frozen=True)
class ImportBammConfig:
    """Where the published weights lie, and where the pipeline goes."""

    folder: tyro.conf.Positional[Path]
    """Folder of the decoder, with opt.txt and model/latest.tar."""
    tokenizer: Path
    """Folder of the RVQ-VAE, with opt.txt, meta/ and model/."""
    residual: Path
    """Folder of the residual transformer."""
    out: Path
    """Folder of the pipeline; an older one there is replaced."""
    text: str = "clip"
    """Caption encoder that the weights learnt with: clip (ViT-B/32) for those of the authors."""
    half: bool = False
    """Store weights as float16: half the size."""


def import_bamm(config: ImportBammConfig) -> None:
    """Read BAMM's released folders without unpickling code, and save them as one pipeline.

    Raises:
        CheckpointError: a part is missing, holds pickled code, or has another architecture.
        ConfigError: the caption encoder is absent or of another width.
        OutputError: the folder cannot be written.
    """
    save(from_bamm(config), config.out, config.half)


def from_bamm(config: ImportBammConfig) -> Any:
    """A pipeline of published weights, conditioned on one sentence vector as they were trained."""
    from exuvia.features.normaliser import Normaliser
    from exuvia.pipeline.assemble import assemble
    from exuvia.pipeline.settings import GenerationConfig
    from exuvia.published.bamm import load_bamm_folders
    from exuvia.published.momask import GUIDANCE, layout_of
    from exuvia.sequence.length import OwnLength

    found = load_bamm_folders(config.folder, config.tokenizer, config.residual)
    encoder = resolve(TEXT_ENCODER, config.text, "text encoder")()
    wanted = found.decoder.config.text_dim
    if encoder.dim != wanted:
        raise ConfigError(
            f"the caption encoder {config.text} has width {encoder.dim}, the weights expect {wanted}; see --text"
        )
    facts = {"bamm": {name: sha256_file(path) for name, path in found.files.items()}, "bamm_options": found.options}
    parts = found.tokenizer, Normaliser(found.mean, found.std), found.decoder, found.residual
    # published: every code may be drawn, and the second pass has a guidance of its own
    layout = layout_of(found.mean)
    settings = GenerationConfig(keep_share=0.0, cond_scale=GUIDANCE[layout])
    return assemble(*parts, OwnLength(), encoder, pooled=True, generation=settings, facts=facts, representation=layout)
