"""Loads published BAMM checkpoints: folders like those of MoMask, in three different places.

    <log>/t2m/t2m/<decoder>/{opt.txt, model/latest.tar}          options with `trans`, and vq_name
    <log>/vq/t2m/<tokenizer>/{opt.txt, meta/, model/*.tar}       as of MoMask
    <residual transformer>/{opt.txt, model/net_best_fid.tar}     as of MoMask

Sources: exitudio BAMM, commit c9c6be0, options and eval_t2m_trans_res.py. There is no length estimator, because an end
token ends motions.
"""

from pathlib import Path

from exuvia.published.momask import Official, load_bamm, load_folders


def load_bamm_folders(decoder: str | Path, tokenizer: str | Path, residual: str | Path) -> Official:
    """Load a published BAMM generator from its three folders.

    Raises:
        CheckpointError: a file is missing, corrupt or holds pickled objects, or weights do not fit the option files.
    """
    return load_folders({"mask": Path(decoder), "tokenizer": Path(tokenizer), "residual": Path(residual)}, load_bamm)
