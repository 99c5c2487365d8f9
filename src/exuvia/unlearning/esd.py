"""ESD: the masked transformer learns to steer away from the concept by itself.   Eq. 6 [gandikota2023esd]

For captions of the concept the student's conditional logits are to equal the frozen generator's unconditional ones less
the guidance towards the concept,

    (E1)  wanted = uncond - eta (cond - uncond),

here as distributions over codes at masked positions (the paper: noise of a diffusion model). On other captions the
usual training loss keeps the rest. Only the masked transformer is edited: it decides what the motion is.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.generators import BaseCodes
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.tuning import Batch, Objective, TuneConfig, blend, captioned, own_loss, snapshot, tune


@dataclass(frozen=True)
class ESDConfig:
    """Settings of ESD."""

    strength: float = 1.0
    """0 = weights stay, 1 = tuned weights, between = on the way."""
    eta: float = 1.0
    """Negative guidance (published: 1)."""
    retain: float = 1.0
    """Weight of the usual loss on other clips."""
    tune: TuneConfig = field(default_factory=lambda: TuneConfig(steps=200))
    """How long and how fast."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"found strength {self.strength}, expected 0 to 1")
        if self.eta < 0 or self.retain < 0:
            raise ConfigError(f"found eta {self.eta}, retain {self.retain}; expected 0 or more")


class ESD:
    """Erasure by negative guidance."""

    def __init__(self, config: ESDConfig) -> None:
        self.config = config

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Tune the masked transformer of `pipe` in place. Raises DivergedError."""
        c = self.config
        data = {
            "forget": captioned(evidence, evidence.forget),
            "retain": captioned(evidence, evidence.retain),
        }
        frozen = copy.deepcopy(pipe.mask).eval().requires_grad_(False)
        before = snapshot(pipe.mask)
        about = {"method": "esd", "part": "mask", "concept": evidence.concept.name, "eta": c.eta, "retain": c.retain}
        loss = tune(pipe.mask, data, steering(pipe.mask, frozen, c.eta, c.retain), c.tune, evidence, about)
        blend(pipe.mask, before, c.strength)
        return {"clips": {kind: len(codes) for kind, codes in data.items()}, "loss": loss}


def steering(model: BaseCodes, frozen: BaseCodes, eta: float, retain: float) -> Objective:
    """Cross-entropy with the distribution of (E1) on forget clips, plus the usual loss on retain clips."""
    usual = own_loss("mask", model, "retain")

    def objective(batch: Mapping[str, Batch], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        one = batch["forget"]
        ids, places, counted = model.training_input(one["codes"][..., 0], one["lengths"], generator)
        given, size = (one["cond"], places, one.get("cond_valid")), counted.shape[1]
        with torch.no_grad():
            nobody = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
            cond, uncond = frozen.logits(ids, *given), frozen.logits(ids, *given, nobody)
            wanted = (uncond - eta * (cond - uncond)).float().softmax(1)[..., :size]
        logits = model.logits(ids, *given).float()[..., :size]
        erase = -(wanted * F.log_softmax(logits, 1)).sum(1)[counted].mean()
        keep, metrics = usual(batch, generator)
        return erase + retain * keep, {"erase": erase.detach(), "keep": keep.detach(), **metrics}

    return objective
