"""How two quantities measured along sequences relate: line, R², ranks, intervals, and what tokens alone explain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lab.selectivity.source import Bits, Tokens

_NONE = 1e-12
"""Variance, relative to the mean square, that counts as none."""


@dataclass(frozen=True)
class Relation:
    """y ~ intercept + slope · x over all places of all sequences; intervals are 95 %, by resampling sequences."""

    slope: float
    intercept: float
    r2: float
    """Share of y's variance on the line; 0 where one of the two does not vary."""
    r2_low: float
    r2_high: float
    spearman: float
    """Correlation of the ranks."""
    spearman_low: float
    spearman_high: float
    any_curve_r2: float
    """Share of y's variance between 20 equally filled bins of x: what any curve could explain."""
    shuffled_r2: float
    """R² after x was shuffled over all places."""
    within_r: float
    """Correlation after the mean of every token was taken from x and y; NaN where x is a function of the token."""


def relate(x: Bits, y: Bits, tokens: Tokens, rng: np.random.Generator, resamples: int = 1000) -> Relation:
    """Everything about one pair.

    Args:
        x, y, tokens: along S sequences          [S, L] each
        rng: of resampling and shuffling
        resamples: of the bootstrap
    """
    weights = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples)
    once = np.ones((1, len(x)))
    r = correlations(x, y, once)[0]
    slope = float(r * y.std() / x.std()) if r else 0.0
    rank_x, rank_y = rankdata(x).reshape(x.shape), rankdata(y).reshape(y.shape)
    rank_r = correlations(rank_x, rank_y, once)[0]
    r2_low, r2_high = np.quantile(correlations(x, y, weights) ** 2, [0.025, 0.975])
    rank_low, rank_high = np.quantile(correlations(rank_x, rank_y, weights), [0.025, 0.975])
    shuffled = rng.permutation(x.ravel()).reshape(x.shape)
    return Relation(
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r2=float(r**2),
        r2_low=float(r2_low),
        r2_high=float(r2_high),
        spearman=float(rank_r),
        spearman_low=float(rank_low),
        spearman_high=float(rank_high),
        any_curve_r2=any_curve_r2(x.ravel(), y.ravel()),
        shuffled_r2=float(correlations(shuffled, y, once)[0] ** 2),
        within_r=within_correlation(x, y, tokens),
    )


def correlations(x: Bits, y: Bits, weights: NDArray) -> NDArray[np.float64]:
    """Pearson correlation with every sequence counted as often as its weight.   [S, L], [S, L], [R, S] -> [R]

    0 where one of the two does not vary.
    """
    if not (_varies(x) and _varies(y)):
        return np.zeros(len(weights))
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        weights @ value.mean(1) / weights.sum(1) for value in (x, y, x * x, y * y, x * y)
    )
    covariance = mean_xy - mean_x * mean_y
    spread = np.sqrt(np.maximum(mean_xx - mean_x**2, 0) * np.maximum(mean_yy - mean_y**2, 0))
    return np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)


def any_curve_r2(x: Bits, y: Bits, bins: int = 20) -> float:
    """The correlation ratio: variance of y between equally filled bins of x, over its variance.   [N], [N]"""
    if not _varies(x):
        return 0.0
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
    return _between(np.digitize(x, edges), y)


def within_correlation(x: Bits, y: Bits, tokens: Tokens) -> float:
    """Correlation of what is left of x and y when the mean of every token is taken away.   [S, L] each

    Its square is the partial R² of x beyond the identity of the token. NaN where x is a function of the token.
    """
    left_x, left_y = (value.ravel() - token_means(value, tokens)[tokens.ravel()] for value in (x, y))
    if left_x.std() <= 1e-6 * x.std() or not _varies(left_y):
        return float("nan")
    return float(np.corrcoef(left_x, left_y)[0, 1])


def token_r2(y: Bits, tokens: Tokens) -> float:
    """Share of y's variance that a table of one value per token predicts, the table being of the other sequences.

    Args:
        y, tokens: even sequences make the table for the odd ones, and the other way round     [S, L]
    Returns:
        1 - squared error / variance; below 0 where the table is worse than the mean
    """
    if not _varies(y):
        return 0.0
    guess = np.empty(y.shape)
    for half in (0, 1):
        means = token_means(y[1 - half :: 2], tokens[1 - half :: 2], int(tokens.max()) + 1)
        guess[half::2] = means[tokens[half::2]]
    return float(1 - np.mean((y - guess) ** 2) / y.var())


def linear_r2(channels: NDArray, x: Bits) -> float:
    """Share of x's variance that a linear map of many channels predicts, fitted on the other sequences.

    Args:
        channels: even sequences are fitted for the odd ones, and the other way round     [S, L, E]
        x: what is predicted                                                               [S, L]
    Returns:
        1 - squared error / variance; below 0 where the map is worse than the mean
    """
    if not _varies(x):
        return 0.0
    scaled = (channels - channels.mean((0, 1))) / np.maximum(channels.std((0, 1)), 1e-12)
    features = np.concatenate([scaled, np.ones((*x.shape, 1))], axis=-1)
    guess = np.empty(x.shape)
    for half in (0, 1):
        known = features[1 - half :: 2].reshape(-1, features.shape[-1])
        ridge = 1e-3 * len(known) * np.eye(known.shape[1])
        guess[half::2] = features[half::2] @ np.linalg.solve(
            known.T @ known + ridge, known.T @ x[1 - half :: 2].ravel()
        )
    return float(1 - np.mean((x - guess) ** 2) / x.var())


def token_means(y: Bits, tokens: Tokens, size: int = 0) -> Bits:
    """Mean of y at every token; of all y for tokens that are not there.   [S, L] -> [V]"""
    counts = np.bincount(tokens.ravel(), minlength=size)
    sums = np.bincount(tokens.ravel(), weights=y.ravel(), minlength=size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), y.mean())


def _between(groups: Tokens, y: Bits) -> float:
    means = token_means(y[None], groups[None])
    return float(means[groups].var() / y.var()) if _varies(y) else 0.0


def _varies(values: NDArray) -> bool:
    return bool(values.var() > _NONE * np.mean(values**2))
