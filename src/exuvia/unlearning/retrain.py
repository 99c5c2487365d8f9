"""D_r: a generator trained from scratch without the concept. It is the yardstick of the benchmark.

`configs/retrain.sh CONCEPT` trains all four parts with the commands of `base`. This method loads the resulting pipeline
and checks that it was trained without the concept.
"""

from typing import Any

from exuvia.checkpoint import find_pipeline
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.parts import PARTS
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import RetrainConfig


class Retrain(Method[RetrainConfig]):
    """Replaces the generator by one that never saw the concept."""

    Config = RetrainConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Replace all parts of `pipe`. Raises ConfigError if no weights were named, CheckpointError if they are not a
        generator, or its training included the concept."""
        if self.config.weights is None:
            raise ConfigError(f"retrain needs weights=; run configs/retrain.sh {evidence.concept.name} first (2 hours)")
        folder = find_pipeline(self.config.weights)
        other = MotionPipeline.from_pretrained(folder, text=pipe.text, device=str(pipe.device))
        parts = other.provenance.get("parts", {})  # each lists the concepts excluded from its training
        without = sorted(set.intersection(*(set(parts.get(part, {}).get("without", ())) for part in PARTS)))
        if evidence.concept.name not in without:
            trained = f"without {', '.join(without)}" if without else "on all concepts"
            raise CheckpointError(f"{folder} was trained {trained}, expected without {evidence.concept.name}")
        for part in PARTS:
            setattr(pipe, part, getattr(other, part))
        pipe.normaliser, pipe.statistics, pipe.card, pipe.guards = other.normaliser, other.statistics, other.card, []
        return {"weights": folder.name, "without": without}
