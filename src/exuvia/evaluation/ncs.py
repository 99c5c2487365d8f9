"""NCS: the share of generated motions for which retrieval finds descriptions of the concept. Low = forgotten.

Source: hmu, src/eval/ncs_compute.py [dematteis2026hmu]. For every motion, a retrieval model ranks the descriptions of
the training set. A motion's rank is that of the first description that names the concept, and 101 if none of the
nearest 100 does; NCS@k is the share of motions with a rank up to k.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exuvia.data.captions import Caption
from exuvia.data.concepts import Concept
from exuvia.data.splits import caption_verdict
from exuvia.errors import ConfigError, ShapeError
from exuvia.shapes import Features

KS = (1, 2, 3, 5, 10)
NEAREST = 100
"""Number of nearest descriptions to search."""


def first_ranks(similarity: NDArray[np.float64], shows: NDArray[np.bool_], nearest: int = NEAREST) -> NDArray[np.int64]:
    """Rank, from 1, of the first description that shows the concept [N]; nearest + 1 if none of the nearest does.

    `similarity` [N, M] is that of motions to descriptions, `shows` [M]. Equal similarities keep the descriptions'
    order.
    """
    if similarity.ndim != 2 or similarity.shape[1] != len(shows):
        raise ShapeError(f"found similarities {similarity.shape} for {len(shows)} descriptions, expected a column each")
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :nearest]
    hits = shows[order]
    return np.where(hits.any(1), hits.argmax(1) + 1, nearest + 1).astype(np.int64)


@dataclass(frozen=True)
class Gallery:
    """Embedded descriptions for retrieval."""

    embedding: Tensor
    """[M, E], unit vectors"""
    shows: NDArray[np.bool_]
    """Whether each names the concept [M]"""

    @classmethod
    def of(cls, captions: Sequence[Caption], concept: Concept, embed: Callable[[Sequence[str]], Tensor]) -> "Gallery":
        """Embed captions without duplicates, and mark those that name a concept. Raises ConfigError if none does."""
        kept = list({caption.text: caption for caption in captions}.values())
        shows = np.asarray([caption_verdict(caption, concept, "words") == "yes" for caption in kept], np.bool_)
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
        """Rank, from 1, of the first description of the concept for each clip [N]; 101 beyond the first 100."""
        rows = self.embed_clips(clips).float().cpu()
        rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return first_ranks((rows @ self.gallery.embedding.T).double().numpy(), self.gallery.shows)
