"""RECE: UCE, repeated against the embeddings that would restore the concept.

Source: [gong2024rece]; hmu, src/methods/rece.py. An epoch finds, by (U4) of closed_form.py, the inputs for which the
edited projections return the *original* outputs of the concept, and erases these as well. The released code for motion
uses the edited weights twice in (U4): it finds a shrunk embedding of the concept itself, and an epoch nearly equals
another UCE edit (variant "released").
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from exuvia.unlearning.closed_form import adversarial
from exuvia.unlearning.settings import RECEConfig
from exuvia.unlearning.uce import UCE, Prompts


class RECE(UCE):
    """Reliable and efficient concept erasure of the text projections."""

    Config = RECEConfig
    config: RECEConfig

    def edited(self, maps: list[nn.Linear], old: list[Tensor], prompts: Prompts) -> tuple[list[Tensor], dict[str, Any]]:
        """New weights after all epochs, and the similarity of each epoch's inputs to the prompts."""
        c = self.config
        new, erased, likeness = self.solved(maps, old, prompts), list(prompts.forget), []
        for _ in range(c.epochs):
            before = new if c.variant == "released" else old
            attack = [adversarial(rows, new, before, c.regular_scale) for rows in prompts.forget]
            cosine = [functional.cosine_similarity(a, b).mean() for a, b in zip(attack, prompts.forget, strict=True)]
            likeness.append(float(torch.stack(cosine).mean()))
            if c.variant == "released":
                new = self.solved(maps, new, replace(prompts, forget=attack))
            else:
                erased += attack
                new = self.solved(maps, old, replace(prompts, forget=erased))
        return new, {"epochs": c.epochs, "attack_cosine": likeness}
