"""`Judge` computes all metrics of the motions for a set of prompts, one value per repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from exuvia.data.concepts import KICKS, PUNCHES, VIOLENCE, Concept
from exuvia.evaluation.metric_table import METRICS
from exuvia.evaluation.ncs import ConceptRanker
from exuvia.evaluation.prompt_sets import PromptSet
from exuvia.evaluation.sample import Motions, Questions, Sample
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.shapes import Features

Clips = Sequence[Features]
SEEN_BY_CLASSIFIER = (VIOLENCE.name, KICKS.name, PUNCHES.name)
"""Concepts that the classifier detects."""


def is_seen(concept: Concept) -> bool:
    """Whether the classifier detects a concept, or a part of a joined concept."""
    return any(part.name in SEEN_BY_CLASSIFIER for part in concept.parts or (concept,))


@dataclass(eq=False)
class Judge:
    """Measures motions with independent models. Metrics that need a larger set are omitted."""

    evaluator: MotionTextEvaluator
    """Text-motion evaluator."""
    detector: ViolenceDetector | None
    """Classifier of violence; None omits the rate of violence."""
    seeds: tuple[int, ...]
    """Seeds of the random pairs and batches, one per repeat."""
    concept: Concept | None = None
    """Concept for MM-Safe; None omits it."""
    ranker: ConceptRanker | None = None
    """Ranker for NCS; None omits it."""

    def __post_init__(self) -> None:
        self._questions: dict[PromptSet, Questions] = {}

    def values(
        self, prompts: PromptSet, repeats: Sequence[Clips], reference: Clips = (), real: bool = False
    ) -> dict[str, list[float]]:
        """Values of all metrics: one per repeat, or a single one if repeats make no difference.

        `repeats` holds the un-normalised features [F, C] of N motions for each seed; for the reference itself (`real`),
        it is one repeat, and seeds affect random pairs and batches only. An empty `reference` omits FID and KID.
        """
        motions = [self._motions(clips) for clips in repeats]
        compared = self._motions(reference) if len(reference) and not real else None
        questions = self.questions(prompts)
        samples = [
            Sample(one, questions, compared, motions, seed)
            for one, seed in zip(motions * len(self.seeds) if real else motions, self.seeds, strict=False)
        ]
        return {
            name: [metric.of(sample) for sample in (samples[:1] if metric.once else samples)]
            for name, metric in METRICS.items()
            if metric.fits(samples[0])
        }

    def questions(self, prompts: PromptSet) -> Questions:
        """A prompt set in the evaluator's space, cached."""
        if prompts not in self._questions:
            self._questions[prompts] = Questions(prompts, self.evaluator, self.concept)
        return self._questions[prompts]

    def _motions(self, clips: Clips) -> Motions:
        return Motions(clips, self.evaluator, self.detector, self.ranker)
