"""Selection of codes to replace: the released ranking, bit for bit, and two criteria that actually differ.

Glossary: N_f(c), N_r(c) = forget and retain clips with code c; n_f, n_r = clips of each set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exuvia.codes.statistics import CodeStatistics
from exuvia.unlearning.settings import Criterion

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Association:
    """Association of every code of one level with the concept."""

    log_odds: Scores
    """Log odds of the code in a forget clip minus those in a retain clip, shrunk towards 0 [V]"""
    z: Scores
    """`log_odds` over its standard error [V]"""
    frequency: Scores
    """Share of forget clips with the code [V]"""


def released_selection(statistics: CodeStatistics, level: int, num_codes: int) -> NDArray[np.int64]:
    """The published selection: union of the top k of N_f / N_r and the top k of relative frequencies' ratios, sorted.

    Both scores are equal up to a constant: the union has k codes, and a code with N_r = 0 scores 1e8 even if it is
    rare. It serves comparisons with published results.   hmu, src/methods/lcr.py (topk_codes, define_positives)
    """
    forget = statistics.documents_forget[level].numpy()
    retain = statistics.documents_retain[level].numpy()
    ratio = forget / (retain + 1e-8)
    relative = (forget / forget.sum()) / (retain / retain.sum() + 1e-8)
    return np.union1d(np.argsort(ratio)[-num_codes:], np.argsort(relative)[-num_codes:])


def association(statistics: CodeStatistics, level: int, prior: float) -> Association:
    """Log-odds ratio of every code with a prior, and its z-score.

    Both sets get `prior` pseudo-clips in which the code is as frequent as in the whole corpus. This shrinks the
    log-odds of rare codes towards 0: Monroe, Colaresi and Quinn (2008), "Fightin' Words", Eq. 16, 20 and 22, with clips
    instead of words.
    """
    forget = statistics.documents_forget[level].numpy().astype(np.float64)
    retain = statistics.documents_retain[level].numpy().astype(np.float64)
    n_f, n_r = statistics.clips_forget, statistics.clips_retain
    # limits of 1e-6 keep codes finite that never or always occur
    share = np.clip((forget + retain) / (n_f + n_r), 1e-6, 1 - 1e-6) * prior
    with_f, with_r = forget + share, retain + share
    without_f, without_r = n_f + prior - with_f, n_r + prior - with_r
    log_odds = np.log(with_f / without_f) - np.log(with_r / without_r)
    error = np.sqrt(1 / with_f + 1 / without_f + 1 / with_r + 1 / without_r)
    return Association(log_odds, log_odds / error, forget / n_f)


def select_codes(
    statistics: CodeStatistics, level: int, num_codes: int, criterion: Criterion, prior: float, min_count: int
) -> NDArray[np.int64]:
    """Select at most `num_codes` codes of one level that are associated with the concept, sorted.

    A candidate occurs in at least `min_count` forget clips, and more often there than in retain clips. "frequency"
    ranks candidates by their share of forget clips, "ratio" by the z-score of the log-odds, and "both" takes the
    shortest prefix of both rankings that has `num_codes` codes in common.
    """
    scores = association(statistics, level, prior)
    documents = statistics.documents_forget[level].numpy()
    candidates = np.flatnonzero((documents >= min_count) & (scores.log_odds > 0))
    by_frequency, by_ratio = _ranks(scores.frequency[candidates]), _ranks(scores.z[candidates])
    rank = {"both": np.maximum(by_frequency, by_ratio), "ratio": by_ratio, "frequency": by_frequency}[criterion]
    return np.sort(candidates[np.lexsort((by_ratio, rank))[:num_codes]])


def safe_codes(statistics: CodeStatistics, level: int, chosen: NDArray[np.int64], prior: float) -> NDArray[np.int64]:
    """Codes that are at least as frequent in retain clips as in forget clips, sorted, without the chosen ones."""
    used = statistics.documents_retain[level].numpy() > 0
    safe = np.flatnonzero(used & (association(statistics, level, prior).log_odds <= 0))
    return np.setdiff1d(safe, chosen)


def _ranks(scores: Scores) -> NDArray[np.int64]:
    """0 for the highest score; equal scores in index order."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return ranks
