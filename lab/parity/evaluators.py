"""Parity of the text-motion evaluator and of the metrics with the official ones (cases 06_evaluators, 07_metrics)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from exuvia.checkpoint import load_into
from exuvia.errors import ShapeError
from exuvia.judges.guo import CONTACTS, GuoConfig, GuoEvaluator
from exuvia.judges.metrics import (
    Doubles,
    distances,
    diversity,
    fid,
    mean_and_covariance,
    mm_dist,
    r_precision,
    top_k,
)
from exuvia.published.evaluator import flat
from lab.parity.case import Case


def mpjpe(real: Doubles, ours: Doubles) -> Doubles:
    """Return the mean joint error of each pose after aligning the roots (joint 0).

    Args:
        real, ours: joints, metres    [..., J, 3]
    Returns:
        [...], millimetres (the reference gives metres)
    """
    x, y = np.asarray(real, np.float64), np.asarray(ours, np.float64)
    gap = (x - x[..., :1, :]) - (y - y[..., :1, :])
    return 1000.0 * np.linalg.norm(gap, axis=-1).mean(-1)


@torch.no_grad()
def evaluators(case: Case) -> dict[str, Any]:
    """Our value of every `out.` tensor of an evaluator case.

    The reference returns embeddings in its own sorted orders; ours come in the caller's order and are put into the
    reference's for the comparison.
    """
    model = _evaluator(case)
    motions, lengths = case.tensor("in.motions"), case.tensor("in.m_lens")
    motion = model.embed_motion(motions, lengths)
    text = model.embed_text(case.tensor("in.word_embs"), case.tensor("in.pos_onehot"), case.tensor("in.cap_lens"))
    by_tokens = torch.argsort(lengths // case.config["unit_length"], descending=True, stable=True)
    align = np.argsort(lengths.tolist())[::-1].copy()  # the wrapper's own rule; ties come out as they may
    return {
        "out.movements": model.movement_encoder(motions[..., :-CONTACTS]),
        "out.motion_emb_sorted": motion[by_tokens],
        "out.text_emb": text,
        "out.wrapper.text_emb": text[align],
        "out.wrapper.motion_emb": motion[align],
        "out.wrapper.motion_only_emb": motion[align],
        "out.wrapper.align_idx": align,
        "scalars.align_idx": align,
        "mid.sorted_order": by_tokens,
    }


def _evaluator(case: Case) -> GuoEvaluator:
    c = case.config
    model = GuoEvaluator(
        GuoConfig(
            dim_pose=c["dim_pose"],
            movement_hidden=c["move_hidden"],
            movement_dim=c["move_latent"],
            motion_hidden=c["motion_hidden"],
            text_hidden=c["text_hidden"],
            embedding=c["coemb"],
            word_dim=c["word"],
            pos_dim=c["pos"],
            max_frames=case.tensors["in.motions"].shape[1],
        )
    ).eval()
    parts = {f"{part}_encoder": case.group(f"sd.{part}.") for part in ("movement", "motion", "text")}
    load_into(model, flat(parts), "the evaluator")
    return model


def metrics(case: Case) -> dict[str, Any]:
    """Our value of every `out.` tensor and scalar of a metrics case."""
    t, c = case.tensors, case.config
    text, motion, act1, act2 = t["in.emb1"], t["in.emb2"], t["in.act1"], t["in.act2"]
    count, batch, k = c["N"], c["batch"], c["top_k"]
    distance = distances(text, motion)
    whole = top_k(distance, k).sum(0)
    shares = r_precision(text, motion, k, batch)
    used = count // batch * batch
    (mean1, cov1), (mean2, cov2) = mean_and_covariance(act1), mean_and_covariance(act2)
    return {
        "out.dist": distance,
        "out.top_k_mat_first32": top_k(distance[:batch, :batch], k).astype(np.int64),
        "out.match_per_sample": distance.diagonal(),
        "out.mu1": mean1,
        "out.cov1": cov1,
        "out.mu2": mean2,
        "out.cov2": cov2,
        "out.mpjpe": mpjpe(t["in.gt_joints"], t["in.pred_joints"]) / 1000.0,
        "scalars.r_precision_full_counts": whole,
        "scalars.r_precision_batch32_counts": np.rint(shares * used).astype(np.int64),
        "scalars.r_precision_batch32": shares,
        "scalars.matching_score_batch32": mm_dist(text[:used], motion[:used]),
        "scalars.matching_score_sum": distance.diagonal()[:used].sum(),
        "scalars.fid(act1,act2)": fid(act1, act2),
        "scalars.fid_by_eigenvalues": fid(act1, act2),
        "scalars.fid_rank_deficient(act1, first D-6 rows of act2)": fid(act1, act2[: c["D"] - 6]),
        "scalars.diversity": diversity(act1, t["in.div_first"], t["in.div_second"]),
        "scalars.multimodality": multimodality(t["in.multimodal"], t["in.mm_first"], t["in.mm_second"]),
    }


def multimodality(motion: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Mean distance between motions of one caption; motion [captions, repeats, E], indices on the repeats [10]."""
    x = np.asarray(motion, np.float64)
    if x.ndim != 3:
        raise ShapeError(f"found motions {x.shape}, expected [captions, repeats, E]")
    return float(np.linalg.norm(x[:, np.asarray(first)] - x[:, np.asarray(second)], axis=2).mean())
