"""Fine-tuning on what is to be kept: the transformers are trained on, without the concept.   [dematteis2026hmu]

The codebook stays. What the generator knows of the concept fades only as far as nothing asks for it, so this baseline
forgets little in little time.
"""

from dataclasses import dataclass, field
from typing import Any

from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.tuning import TuneConfig, blend, captioned, own_loss, snapshot, tune


@dataclass(frozen=True)
class FineTuneConfig:
    """Settings of fine-tuning."""

    strength: float = 1.0
    """0 = weights stay, 1 = tuned weights, between = on the way."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=300))
    """How long and how fast; the masked and the residual transformer alike."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"found strength {self.strength}, expected 0 to 1")


class FineTune:
    """Training on the retain set."""

    def __init__(self, config: FineTuneConfig) -> None:
        self.config = config

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Tune both transformers of `pipe` in place. Raises DivergedError."""
        data = {"retain": captioned(evidence, evidence.retain)}
        found = {}
        for part in ("mask", "residual"):
            model = getattr(pipe, part)
            before = snapshot(model)
            about = {"method": "finetune", "part": part, "concept": evidence.concept.name}
            found[part] = tune(model, data, own_loss(part, model, "retain"), self.config.tune, evidence, about)
            blend(model, before, self.config.strength)
        return {"clips": {"retain": len(data["retain"])}, "loss": found}
