"""Task negation: learns the concept in a short training, and subtracts the resulting change of the weights.

    (N1)  theta' = theta - alpha (theta_forget - theta)      [ilharco2023arithmetic]

as SafeMo does on another backbone. SafeMo subtracts strongly for prompts of a precomputed list and hardly for others:
its gate knows the answer. Here the gate is a logistic regression on caption embeddings, trained on captions of the
training split only, and its mistakes count. `gate="none"` subtracts for every prompt.
"""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.prompt_guard import LearnedDetector, PromptGuard
from exuvia.unlearning.base import Evidence, Method
from exuvia.unlearning.settings import NegationConfig
from exuvia.unlearning.tuning import captioned, own_loss, tune


class Negation(Method[NegationConfig]):
    """Learns the concept, then subtracts it."""

    Config = NegationConfig

    def edit(self, pipe: MotionPipeline, evidence: Evidence) -> dict[str, Any]:
        """Change both transformers of `pipe` in place, or add a guard with changed ones. Raises DivergedError."""
        c = self.config
        data = {"forget": captioned(evidence, evidence.forget)}
        models, losses = {}, {}
        for part in ("base", "residual"):
            model = copy.deepcopy(getattr(pipe, part)) if c.gate == "learned" else getattr(pipe, part)
            about = {"method": "negation", "part": part}
            losses[part] = tune(model, data, own_loss(model, "forget"), c.tune, evidence, about, -c.strength)
            models[part] = model
        facts: dict[str, Any] = {"clips": {"forget": len(data["forget"])}, "absorbed_loss": losses}
        if c.gate == "learned":
            detector, quality = learned_detector(pipe, evidence, c.specificity)
            pipe.guards.append(PromptGuard(detector, base=models["base"], residual=models["residual"]))
            facts["gate"] = quality
        return facts


def learned_detector(
    pipe: MotionPipeline, evidence: Evidence, specificity: float
) -> tuple[LearnedDetector, dict[str, float]]:
    """Train a gate for captions of the concept on the evidence's captions; returns it with its training rates.

    It separates captions of clips that show the concept from all others, with equal weights of both sets. The threshold
    passes a share of `specificity` of the others.
    """

    def vectors(clips: NDArray[np.int64]) -> Tensor:
        texts = evidence.captions(clips)
        return torch.cat([pipe.text.encode(texts[low : low + 256]).pooled for low in range(0, len(texts), 256)])

    yes, no = vectors(evidence.forget), vectors(evidence.retain)
    weight, bias = logistic_regression(yes, no)
    scores = (no.double() @ weight + bias).sort().values
    threshold = float(scores[min(len(scores) - 1, int(np.ceil(specificity * len(scores))))])
    detector = LearnedDetector(weight.float(), bias, threshold)
    rates = [float((x.double() @ detector.weight.double() + bias >= threshold).double().mean()) for x in (yes, no)]
    return detector, dict(zip(("train_hit_rate", "train_false_rate"), rates, strict=True))


def logistic_regression(yes: Tensor, no: Tensor, ridge: float = 1e-3) -> tuple[Tensor, float]:
    """Weight [E] and bias of a logistic regression between two sets of vectors [N, E] of equal total weight."""
    x = torch.cat([yes, no]).double()
    scale = x.std(0).clamp(min=1e-6)
    x = x / scale
    y = torch.cat([torch.ones(len(yes)), torch.zeros(len(no))]).double()
    share = torch.where(y > 0, 0.5 / len(yes), 0.5 / len(no))
    plane = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([plane], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = (F.binary_cross_entropy_with_logits(x @ plane[:-1] + plane[-1], y, reduction="none") * share).sum()
        value = value + ridge * plane[:-1].square().sum()
        value.backward()
        return value

    solver.step(loss)
    return (plane[:-1].detach() / scale), float(plane[-1].detach())
