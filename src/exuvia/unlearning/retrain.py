"""D_r: the generator trained again on clips that do not show the concept. The yardstick, not a shortcut.

`configs/retrain.sh CONCEPT` trains all four parts by the commands that made `base`; this method takes what it packed
and checks that its training went without the concept.
"""

from typing import Any

from exuvia.checkpoint import find_pipeline
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.parts import PARTS
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import RetrainConfig


class Retrain(Method[RetrainConfig]):
    """A generator that never saw the concept, in place of the edited one."""

    Config = RetrainConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Replace all parts of `pipe`.

        Raises:
            ConfigError: no weights were named.
            CheckpointError: they are no generator, or were not trained without the concept.
        """
        if self.config.weights is None:
            raise ConfigError(f"retrain needs weights=; run configs/retrain.sh {evidence.concept.name} first (2 hours)")
        folder = find_pipeline(self.config.weights)
        other = MotionPipeline.from_pretrained(folder, text=pipe.text, device=str(pipe.device))
        parts = other.provenance.get("parts", {})  # concepts that none of them has seen
        without = sorted(set.intersection(*(set(parts.get(part, {}).get("without", ())) for part in PARTS)))
        if evidence.concept.name not in without:
            told = f"without {', '.join(without)}" if without else "with everything"
            raise CheckpointError(f"{folder} was trained {told}, expected without {evidence.concept.name}")
        for part in PARTS:
            setattr(pipe, part, getattr(other, part))
        pipe.normaliser, pipe.statistics, pipe.card, pipe.detours = other.normaliser, other.statistics, other.card, []
        return {"weights": folder.name, "without": without}
