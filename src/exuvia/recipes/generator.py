"""Training of the generators of base codes, the residual transformer and the length estimator."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.checkpoint import load_into, load_run
from exuvia.codes.corpus import CaptionedCodes, DrawRule, training_loss
from exuvia.config import to_dict
from exuvia.data.clips import open_corpus
from exuvia.errors import ConfigError
from exuvia.files import sha256_file
from exuvia.judges.tasks import load_evaluator
from exuvia.recipes.held_captions import HeldCaptions
from exuvia.recipes.settings import BAMMRecipe, BaseRecipe, CausalRecipe, LengthRecipe, MaskRecipe, ResidualRecipe
from exuvia.recipes.tokenizer import load_tokenizer
from exuvia.registry import TEXT_ENCODER, resolve
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.train import WEIGHTS, fit

Part = BaseGenerator | ResidualTransformer | LengthEstimator
Recipe = MaskRecipe | BAMMRecipe | CausalRecipe | ResidualRecipe | LengthRecipe
PART: dict[type, tuple[str, Callable[[Any, int], Part]]] = {
    MaskRecipe: ("mask", MaskTransformer),
    BAMMRecipe: ("bamm", BAMM),
    CausalRecipe: ("causal", CausalGenerator),
    ResidualRecipe: ("residual", ResidualTransformer),
    LengthRecipe: ("length", LengthEstimator),
}
"""Recipe -> kind of run, and class of the model, whose arguments are sizes and a seed."""


class CodesTask:
    """Trains a model on codes and captions. Raises ConfigError if model and caption encoder differ in width."""

    def __init__(self, recipe: Recipe) -> None:
        self.kind, make = PART[type(recipe)]
        self.recipe = recipe
        self.model: Part = make(recipe.model, recipe.train.seed)
        start = {}
        if recipe.start:
            begun, _ = load_run(recipe.start, self.kind, lambda sizes: make(sizes, 0), type(recipe.model))
            load_into(self.model, begun.state_dict(), f"the {self.kind} model of {recipe.start}")
            start = {"start": sha256_file(Path(recipe.start) / WEIGHTS)}
        tokenizer, normaliser = load_tokenizer(recipe.tokenizer)
        corpus, facts = open_corpus(recipe.corpus)
        encoder = resolve(TEXT_ENCODER, recipe.text, "text encoder")()
        if recipe.model.text_dim != encoder.dim:
            found = f"a text_dim of {recipe.model.text_dim}, but the caption encoder {recipe.text!r} gives vectors"
            raise ConfigError(f"found {found} of {encoder.dim}; add --model.text-dim {encoder.dim}")
        self.text_fingerprint = encoder.fingerprint
        self.data, held = (
            CaptionedCodes(
                corpus.choose(split), tokenizer, normaliser, encoder, DrawRule.training(recipe.max_steps, offsets),
                pooled=recipe.pooled, compact=True, cache=Path(recipe.out).parent / "cache",
            )
            for split, offsets in (("train", tokenizer.config.stride), ("val", 1))
        )  # fmt: skip
        self.held = held.fixed(256)
        self.retrieval: HeldCaptions | None = None
        if isinstance(recipe, BaseRecipe) and recipe.judge:
            self.retrieval = HeldCaptions(held, tokenizer, normaliser, load_evaluator(recipe.judge))
        self.facts = {**facts, **start, "parent": sha256_file(Path(recipe.tokenizer) / WEIGHTS)}

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Codes, lengths and captions of `batch_size` clips."""
        return self.data.draw(self.recipe.batch_size, rng)

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The model's training loss and its accuracy."""
        loss, accuracy = self.objective(batch, generator)
        return loss, {"accuracy": accuracy}

    def objective(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of one batch."""
        if isinstance(self.model, LengthEstimator):
            return self.model.loss(batch["pooled"], batch["lengths"])
        return training_loss(self.model, batch, generator)

    def validate(self) -> Mapping[str, float]:
        """Loss and accuracy on held-out clips, with fixed draws; with a judge, R-precision of generated motion too."""
        generator = torch.Generator().manual_seed(0)
        pairs = [self.objective(batch, generator) for batch in self.held]
        losses, accuracies = (np.mean([float(v) for v in column]) for column in zip(*pairs, strict=True))
        metrics = {"loss": float(losses), "accuracy": float(accuracies)}
        if self.retrieval is not None and isinstance(self.model, BaseGenerator):
            metrics["r3"] = self.retrieval.r3(self.model)
        return metrics

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        about = {k: v for k, v in to_dict(self.recipe).items() if k not in ("out", "train")}
        return {"kind": self.kind, **about, "text_fingerprint": self.text_fingerprint}


def train_part(recipe: Recipe) -> dict[str, float]:
    """Train the part of a recipe, or continue or return its run. Raises the errors of `train.fit`."""
    return fit(lambda: CodesTask(recipe), recipe.train, recipe.out)
