"""`exuvia import momask`, `bamm` and `evaluator`: converts published weights of other projects.

No object is unpickled. Imported generators are conditioned on one sentence vector, as in their training.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from exuvia.commands.pack import save
from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import check_folder, sha256_file
from exuvia.pipeline.settings import GenerationConfig
from exuvia.registry import TEXT_ENCODER, resolve

if TYPE_CHECKING:
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.published.momask import Official
    from exuvia.text.base import TextEncoder


@settings(kw_only=True)
class _PublishedConfig(OverwriteSwitch):
    """Output folder and caption encoder of published weights."""

    out: Path
    """Folder of the pipeline; an older one there is replaced."""
    text: str = "clip"
    """Caption encoder of the weights' training: clip (ViT-B/32) for the authors' weights."""
    half: bool = False
    """Whether to store weights as float16, which halves their size."""


@settings(kw_only=True)
class ImportMomaskConfig(_PublishedConfig):
    """Published weights and output folder."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of published checkpoints, such as checkpoints/t2m or checkpoints/kit."""


def import_momask(config: ImportMomaskConfig) -> None:
    """Convert MoMask's released folders (opt.txt, *.tar, meta/) to a pipeline."""
    check_folder(config.out, "pipeline", overwrite=config.overwrite, sources=[config.folder])
    pipe = from_momask(config.folder, config.text)
    save(pipe, config.out, half=config.half, overwrite=config.overwrite)


def from_momask(folder: Path, text: str) -> "MotionPipeline":
    """Make a pipeline from MoMask's weights. Raises CheckpointError or ConfigError."""
    from exuvia.published.momask import load_momask

    weights = load_momask(folder)
    if weights.length is None:
        raise CheckpointError(f"{folder} has no length_estimator/model/finest.tar; fetch it from the same release")
    names = {name: path.parent.parent.name for name, path in weights.files.items() if name != "length"}
    return _assembled("momask", weights, text, {"momask_names": names}, GenerationConfig())


@settings(kw_only=True)
class ImportBammConfig(_PublishedConfig):
    """Published weights and output folder."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of the decoder, with opt.txt and model/latest.tar."""
    tokenizer: Path
    """Folder of the RVQ-VAE, with opt.txt, meta/ and model/."""
    residual: Path
    """Folder of the residual transformer."""


def import_bamm(config: ImportBammConfig) -> None:
    """Convert BAMM's released folders to a pipeline."""
    from exuvia.published.momask import load_bamm_folders

    sources = [config.folder, config.tokenizer, config.residual]
    check_folder(config.out, "pipeline", overwrite=config.overwrite, sources=sources)
    weights = load_bamm_folders(config.folder, config.tokenizer, config.residual)
    # as published, every code may be drawn, and the second pass has its own guidance
    pipe = _assembled("bamm", weights, config.text, {}, GenerationConfig(keep_share=0.0))
    save(pipe, config.out, half=config.half, overwrite=config.overwrite)


def _assembled(
    project: str, weights: "Official", text: str, facts: dict[str, Any], sampling: GenerationConfig
) -> "MotionPipeline":
    """Assemble a pipeline; its provenance records the hashes of the published files and their options.

    Raises ConfigError if the width of the caption encoder `text` does not fit the weights.
    """
    from exuvia.features.normaliser import Normaliser
    from exuvia.pipeline.assemble import assemble
    from exuvia.published.momask import GUIDANCE, layout_of
    from exuvia.sequence.length import OwnLength

    layout = layout_of(weights.mean)
    hashes = {name: sha256_file(path) for name, path in weights.files.items()}
    facts = {project: hashes, **facts, f"{project}_options": weights.options}
    scale, width = Normaliser(weights.mean, weights.std), weights.base.config.text_dim
    encoder: TextEncoder = resolve(TEXT_ENCODER, text, "text encoder")()
    if encoder.dim != width:
        raise ConfigError(f"the caption encoder {text} has width {encoder.dim}, the weights expect {width}; see --text")
    rules: dict[str, Any] = {"generation": replace(sampling, cond_scale=GUIDANCE[layout]), "representation": layout}
    parts = (weights.tokenizer, scale, weights.base, weights.residual, weights.length or OwnLength())
    return assemble(*parts, encoder, pooled=True, facts=facts, **rules)


@settings
class ImportEvaluatorConfig(OverwriteSwitch):
    """Published files and output folder."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder with text_mot_match and Comp_v6_KLD005, such as checkpoints/t2m."""
    glove: Path
    """Folder of the word vectors, our_vab_data.npy and its lists."""
    out: Path
    """Folder to write; an older evaluator there is replaced."""


def import_evaluator(config: ImportEvaluatorConfig) -> None:
    """Convert Guo et al.'s released evaluator for evaluations and benchmarks."""
    from exuvia.published.evaluator import load_evaluator_folder, save_evaluator

    check_folder(config.out, "evaluator", overwrite=config.overwrite, sources=[config.folder, config.glove])
    evaluator = load_evaluator_folder(config.folder, config.glove)
    folder = save_evaluator(evaluator, config.out, overwrite=config.overwrite)
    sizes = evaluator.model.config
    print(f"{folder}: {sizes.dim_pose} features, embeddings of {sizes.embedding}, {len(evaluator.words.known)} words")
