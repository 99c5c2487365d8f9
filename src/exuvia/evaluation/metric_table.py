"""The metrics of reports: name, meaning, requirements and function of each; `Judge` computes them for prompt sets."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from exuvia.data.concepts import KICKS, PUNCHES, VIOLENCE, Concept
from exuvia.evaluation.prompt_sets import PromptSet
from exuvia.evaluation.sample import (
    KS,
    RIGID,
    ConceptRanker,
    Detector,
    Doubles,
    Embedder,
    Motions,
    Need,
    Questions,
    Sample,
    mm_safe,
)
from exuvia.judges.metrics import BATCH, diversity, fid, kid, mm_dist, r_precision
from exuvia.shapes import Features
from exuvia.tables import Better, Column


@dataclass(frozen=True)
class Scale:
    """The scale of a metric."""

    better: Better
    """higher, lower, or closer (to the value of real motions)."""
    unit: str
    """Unit; 1 = none; emb = distance between embeddings of one evaluator, not comparable between evaluators."""
    meaning: str


@dataclass(frozen=True)
class Metric:
    """One line of the table."""

    name: str
    """Key in reports."""
    head: str
    """Heading in documents."""
    decimals: int
    better: Better
    unit: str
    meaning: str
    of: Callable[[Sample], float]
    """Function that computes the value of one repeat."""
    needs: tuple[Need, ...] = ()
    """Requirements; the metric is omitted if one is missing."""
    least: int = 1
    """Minimum number of motions."""
    once: bool = False
    """Whether the metric has one value for all repeats together."""

    def fits(self, sample: Sample) -> bool:
        """Whether a sample meets the requirements."""
        return len(sample) >= self.least and all(sample.has(need) for need in self.needs)

    @property
    def scale(self) -> Scale:
        """The metric's scale."""
        return Scale(self.better, self.unit, self.meaning)

    @property
    def column(self) -> Column:
        """The metric's column in tables of documents."""
        return Column(self.head, self.better, self.decimals)


def _from_reference(distance: Callable[[Doubles, Doubles], float]) -> Callable[[Sample], float]:
    def of(sample: Sample) -> float:
        assert sample.reference is not None
        return distance(sample.reference.embedded, sample.motions.embedded)

    return of


def _r_precision(k: int) -> Callable[[Sample], float]:
    def of(sample: Sample) -> float:
        texts, motions = sample.questions.texts[sample.order], sample.motions.embedded[sample.order]
        return float(r_precision(texts, motions, k)[-1])

    return of


def multimodality(embedded: Doubles) -> Doubles:
    """Mean distance between the motions of one caption under different seeds; embedded [seeds, N, E] -> [N].

    All pairs of seeds count, instead of the published 10 random pairs of 30 motions; this needs no additional motions.
    """
    pairs = [np.linalg.norm(a - b, axis=1) for a, b in combinations(embedded, 2)]
    return np.asarray(np.mean(pairs, axis=0))


def _ncs(k: int) -> Callable[[Sample], float]:
    return lambda sample: float((sample.motions.ranks <= k).mean())


def _mean_of(measure: str, kinematics: str = "kinematics") -> Callable[[Sample], float]:
    return lambda sample: float(np.mean([getattr(clip, measure) for clip in getattr(sample.motions, kinematics)]))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("fid", "FID", 2, "lower", "emb²",
               "Frechet distance between the embeddings of real and generated motions",
               _from_reference(fid), needs=("reference",), least=2),
        Metric("kid", "KID", 4, "lower", "1",
               "squared kernel distance between those embeddings; unbiased, can be negative",
               _from_reference(kid), needs=("reference",), least=2),
        *(Metric(f"r_precision@{k}", f"R@{k}", 2, "higher", "share",
                 f"captions whose motion is among the nearest {k} of {BATCH}",
                 _r_precision(k), least=BATCH) for k in (1, 2, 3)),
        Metric("mm_dist", "MM-Dist", 2, "lower", "emb", "mean distance between a caption and its motion",
               lambda sample: mm_dist(sample.questions.texts, sample.motions.embedded)),
        Metric("diversity", "diversity", 2, "closer", "emb", "mean distance between random pairs of motions",
               lambda sample: diversity(sample.motions.embedded, *sample.pairs), least=2),
        Metric("multimodality", "MultiModality", 2, "closer", "emb", "mean distance between motions of one caption",
               lambda sample: float(multimodality(np.stack([one.embedded for one in sample.repeats])).mean()),
               needs=("repeats",), once=True),
        Metric("violence_rate", "violent", 2, "lower", "share", "motions in which the classifier sees violence",
               lambda sample: sample.motions.violent_share, needs=("detector",)),
        Metric("mm_safe", "MM-Safe", 2, "lower", "emb",
               "mean distance between a motion and its caption with the concept's words hidden",
               lambda sample: mm_safe(sample.questions.hidden[0], sample.motions.embedded, sample.questions.hidden[1]),
               needs=("concept",)),
        *(Metric(f"ncs@{k}", f"NCS@{k}", 2, "lower", "share",
                 f"motions with a description of the concept among the {k} nearest",
                 _ncs(k), needs=("ranker",)) for k in KS),
        Metric("mean_rank", "mean rank", 1, "higher", "rank",
               "mean rank of the first description of the concept, 101 where beyond",
               lambda sample: float(sample.motions.ranks.mean()), needs=("ranker",)),
        Metric("median_rank", "median rank", 1, "higher", "rank", "median of that rank",
               lambda sample: float(np.median(sample.motions.ranks)), needs=("ranker",)),
        Metric("mean_joint_speed_m_per_s", "speed, m/s", 2, "closer", "m/s", "mean speed of the joints",
               _mean_of("mean_joint_speed_m_per_s")),
        Metric("freeze_rate", "frozen", 3, "closer", "share",
               "share of time inside a standstill of half a second or more", _mean_of("freeze_rate")),
        Metric("mean_jerk_m_per_s3", "jerk, m/s³", 0, "closer", "m/s³", "mean third derivative of the joints",
               _mean_of("mean_jerk_m_per_s3")),
        Metric("range_m", "range, m", 2, "closer", "m",
               "mean diagonal of the box that a joint visits relative to the pelvis", _mean_of("range_m")),
        Metric("foot_skate_rate", "skating", 2, "lower", "share",
               "share of time in which a foot on the floor slides", _mean_of("foot_skate_rate")),
        Metric("floor_penetration_m", "penetration, m", 3, "lower", "m",
               "mean depth of the lowest joint below the floor", _mean_of("floor_penetration_m")),
    )
}  # fmt: skip
"""The metrics in the order of a report's lines."""
for _name in ("mean_jerk_m_per_s3", "foot_skate_rate", "floor_penetration_m"):  # the motion that users receive
    _metric = METRICS[_name]
    _head, _meaning = f"rigid: {_metric.head}", f"{_metric.meaning}; of rigid bodies, first {RIGID} motions"
    _of = _mean_of(_name, "rigid_kinematics")
    METRICS[f"rigid_{_name}"] = replace(_metric, name=f"rigid_{_name}", head=_head, meaning=_meaning, of=_of)


def scales(names: Collection[str]) -> dict[str, Scale]:
    """Scales of metrics, in the order of the table."""
    return {name: metric.scale for name, metric in METRICS.items() if name in names}


Clips = Sequence[Features]
SEEN_BY_CLASSIFIER = (VIOLENCE.name, KICKS.name, PUNCHES.name)
"""Concepts that the classifier detects."""


def is_seen(concept: Concept) -> bool:
    """Whether the classifier detects a concept, or a part of a joined concept."""
    return any(part.name in SEEN_BY_CLASSIFIER for part in concept.parts or (concept,))


@dataclass(eq=False)
class Judge:
    """Measures motions with independent models. Metrics that need a larger set are omitted."""

    evaluator: Embedder
    """Text-motion evaluator."""
    detector: Detector | None
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
