"""How the generators of base codes, the residual transformer and the length estimator are trained."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.codes.corpus import CaptionedCodes, DrawRule
from exuvia.config import to_dict
from exuvia.data.clips import open_corpus
from exuvia.files import sha256_file
from exuvia.recipes.settings import BAMMRecipe, CausalRecipe, CodesRecipe, LengthRecipe, MaskRecipe, ResidualRecipe
from exuvia.recipes.tokenizer import load_tokenizer
from exuvia.registry import TEXT_ENCODER, resolve
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.train import WEIGHTS, fit


class CodesTask(ABC):
    """Batches of codes and captions; subclasses say which model learns what from them."""

    kind = ""
    model: nn.Module

    def __init__(self, recipe: CodesRecipe, model: nn.Module) -> None:
        self.recipe, self.model = recipe, model
        tokenizer, normaliser = load_tokenizer(recipe.tokenizer)
        corpus, facts = open_corpus(recipe.corpus)
        encoder = resolve(TEXT_ENCODER, recipe.text, "text encoder")()
        self.text_fingerprint = encoder.fingerprint
        self.data, held = (
            CaptionedCodes(
                corpus.choose(split), tokenizer, normaliser, encoder, DrawRule.training(recipe.max_steps, offsets),
                pooled=recipe.pooled, compact=True, cache=Path(recipe.out).parent / "cache",
            )
            for split, offsets in (("train", tokenizer.config.stride), ("val", 1))
        )  # fmt: skip
        self.held = held.fixed(256)
        self.facts = {**facts, "parent": sha256_file(Path(recipe.tokenizer) / WEIGHTS)}

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Codes, lengths and captions of `batch_size` clips."""
        return self.data.draw(self.recipe.batch_size, rng)

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The model's training loss and its accuracy."""
        loss, accuracy = self.objective(batch, generator)
        return loss, {"accuracy": accuracy}

    @abstractmethod
    def objective(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of one batch."""

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on held-out clips, with fixed draws."""
        generator = torch.Generator().manual_seed(0)
        pairs = [self.objective(batch, generator) for batch in self.held]
        losses, accuracies = (np.mean([float(v) for v in column]) for column in zip(*pairs, strict=True))
        return {"loss": float(losses), "accuracy": float(accuracies)}

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        skip = {"out", "train"}
        about = {k: v for k, v in to_dict(self.recipe).items() if k not in skip}
        return {"kind": self.kind, **about, "text_fingerprint": self.text_fingerprint}


class MaskTask(CodesTask):
    """Masked modelling of the base codes.   Sec. 3.2 [guo2024momask]"""

    kind = "mask"
    model: MaskTransformer

    def objective(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cross-entropy at masked positions."""
        codes, given = batch["codes"][..., 0], (batch["cond"], batch.get("cond_valid"))
        return self.model.loss(codes, batch["lengths"], *given, generator=generator)


class BAMMTask(MaskTask):
    """Base codes and their end, from left to right with revealed places.   [pinyo2024bamm]"""

    kind = "bamm"
    model: BAMM  # type: ignore[assignment]


class CausalTask(MaskTask):
    """Base codes and their end, from left to right."""

    kind = "causal"
    model: CausalGenerator  # type: ignore[assignment]


class ResidualTask(CodesTask):
    """Prediction of each residual level from the levels before.   Sec. 3.3 [guo2024momask]"""

    kind = "residual"
    model: ResidualTransformer

    def objective(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cross-entropy at one random level a sample."""
        given = batch["cond"], batch.get("cond_valid")
        return self.model.loss(batch["codes"], batch["lengths"], *given, generator=generator)


class LengthTask(CodesTask):
    """Number of code steps from the sentence vector.   momask-codes, models/... LengthEstimator"""

    kind = "length"
    model: LengthEstimator

    def objective(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cross-entropy over length classes."""
        logits = self.model.logits(batch["pooled"])
        accuracy = (logits.argmax(-1) == batch["lengths"]).float().mean()
        return F.cross_entropy(logits, batch["lengths"]), accuracy


def _train(task: CodesTask) -> dict[str, float]:
    return fit(task, task.recipe.train, task.recipe.out, task.facts)


def train_mask(recipe: MaskRecipe) -> dict[str, float]:
    """Train, continue or return a masked-transformer run. Raises as `train.fit` does."""
    return _train(MaskTask(recipe, MaskTransformer(recipe.model)))


def train_bamm(recipe: BAMMRecipe) -> dict[str, float]:
    """Train, continue or return a BAMM run. Raises as `train.fit` does."""
    return _train(BAMMTask(recipe, BAMM(recipe.model)))


def train_causal(recipe: CausalRecipe) -> dict[str, float]:
    """Train, continue or return a run of the autoregressive generator. Raises as `train.fit` does."""
    return _train(CausalTask(recipe, CausalGenerator(recipe.model)))


def train_residual(recipe: ResidualRecipe) -> dict[str, float]:
    """Train, continue or return a residual-transformer run. Raises as `train.fit` does."""
    return _train(ResidualTask(recipe, ResidualTransformer(recipe.model)))


def train_length(recipe: LengthRecipe) -> dict[str, float]:
    """Train, continue or return a length-estimator run. Raises as `train.fit` does."""
    return _train(LengthTask(recipe, LengthEstimator(recipe.model)))
