"""Fine-tuning on what is to be kept: the transformers are trained on, without the concept.   [dematteis2026hmu]

The codebook stays. What the generator knows of the concept fades only as far as nothing asks for it, so this baseline
forgets little in little time.
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
        found = {}
        for part in ("base", "residual"):
            model = getattr(pipe, part)
            about, goal = {"method": "finetune", "part": part}, own_loss(model, "retain")
            found[part] = tune(model, data, goal, self.config.tune, evidence, about, self.config.strength)
        return {"clips": {"retain": len(data["retain"])}, "loss": found}
