"""Reads published BAMM checkpoints; the folders are MoMask's in form, but stand in three places.

    <log>/t2m/t2m/<decoder>/{opt.txt, model/latest.tar}          options with `trans`, and vq_name
    <log>/vq/t2m/<tokenizer>/{opt.txt, meta/, model/*.tar}       as of MoMask
    <residual transformer>/{opt.txt, model/net_best_fid.tar}     as of MoMask

Sources: exitudio BAMM, commit c9c6be0, options and eval_t2m_trans_res.py. There is no length estimator: the end token
says how long a motion is.
"""

from dataclasses import dataclass
from pathlib import Path

from exuvia.published.momask import (
    Options,
    load_bamm,
    load_residual,
    load_tokenizer,
    read_options,
    statistic,
    weights_file,
)
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.shapes import Floats
from exuvia.tokens.rvqvae import RVQVAE


@dataclass(frozen=True)
class OfficialBAMM:
    """The parts of a published generator, in evaluation mode, with weights checked and loaded."""

    tokenizer: RVQVAE
    decoder: BAMM
    residual: ResidualTransformer
    mean: Floats
    """Of the features, float32 [C]."""
    std: Floats
    """Of the features, float32 [C]."""
    options: dict[str, Options]
    """The three option files."""
    files: dict[str, Path]
    """The file that each part's weights came from."""


def load_bamm_folders(decoder: str | Path, tokenizer: str | Path, residual: str | Path) -> OfficialBAMM:
    """Load a published BAMM generator from its three folders.

    Raises:
        CheckpointError: a file is missing, corrupt or holds pickled objects, or weights do not have the names and
            shapes that the option files ask for.
    """
    folders = {"mask": Path(decoder), "tokenizer": Path(tokenizer), "residual": Path(residual)}
    options = {part: read_options(folder / "opt.txt") for part, folder in folders.items()}
    files = {part: weights_file(folder, part) for part, folder in folders.items()}
    mean, std = (statistic(folders["tokenizer"] / "meta" / f"{kind}.npy") for kind in ("mean", "std"))
    return OfficialBAMM(
        load_tokenizer(files["tokenizer"], options["tokenizer"], len(mean)),
        load_bamm(files["mask"], options["mask"], options["tokenizer"]),
        load_residual(files["residual"], options["residual"], options["tokenizer"]),
        mean, std, options, files,
    )  # fmt: skip
