"""UCE: edits the maps from caption embeddings into the transformers to give the concept another meaning.

Source: [gandikota2024uce]; hmu, src/methods/rece.py. It changes `cond_emb.weight` of the masked and the residual
transformer, by (U1) of closed_form.py. A prompt gives one constraint with one row per token, or a single row if the
generator reads pooled captions.

Variant "released" fits the weight to outputs that include the bias, although the bias stays in the layer: it counts
twice for preserved prompts. "default" fits outputs without the bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.closed_form import Constraint, replaced, solve, without_direction
from exuvia.unlearning.settings import UCEConfig

RETAIN_WORDS = (
    "walk", "walking", "walking", "running", "run", "jog", "step", "turn", "dance", "dancing", "move", "moving",
    "steps", "raise", "arm", "leg", "forward", "front", "backward", "sit", "dodge", "moves",
)  # fmt: skip
"""Preserved words of hmu's script, which lists "walking" twice."""


@dataclass(frozen=True)
class Prompts:
    """Embedded prompts: one matrix [L, E] each."""

    forget: list[Tensor]
    target: Tensor
    retain: list[Tensor]


class UCE(Method[UCEConfig]):
    """Unified concept editing of the text projections."""

    Config = UCEConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Change the projections of `pipe` in place. Raises ConfigError without prompts or a finite solution."""
        forget, retain = prompts_of(self.config, evidence)
        target = "" if self.config.variant == "released" else self.config.target
        prompts = Prompts(embedded(pipe, forget), embedded(pipe, [target])[0], embedded(pipe, retain))
        maps = projections(pipe)
        old = [layer.weight.detach().clone() for layer in maps]
        new, facts = self.edited(maps, old, prompts)
        with torch.no_grad():
            for layer, before, after in zip(maps, old, new, strict=True):
                layer.weight.copy_(torch.lerp(before, after, self.config.strength))
        moved = [float((layer.weight - w).norm() / w.norm()) for layer, w in zip(maps, old, strict=True)]
        return {"erased": len(forget), "preserved": len(retain), **facts, "moved": moved}

    def edited(self, maps: list[nn.Linear], old: list[Tensor], prompts: Prompts) -> tuple[list[Tensor], dict[str, Any]]:
        """New weights of all maps, and facts about the edit."""
        return self.solved(maps, old, prompts), {}

    def solved(self, maps: list[nn.Linear], weights: list[Tensor], prompts: Prompts) -> list[Tensor]:
        """New weights of all maps, from the given ones."""
        return [self._solve(layer, weight, prompts) for layer, weight in zip(maps, weights, strict=True)]

    def _solve(self, layer: nn.Linear, weight: Tensor, prompts: Prompts) -> Tensor:
        c, released = self.config, self.config.variant == "released"
        erase, keep, technique = (0.1, 0.5, "tensor") if released else (c.erase_scale, c.preserve_scale, c.technique)
        bias = layer.bias if released and layer.bias is not None else torch.zeros(len(weight))

        def out(rows: Tensor) -> Tensor:
            return (rows @ weight.T + bias).detach()

        target, constraints = out(prompts.target), []
        for rows in prompts.forget:
            wanted = replaced(target, len(rows))
            wanted = without_direction(wanted, out(rows)) if technique == "tensor" else wanted
            constraints.append(Constraint(rows, wanted, erase / (1 if released else len(rows))))
        for rows in prompts.retain:
            constraints.append(Constraint(rows, out(rows), keep / (1 if released else len(rows))))
        return solve(weight, constraints, c.lam)


def projections(pipe: MotionPipeline) -> list[nn.Linear]:
    """The maps from caption embeddings into the masked and the residual transformer."""
    return [pipe.base.cond_emb, pipe.residual.cond_emb]


def embedded(pipe: MotionPipeline, texts: Sequence[str]) -> list[Tensor]:
    """Inputs of the projections for each text: real token states [L, E], or the pooled vector [1, E]."""
    states = pipe.text.encode(list(texts))
    if pipe.config["text"]["pooled"]:
        return [row[None] for row in states.pooled]
    return [row[real] for row, real in zip(states.states, states.valid, strict=True)]


def prompts_of(config: UCEConfig, evidence: Evidence) -> tuple[list[str], list[str]]:
    """Texts to erase and to preserve. Raises ConfigError if no text names the concept."""
    concept, plain = evidence.concept, config.variant == "released" or evidence.store is None
    forget, retain = list(config.forget_words), list(config.retain_words)
    if not forget and plain:
        forget = list(concept.released_keywords("humanml3d" if evidence.store is None else evidence.store.keywords))
        if config.variant != "released":
            forget += [f"a person {word}s" for word in forget]
    if not retain and plain:
        retain = list(RETAIN_WORDS)
    forget = forget or _captions(evidence, evidence.forget, config.max_prompts)
    retain = retain or _captions(evidence, evidence.retain, config.max_prompts)
    if not forget:
        raise ConfigError(f"no caption and no keyword names {concept.name!r}; pass forget_words")
    return forget, retain


def _captions(evidence: Evidence, clips: Any, limit: int) -> list[str]:
    """Captions of clips without duplicates, evenly spaced."""
    texts = evidence.captions(clips)
    if len(texts) > limit:
        texts = [texts[i] for i in np.linspace(0, len(texts) - 1, limit).round().astype(int)]
    return texts
