"""Fine-tuning on the retain set: training of the transformers continues without the concept.   [dematteis2026hmu]

The codebook does not change. The concept fades only because it is no longer trained: this baseline forgets little in a
short time.
"""

from typing import Any

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import FineTuneConfig
from exuvia.unlearning.tuning import captioned, own_loss, tune


class FineTune(Method[FineTuneConfig]):
    """Training on the retain set."""

    Config = FineTuneConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Tune both transformers of `pipe` in place. Raises DivergedError."""
        data = {"retain": captioned(evidence, evidence.retain)}
        losses = {}
        for part in ("base", "residual"):
            model = getattr(pipe, part)
            about, goal = {"method": "finetune", "part": part}, own_loss(model, "retain")
            losses[part] = tune(model, data, goal, self.config.tune, evidence, about, self.config.strength)
        return {"clips": {"retain": len(data["retain"])}, "loss": losses}
