"""NCS: does retrieval by motion find descriptions of the concept near a generated motion? A low share = forgotten.

Source: hmu, src/eval/ncs_compute.py [dematteis2026hmu]. For every motion the descriptions of the training set are
ranked by a retrieval model. A motion's rank is that of the first description that names the concept, and 101 where none
of the nearest 100 does; NCS@k is the share of motions with a rank up to k.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exuvia.data.captions import Caption
from exuvia.data.concepts import Concept
from exuvia.data.splits import Rule, caption_verdict
from exuvia.errors import ConfigError, ShapeError
from exuvia.shapes import Features

KS = (1, 2, 3, 5, 10)
NEAREST = 100
"""Descriptions that are looked at; a motion without the concept among them has the rank after."""


def first_ranks(similarity: NDArray[np.float64], shows: NDArray[np.bool_], nearest: int = NEAREST) -> NDArray[np.int64]:
    """Rank, from 1, of the first description that shows the concept.

    Args:
        similarity: of motions to descriptions          [N, M]
        shows: whether a description names the concept  [M]
        nearest: how many are looked at
    Returns:
        [N]; nearest + 1 where none of the nearest does. Equal similarities keep the descriptions' order.
    """
    if similarity.ndim != 2 or similarity.shape[1] != len(shows):
        raise ShapeError(
            f"found similarities {similarity.shape} for {len(shows)} descriptions, expected one column each"
        )
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :nearest]
    hits = shows[order]
    return np.where(hits.any(1), hits.argmax(1) + 1, nearest + 1).astype(np.int64)


@dataclass(frozen=True)
class Gallery:
    """Descriptions to retrieve from, embedded once."""

    embedding: Tensor
    """[M, E], rows of length 1"""
    shows: NDArray[np.bool_]
    """Whether each names the concept [M]"""

    @classmethod
    def of(
        cls,
        captions: Sequence[Caption],
        concept: Concept,
        embed: Callable[[Sequence[str]], Tensor],
        rule: Rule = "words",
    ) -> "Gallery":
        """Embed different captions, and mark those that name a concept. Raises ConfigError where none does."""
        kept = list({caption.text: caption for caption in captions}.values())
        shows = np.asarray([caption_verdict(caption, concept, rule) == "yes" for caption in kept], np.bool_)
        if not shows.any():
            raise ConfigError(f"none of {len(kept)} descriptions names {concept.name!r}; retrieval cannot find it")
        rows = embed([caption.text for caption in kept]).float()
        return cls(rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12), shows)


@dataclass(frozen=True)
class ConceptRanker:
    """Ranks motions against a gallery with a retrieval model's motion encoder."""

    gallery: Gallery
    embed_clips: Callable[[Sequence[Features]], Tensor]
    """Un-normalised features [F, C] of each clip -> [N, E]"""

    def first_ranks(self, clips: Sequence[Features]) -> NDArray[np.int64]:
        """Rank of the first description of the concept for each clip [N]."""
        rows = self.embed_clips(clips).float().cpu()
        rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return first_ranks((rows @ self.gallery.embedding.T).double().numpy(), self.gallery.shows)


def released_scores(
    names: Sequence[int] | NDArray[np.int64], repeats: Sequence[int] | NDArray[np.int64], ranks: NDArray[np.int64]
) -> dict[str, float]:
    """The published arithmetic over caption items: best rank of a clip in a repeat, means over clips and repeats.

    Args:
        names, repeats, ranks: clip, repeat and first rank of every item
    Returns:
        forget_size, ncs@k, mean_rank, median_rank, conf/* (1.96 deviations of the mean over repeats), and min_*: the
        same over the best rank of a clip in all repeats
    """
    name, repeat = np.asarray(names), np.asarray(repeats)
    clips, rounds = np.unique(name), np.unique(repeat)
    best = np.asarray([[ranks[(name == n) & (repeat == r)].min() for n in clips] for r in rounds], np.float64)
    each = {f"ncs@{k}": (best <= k).mean(1) for k in KS} | {
        "mean_rank": best.mean(1),
        "median_rank": np.median(best, 1),
    }
    found = {"forget_size": float(len(clips))} | {key: float(values.mean()) for key, values in each.items()}
    for key, values in each.items():
        found[f"conf/{key}"] = float(1.96 * values.std(ddof=1) / np.sqrt(len(rounds))) if len(rounds) > 1 else 0.0
    overall = best.min(0)
    found |= {"min_rank": float(overall.mean()), "min_median_rank": float(np.median(overall))}
    return found | {f"min_ncs@{k}": float((overall <= k).mean()) for k in KS}


def refine_forget(
    hits: NDArray[np.int64], tries: int, enough: int = 8, released: bool = False
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips of a forget set stay there, by what retrieval finds for the motions generated from their captions.

    Args:
        hits: how many of a clip's `tries` motions have a description of the concept among their 10 nearest  [N]
        tries: motions generated for each clip (published: 10)
        enough: so many hits keep it in the forget set (published: 8)
        released: a clip without any hit leaves both sets, as published; else it moves to the retain set
    Returns:
        stays in forget [N], moves to retain [N]
    """
    if len(hits) and (hits.min() < 0 or hits.max() > tries):
        raise ShapeError(f"found {int(hits.min())} to {int(hits.max())} hits of {tries} tries")
    stays = hits >= enough
    moves = ~stays & (hits > 0) if released else ~stays
    return stays, moves
