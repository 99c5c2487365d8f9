"""The input of metrics: the motions of one repeat, their prompts, and the networks' outputs for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from exuvia.data.concepts import Concept
from exuvia.evaluation.mm_safe import masked_captions
from exuvia.evaluation.ncs import ConceptRanker
from exuvia.evaluation.prompt_sets import PromptSet
from exuvia.features.clips import clip_of
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.metrics import diversity_pairs
from exuvia.motion.kinematics import Kinematics, measure
from exuvia.motion.rigid import rigid_clip
from exuvia.shapes import Features

Doubles = NDArray[np.float64]
Need = Literal["reference", "repeats", "detector", "ranker", "concept"]
FPS = 20.0
RIGID = 16
"""Number of motions of a repeat whose rigid bodies are measured."""


@dataclass(frozen=True, eq=False)
class Motions:
    """Motions of one repeat. Derived values are computed on first use."""

    clips: Sequence[Features]
    """Un-normalised features [F, C] of N motions."""
    evaluator: MotionTextEvaluator
    detector: ViolenceDetector | None
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
    evaluator: MotionTextEvaluator
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
