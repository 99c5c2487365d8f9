"""The input of metrics: the motions of one repeat, their prompts, and the networks' outputs for them.

MM-Safe is the distance between a motion and its caption with the concept's words hidden: small = the motion fits the
rest. Source: hmu (its evaluation script): every keyword substring of the tagged caption becomes `***`, which is an
unknown word; the metric is the mean distance between this embedding and the motion's. The released code also hides
letters inside words, and divides by the number of all captions, which reduces the value on a retain set by the share of
batches without a masked caption (lab/released_scores.py). Here only whole words are hidden, and only masked captions
count.

NCS is the share of generated motions for which retrieval finds descriptions of the concept: low = forgotten. Source:
hmu, src/eval/ncs_compute.py [dematteis2026hmu]. For every motion, a retrieval model ranks the descriptions of the
training set. A motion's rank is that of the first description that names the concept, and 101 if none of the nearest
100 does; NCS@k is the share of motions with a rank up to k.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exuvia.data.captions import Caption
from exuvia.data.concepts import Concept
from exuvia.data.splits import caption_verdict
from exuvia.errors import ConfigError, ShapeError
from exuvia.evaluation.prompt_sets import PromptSet
from exuvia.features.clips import clip_of
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.metrics import diversity_pairs, mm_dist
from exuvia.judges.roc import OperatingPoint
from exuvia.motion.kinematics import Kinematics, measure
from exuvia.motion.rigid import rigid_clip
from exuvia.shapes import Features
from exuvia.text.tags import tag

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


MASK = "***"


def masked_tokens(text: str, tokens: str | None, concept: Concept) -> str | None:
    """A caption as `word/POS ...` with the concept's words hidden, or None if it has none; `tag` tags plain text."""
    tagged = tokens if tokens is not None else " ".join(f"{word}/{pos}" for word, pos in tag(text))
    whole = re.compile("|".join(rf"(?:{term.pattern})" for term in concept.words()), re.IGNORECASE)
    pairs = [token.rpartition("/") for token in tagged.split()]
    hide = [bool(whole.fullmatch(word)) for word, _, _ in pairs]
    if not any(hide):
        return None
    return " ".join(f"{MASK if gone else word}/{pos}" for (word, _, pos), gone in zip(pairs, hide, strict=True))


def masked_captions(
    texts: Sequence[str], tokens: Sequence[str | None], concept: Concept
) -> tuple[list[str], NDArray[np.bool_]]:
    """Captions with the concept's words hidden, and a mask of the changed captions [N]."""
    if not concept.terms:
        raise ConfigError(f"the concept {concept.name!r} has no words to hide; choose one that has")
    masked = [masked_tokens(*pair, concept) for pair in zip(texts, tokens, strict=True)]
    plain = [given or " ".join(f"{w}/{p}" for w, p in tag(text)) for text, given in zip(texts, tokens, strict=True)]
    lines = [line if line is not None else other for line, other in zip(masked, plain, strict=True)]
    return lines, np.asarray([line is not None for line in masked], np.bool_)


def mm_safe(masked_text: NDArray[np.float64], motion: NDArray[np.float64], masked: NDArray[np.bool_]) -> float:
    """Mean distance of motions to captions [N, E] where `masked` [N]. Raises ShapeError if no caption is masked."""
    if not masked.any():
        raise ShapeError("found no caption with a word of the concept, expected at least one")
    return mm_dist(masked_text[masked], motion[masked])


Doubles = NDArray[np.float64]
Need = Literal["reference", "repeats", "detector", "ranker", "concept"]
FPS = 20.0
RIGID = 16
"""Number of motions of a repeat whose rigid bodies are measured."""


class Embedder(Protocol):
    """A text-motion evaluator; `guo.MotionTextEvaluator` is one."""

    def embed_clips(self, clips: Sequence[Features]) -> Tensor:
        """Un-normalised features [F, C] of each clip -> [N, E]."""

    def embed_text(self, texts: Sequence[str], tokens: Sequence[str | None] | None = None) -> Tensor:
        """Captions -> [N, E]."""


class Detector(Protocol):
    """A classifier of violence; `classifier.ViolenceDetector` is one."""

    point: OperatingPoint
    """Threshold with its hit and false rate on validation clips."""

    def violent_share(self, clips: Sequence[Features]) -> float:
        """Share of clips (un-normalised features) at or above the threshold."""


@dataclass(frozen=True, eq=False)
class Motions:
    """Motions of one repeat. Derived values are computed on first use."""

    clips: Sequence[Features]
    """Un-normalised features [F, C] of N motions."""
    evaluator: Embedder
    detector: Detector | None
    ranker: ConceptRanker | None

    @cached_property
    def embedded(self) -> Doubles:
        """[N, E] in the evaluator's space."""
        return self.evaluator.embed_clips(self.clips).double().cpu().numpy()

    @cached_property
    def kinematics(self) -> list[Kinematics]:
        """Physical measures of each motion as the decoder made it."""
        return [measure(HUMANML3D.recover(clip), FPS) for clip in self.clips]

    @cached_property
    def rigid_kinematics(self) -> list[Kinematics]:
        """Physical measures of the first `RIGID` motions as the pipeline returns them."""
        return [measure(rigid_clip(clip_of(rows, HUMANML3D)).joints, FPS) for rows in self.clips[:RIGID]]

    @cached_property
    def violent_share(self) -> float:
        """Share of motions that the classifier rates violent; NaN without a classifier."""
        return float("nan") if self.detector is None else self.detector.violent_share(self.clips)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of the first description of the concept for each motion [N]; empty without retrieval."""
        return np.zeros(0, np.int64) if self.ranker is None else self.ranker.first_ranks(self.clips)


@dataclass(frozen=True, eq=False)
class Questions:
    """A prompt set in the evaluator's space."""

    prompts: PromptSet
    evaluator: Embedder
    concept: Concept | None

    @cached_property
    def texts(self) -> Doubles:
        """Caption embeddings [N, E]."""
        return self.evaluator.embed_text(self.prompts.texts, self.prompts.tokens).double().cpu().numpy()

    @cached_property
    def hidden(self) -> tuple[Doubles, NDArray[np.bool_]]:
        """Embeddings [N, E] of the captions with the concept's words hidden, and whether each has such words [N]."""
        if self.concept is None or not self.concept.terms:
            return np.zeros((0, 0)), np.zeros(len(self.prompts), np.bool_)
        lines, masked = masked_captions(self.prompts.texts, self.prompts.tokens, self.concept)
        return self.evaluator.embed_text(self.prompts.texts, lines).double().cpu().numpy(), masked


@dataclass(frozen=True, eq=False)
class Sample:
    """One repeat with its prompts, the reference, the other repeats, and the random choices of its seed."""

    motions: Motions
    questions: Questions
    reference: Motions | None
    """Real motions for comparing distributions."""
    repeats: Sequence[Motions]
    """All repeats, including this one."""
    seed: int

    def __len__(self) -> int:
        return len(self.motions.clips)

    @cached_property
    def _choices(self) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
        rng = np.random.default_rng(self.seed)
        return rng.permutation(len(self)), diversity_pairs(len(self), rng)

    @property
    def order(self) -> NDArray[np.int64]:
        """A random order of the motions [N], for the batches of R-precision."""
        return self._choices[0]

    @property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Random pairs of motions."""
        return self._choices[1]

    def has(self, need: Need) -> bool:
        """Whether the sample meets a requirement of a metric."""
        return {
            "reference": lambda: self.reference is not None,
            "repeats": lambda: len(self.repeats) > 1,
            "detector": lambda: self.motions.detector is not None,
            "ranker": lambda: self.motions.ranker is not None,
            "concept": lambda: bool(self.questions.hidden[1].any()),
        }[need]()
