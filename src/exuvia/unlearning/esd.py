"""ESD: the masked transformer learns negative guidance for the concept.   Eq. 6 [gandikota2023esd]

For captions of the concept, the target of the student's conditional logits is the frozen generator's unconditional
logits minus the guidance towards the concept,

    (E1)  wanted = uncond - eta (cond - uncond),

here as distributions over codes at masked positions (in the paper: noise of a diffusion model). On other captions, the
usual training loss preserves the generator. Only the masked transformer is edited, because it determines the motion.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.base import BaseGenerator
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import ESDConfig
from exuvia.unlearning.tuning import Batch, Objective, captioned, own_loss, tune


class ESD(Method[ESDConfig]):
    """Erasure by negative guidance."""

    Config = ESDConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Tune the masked transformer of `pipe` in place. Raises DivergedError."""
        c = self.config
        data = {"forget": captioned(evidence, evidence.forget), "retain": captioned(evidence, evidence.retain)}
        frozen = copy.deepcopy(pipe.base).eval().requires_grad_(False)
        about = {"method": "esd", "part": "base", "eta": c.eta, "retain": c.retain}
        goal = steering(pipe.base, frozen, c.eta, c.retain)
        loss = tune(pipe.base, data, goal, c.tune, evidence, about, c.strength)
        return {"clips": {kind: len(codes) for kind, codes in data.items()}, "loss": loss}


def steering(model: BaseGenerator, frozen: BaseGenerator, eta: float, retain: float) -> Objective:
    """Cross-entropy with the distribution of (E1) on forget clips plus the usual loss on retain clips."""
    usual = own_loss(model, "retain")

    def objective(batch: Mapping[str, Batch], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        forget = batch["forget"]
        ids, places, counted = model.training_input(forget["codes"][..., 0], forget["lengths"], generator)
        given, size = (forget["cond"], places, forget.get("cond_valid")), counted.shape[1]
        with torch.no_grad():
            drop_all = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
            cond, uncond = frozen.logits(ids, *given), frozen.logits(ids, *given, drop_all)
            wanted = (uncond - eta * (cond - uncond)).float().softmax(1)[..., :size]
        logits = model.logits(ids, *given).float()[..., :size]
        erase = -(wanted * F.log_softmax(logits, 1)).sum(1)[counted].mean()
        keep, metrics = usual(batch, generator)
        return erase + retain * keep, {"erase": erase.detach(), "keep": keep.detach(), **metrics}

    return objective
