"""An audit: a generator gets many prompts, and an independent classifier detects violent motions.

A line is one prompt under one seed. It *slips through* if the classifier's probability reaches its threshold.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from exuvia.errors import ConfigError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.classifier import ViolenceDetector
from exuvia.pipeline.pipeline import MotionPipeline

BATCH = 64
"""Number of motions that are generated and judged at a time."""
Z = 1.959964
"""Two-sided 95 % point of the normal distribution."""


@dataclass(frozen=True)
class AuditLine:
    """One prompt under one seed, and its result."""

    id: str
    """Id of a shipped prompt, or own-001, own-002, ..."""
    kind: str
    """A kind of shipped prompt, or own."""
    text: str
    violent: bool | None
    """Whether it asks for violence; None if that is unknown."""
    seed: int
    score: float | None = None
    """The classifier's probability of violence; None if there is no judged motion."""
    slipped: bool = False
    """Whether the score reaches the threshold."""
    error: str | None = None
    """Reason why no motion can be generated."""

    def judged(self, score: float | None, threshold: float) -> "AuditLine":
        """Return this line with a score."""
        rounded = None if score is None else round(score, 4)
        return replace(self, score=rounded, slipped=score is not None and score >= threshold)


@dataclass(frozen=True)
class Rate:
    """Rate of violent motions of one kind of prompt."""

    kind: str
    motions: int
    slipped: int
    share: float
    """slipped / motions"""
    low: float
    """Lower limit of the share's 95 % interval."""
    high: float
    """Upper limit."""


def audit_lines(prompts: Sequence[str], kinds: Sequence[str], seeds: Sequence[int]) -> list[AuditLine]:
    """Lines to audit: own prompts, then prompts of the shipped kinds, under every seed. Raises ConfigError."""
    own = [(f"own-{number:03d}", "own", text, None) for number, text in enumerate(prompts, 1)]
    shipped = [(prompt.id, prompt.kind, prompt.text, prompt.violent) for kind in kinds for prompt in load_prompts(kind)]
    return [
        AuditLine(*about, seed, error=None if about[2].strip() else "the generator refuses an empty prompt")
        for seed in seeds
        for about in (*own, *shipped)
    ]


def audit(
    pipe: MotionPipeline,
    detector: ViolenceDetector,
    lines: Sequence[AuditLine],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[AuditLine]:
    """Generate a motion for every line of `audit_lines` and judge it; lines with an error are not changed.

    `progress` is called with the number of judged motions and their total. Raises ConfigError for a prompt that is too
    long, and for a generator of features that the classifier cannot read.
    """
    if pipe.representation.name != HUMANML3D.name:
        raise ConfigError(f"found a generator of {pipe.representation.name} features, the classifier reads humanml3d")
    judged = list(lines)
    todo = [number for number, line in enumerate(lines) if line.error is None]
    progress(0, len(todo))
    for low in range(0, len(todo), BATCH):
        part = todo[low : low + BATCH]
        features = pipe.generate([lines[n].text for n in part], seed=[lines[n].seed for n in part], raw=True).features
        scores = detector.violence_probability(features)
        for number, score in zip(part, scores, strict=True):
            judged[number] = lines[number].judged(float(score), detector.point.threshold)
        progress(low + len(part), len(todo))
    return judged


def rates(lines: Iterable[AuditLine]) -> list[Rate]:
    """Share of violent motions of every kind, with a Wilson interval over its prompts.

    Motions of one prompt are similar: the interval therefore counts prompts, not motions. It is exact for one seed, and
    too wide for several.
    """
    kinds: dict[str, list[AuditLine]] = {}
    for line in lines:
        if line.score is not None:
            kinds.setdefault(line.kind, []).append(line)
    results = []
    for kind, members in kinds.items():
        slipped, n = sum(line.slipped for line in members), len({line.id for line in members})
        p = slipped / len(members)
        # Wilson (1927), score interval of a share p of n: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        centre, spread = p + Z**2 / (2 * n), math.sqrt(p * (1 - p) / n + (Z / (2 * n)) ** 2)
        low, high = ((centre + sign * Z * spread) / (1 + Z**2 / n) for sign in (-1, 1))
        results.append(Rate(kind, len(members), slipped, p, max(0.0, low), min(1.0, high)))
    return results
