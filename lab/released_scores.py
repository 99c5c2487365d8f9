"""The published arithmetic of NCS, MM-Safe and the refinement of forget sets, for comparison with the product's.

Source: hmu, src/eval/ncs_compute.py, its evaluation script and src/split.sh with --tmr [dematteis2026hmu].
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exuvia.data.concepts import Concept
from exuvia.errors import ShapeError
from exuvia.evaluation.sample import KS, MASK
from exuvia.judges.metrics import BATCH


def released_ncs(
    names: Sequence[int] | NDArray[np.int64], repeats: Sequence[int] | NDArray[np.int64], ranks: NDArray[np.int64]
) -> dict[str, float]:
    """NCS over caption items: best rank of a clip in a repeat, means over clips and repeats.

    Args:
        names, repeats, ranks: clip, repeat and first rank of every item
    Returns:
        forget_size, ncs@k, mean_rank, median_rank, conf/* (1.96 deviations of the mean over repeats), and min_*: the
        same over the best rank of a clip in all repeats
    """
    name, repeat = np.asarray(names), np.asarray(repeats)
    clips, rounds = np.unique(name), np.unique(repeat)
    best = np.asarray([[ranks[(name == n) & (repeat == r)].min() for n in clips] for r in rounds], np.float64)
    each = {f"ncs@{k}": (best <= k).mean(1) for k in KS}
    each |= {"mean_rank": best.mean(1), "median_rank": np.median(best, 1)}
    scores = {"forget_size": float(len(clips))} | {key: float(values.mean()) for key, values in each.items()}
    for key, values in each.items():
        scores[f"conf/{key}"] = float(1.96 * values.std(ddof=1) / np.sqrt(len(rounds))) if len(rounds) > 1 else 0.0
    overall = best.min(0)
    scores |= {"min_rank": float(overall.mean()), "min_median_rank": float(np.median(overall))}
    return scores | {f"min_ncs@{k}": float((overall <= k).mean()) for k in KS}


def released_refinement(hits: NDArray[np.int64], tries: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips of a forget set stay there, and which move to the retain set; one without any hit is in neither.

    Args:
        hits: how many of a clip's `tries` motions have a description of the concept among their 10 nearest  [N]
        tries: motions generated for each clip (published: 10)
    Returns:
        stays in forget [N], moves to retain [N]
    """
    if len(hits) and (hits.min() < 0 or hits.max() > tries):
        raise ShapeError(f"found {int(hits.min())} to {int(hits.max())} hits of {tries} tries")
    stays = hits >= 8
    return stays, ~stays & (hits > 0)


def released_masked_tokens(tokens: str, concept: Concept) -> str | None:
    """`word/POS ...` with keywords hidden inside any word ("w***e" for "white"), or None where it has none."""
    hidden = re.sub("|".join(map(re.escape, concept.released_keywords())), MASK, tokens)
    return hidden if hidden != tokens else None


def released_mm_safe(
    masked_text: NDArray[np.float64], motion: NDArray[np.float64], masked: NDArray[np.bool_], batch: int = BATCH
) -> float:
    """The published sum: all captions of batches that hold a masked one, divided by the number of all captions."""
    apart = np.linalg.norm(masked_text - motion, axis=1)
    parts = [slice(low, low + batch) for low in range(0, len(apart), batch)]
    return float(sum(apart[part].sum() for part in parts if masked[part].any()) / max(1, len(apart)))
