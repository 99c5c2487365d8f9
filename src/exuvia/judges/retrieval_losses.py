"""Scores, losses and recall of motion-text retrieval.   [petrovich2023tmr]

Facts: TMR, src/model/tmr.py, losses.py and metrics.py.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

RECALLS = (1, 2, 3, 5, 10)


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosines [N, M] of rows a [N, E] and b [M, E]."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def info_nce(
    text: Tensor, motion: Tensor, sentences: Tensor | None = None, temperature: float = 0.1, threshold: float = 0.8
) -> Tensor:
    """Symmetric cross-entropy over cosines of pairs [B, E], divided by `temperature`.   [petrovich2023tmr]

    Pairs of similar captions, with (1 + cosine) / 2 of `sentences` [B, S] above `threshold`, are ignored.
    """
    logits = similarity(text, motion) / temperature
    if sentences is not None:
        alike = sentences @ sentences.T > 2 * threshold - 1
        alike = alike & ~torch.eye(len(text), dtype=torch.bool, device=text.device)
        logits = logits.masked_fill(alike, -torch.inf)
    right = torch.arange(len(text), device=text.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def kl_divergence(mean_a: Tensor, logvar_a: Tensor, mean_b: Tensor, logvar_b: Tensor) -> Tensor:
    """KL(N(a) || N(b)) of diagonal normal distributions, as a mean over entries."""
    ratio = torch.exp(logvar_a - logvar_b)
    return (0.5 * (ratio + (mean_a - mean_b).square() * torch.exp(-logvar_b) - 1 - logvar_a + logvar_b)).mean()


def ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank, from 0, of column i in row i; ties get the mean rank."""
    return np.diagonal(rankdata(-scores, method="average", axis=1) - 1).copy()


def recalls(rank: NDArray[np.float64], prefix: str) -> dict[str, float]:
    """`prefix/R01` .. `R10` in per cent, the median rank from 1, and the number of ranks."""
    values = {f"{prefix}/R{k:02d}": float(100 * (rank < k).mean()) for k in RECALLS}
    return values | {f"{prefix}/MedR": float(np.median(rank) + 1), f"{prefix}/len": float(len(rank))}
