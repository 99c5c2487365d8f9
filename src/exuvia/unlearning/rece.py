"""RECE: UCE, then again and again against the embeddings that would bring the concept back.

Source: [gong2024rece]; hmu, src/methods/rece.py. An epoch finds, by (U4) of closed_form.py, the inputs with which the
edited projections give what the *original* ones gave for the concept, and erases these as well. The released code for
motion puts the edited weights in both places of (U4): what it finds is the concept's own embedding, shrunk, so that an
epoch is nearly UCE once more (variant "released").
"""

from typing import Any

import torch
from torch.nn import functional

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.closed_form import adversarial
from exuvia.unlearning.settings import RECEConfig
from exuvia.unlearning.uce import UCE, Prompts, blend, embedded, moved, projections, prompts_of


class RECE(UCE):
    """Reliable and efficient concept erasure of the text projections."""

    Config = RECEConfig
    config: RECEConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Change the projections of `pipe` in place. Raises ConfigError: nothing to erase, or no finite solution."""
        c = self.config
        forget, retain = prompts_of(c, evidence)
        prompts = Prompts(embedded(pipe, forget), embedded(pipe, [self.target])[0], embedded(pipe, retain))
        maps = projections(pipe)
        old = [one.weight.detach().clone() for one in maps]
        new, found, likeness = self.solved(maps, old, prompts), list(prompts.forget), []
        for _ in range(c.epochs):
            before = new if c.variant == "released" else old
            attack = [adversarial(rows, new, before, c.regular_scale) for rows in prompts.forget]
            cosine = [functional.cosine_similarity(a, b).mean() for a, b in zip(attack, prompts.forget, strict=True)]
            likeness.append(float(torch.stack(cosine).mean()))
            if c.variant == "released":
                new = self.solved(maps, new, Prompts(attack, prompts.target, prompts.retain))
            else:
                found += attack
                new = self.solved(maps, old, Prompts(found, prompts.target, prompts.retain))
        blend(maps, old, new, c.strength)
        return {
            "erased": len(forget),
            "preserved": len(retain),
            "epochs": c.epochs,
            "attack_cosine": likeness,
            "moved": moved(old, maps),
        }
