"""Metrics over embeddings (FID, KID, R-precision, diversity ...), one function each.

`evaluation/metric_table.py` lists those in reports.

Definitions: Sec. 5.1 [guo2022humanml3d]; momask-codes, utils/metrics.py and utils/eval_t2m.py. Frechet distance:
Eq. 6 [heusel2017fid]; kernel distance: Eq. 4 [binkowski2018kid] (unbiased).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from exuvia.errors import ShapeError
from exuvia.tables import Interval

Doubles = NDArray[np.float64]

BATCH = 32
"""Number of motions from which R-precision retrieves one."""
DIVERSITY_PAIRS = 300


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean and confidence interval of repeats [N], by Student's t distribution; that of a single number is itself."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise ShapeError(f"found values of shape {x.shape}, expected one number per repeat, at least one")
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, mean, mean)
    half = float(stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half)


def _rows(x: ArrayLike, what: str) -> Doubles:
    """Convert to double precision [N, E], and check that all values are finite."""
    rows = np.asarray(x, np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"found {what} of shape {rows.shape}, expected embeddings [N, E]")
    if not np.isfinite(rows).all():
        raise ShapeError(f"found NaN or infinite values in {what}, expected finite embeddings")
    return rows


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Doubles, Doubles]:
    x, y = _rows(a, "the first set"), _rows(b, "the second set")
    if x.shape != y.shape:
        raise ShapeError(f"found sets {x.shape} and {y.shape}, expected pairs, so two of one shape")
    return x, y


def distances(a: ArrayLike, b: ArrayLike) -> Doubles:
    """Euclidean distances [N, M] of rows a [N, E] and b [M, E]; exact 0 for equal rows (the reference can give NaN)."""
    x, y = _rows(a, "the first set"), _rows(b, "the second set")
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2.0 * (x @ y.T)
    tiny = 1e-12 * ((x * x).sum(1)[:, None] + (y * y).sum(1)[None])
    return np.sqrt(np.where(squares > tiny, squares, 0.0))


def top_k(distance: Doubles, k: int = 3) -> NDArray[np.bool_]:
    """Whether column i is among the nearest 1 .. k columns of row i [N, k]; ties keep the order of columns."""
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    hits = np.cumsum(order == np.arange(len(distance))[:, None], axis=1) > 0
    return np.pad(hits, ((0, 0), (0, k - hits.shape[1])), mode="edge")  # fewer than k columns


def r_precision(text: ArrayLike, motion: ArrayLike, k: int = 3, batch: int = BATCH) -> Doubles:
    """Share [k] of captions whose motion is among the nearest 1 .. k of its batch, for pairs [N, E] in shuffled order.
    An incomplete last batch is dropped, as published.
    Raises ShapeError without a whole batch, or for sets of different shape."""
    x, y = _pairs(text, motion)
    count = len(x) // batch
    if not count:
        raise ShapeError(f"found {len(x)} pairs, expected at least one batch of {batch}")
    x, y = (rows[: count * batch].reshape(count, batch, -1) for rows in (x, y))
    hits = [top_k(distances(a, b), k).sum(0) for a, b in zip(x, y, strict=True)]
    return np.sum(hits, axis=0) / (count * batch)


def mm_dist(text: ArrayLike, motion: ArrayLike) -> float:
    """Mean distance between a caption and its motion; text, motion [N, E] are pairs."""
    x, y = _pairs(text, motion)
    return float(np.linalg.norm(x - y, axis=1).mean())


def mean_and_covariance(x: ArrayLike) -> tuple[Doubles, Doubles]:
    """Mean [E] and covariance [E, E] (divided by N - 1) of embeddings [N, E]."""
    rows = _rows(x, "embeddings")
    if len(rows) < 2:
        raise ShapeError(f"found {len(rows)} motion(s), expected at least 2 for a covariance")
    return rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))


def fid(real: ArrayLike, generated: ArrayLike) -> float:
    """Frechet distance of the Gaussians fitted to two sets of embeddings [N, E], [M, E].   Eq. 6 [heusel2017fid]

    The trace of (C1 C2)^1/2 comes from the eigenvalues of the symmetric C1^1/2 C2 C1^1/2: rank-deficient sets
    (fewer motions than dimensions) need no constant on the diagonal.
    Small sets are biased upwards: compare equal N only.
    """
    (mean1, cov1), (mean2, cov2) = mean_and_covariance(real), mean_and_covariance(generated)
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov2 @ root), 0, None)).sum()
    gap = mean1 - mean2
    return max(0.0, float(gap @ gap + np.trace(cov1) + np.trace(cov2) - 2.0 * cross))


def kid(real: ArrayLike, generated: ArrayLike, degree: int = 3) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / E + 1)^3.   Eq. 4 [binkowski2018kid]

    It is computed over whole sets [N, E], [M, E] of at least 2, not over random blocks. Unlike FID's, its expectation
    does not depend on the number of motions; for equal distributions it scatters around 0 and can be negative.
    """
    x, y = _rows(real, "real motions"), _rows(generated, "generated motions")
    if len(x) < 2 or len(y) < 2:
        raise ShapeError(f"found {len(x)} and {len(y)} motions, expected at least 2 of each")

    def kernel(a: Doubles, b: Doubles) -> Doubles:
        return (a @ b.T / a.shape[1] + 1.0) ** degree

    def within(a: Doubles) -> float:
        k = kernel(a, a)
        return float((k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2.0 * float(kernel(x, y).mean())


def diversity(motion: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Mean distance between the motions that two index lists pair; motion [N, E], indices from `diversity_pairs`."""
    x = _rows(motion, "motions")
    return float(np.linalg.norm(x[np.asarray(first)] - x[np.asarray(second)], axis=1).mean())


def diversity_pairs(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices for `diversity` over `count` motions: 300 pairs, or 100 for up to 300 motions, but at most `count`.

    Neither list has duplicates. As published, the lists are drawn separately, and an index may be paired with itself.
    """
    pairs = min(DIVERSITY_PAIRS if count > DIVERSITY_PAIRS else 100, count)
    return rng.permutation(count)[:pairs].astype(np.int64), rng.permutation(count)[:pairs].astype(np.int64)
