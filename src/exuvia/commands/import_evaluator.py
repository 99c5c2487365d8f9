"""`exuvia import evaluator`: a published text-motion evaluator -> a folder for `--evaluator`."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ImportEvaluatorConfig:
    """Where the published files lie, and where the evaluator goes."""

    folder: tyro.conf.Positional[Path]
    """Folder with text_mot_match and Comp_v6_KLD005, such as checkpoints/t2m."""
    glove: Path
    """Folder of the word vectors, our_vab_data.npy and its lists."""
    out: Path
    """Folder to write; an older one there is replaced."""


def import_evaluator(config: ImportEvaluatorConfig) -> None:
    """Read Guo et al.'s released evaluator without unpickling objects, and save it for evaluations and benchmarks.

    Examples:
        exuvia import evaluator checkpoints/t2m --glove glove --out runs/guo

    Raises:
        CheckpointError: a file is missing, holds pickled code, or has another architecture.
        DataError: the word vectors cannot be read.
        OutputError: the folder cannot be written.
    """
    from exuvia.published.evaluator import load_evaluator_folder, save_evaluator

    found = load_evaluator_folder(config.folder, config.glove)
    folder = save_evaluator(found, config.out)
    sizes = found.model.config
    print(f"{folder}: {sizes.dim_pose} features, embeddings of {sizes.embedding}, {len(found.words.known)} words")
