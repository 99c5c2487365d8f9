"""Short trainings of a generator's transformers on clips of a data set, for unlearning methods."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exuvia.cache import stable_hash
from exuvia.checkpoint import hash_tensors, load_into, load_tensors, part_of
from exuvia.codes.corpus import CaptionedCodes, DrawRule, training_loss
from exuvia.config import to_dict
from exuvia.data.clips import ClipSet
from exuvia.errors import DivergedError
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.train import WEIGHTS, TrainConfig, fit
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.settings import TuneConfig

Batch = Mapping[str, Tensor]
"""`codes` [B, T, Q], `lengths` [B], `cond` [B, S, E] and, for token states, `cond_valid` [B, S]."""
Objective = Callable[[Mapping[str, Batch], torch.Generator], tuple[Tensor, Mapping[str, Tensor]]]
"""Loss and metrics of one batch of each kind of clip."""


def captioned(evidence: Evidence, numbers: NDArray[np.int64]) -> CaptionedCodes:
    """Clips of the evidence for training; clips longer than the generator's maximum are cropped at random.
    Raises ConfigError if there is no data, or no clip has a caption and enough frames."""
    pipe, store = evidence.pipe, evidence.need_store()
    clips = ClipSet((store,), tuple((0, int(number)) for number in numbers))
    return CaptionedCodes(
        clips, pipe.tokenizer, pipe.normaliser, pipe.text, DrawRule(pipe.generation.max_steps),
        pooled=bool(pipe.config["text"]["pooled"]), precision=evidence.precision, cache=evidence.cache,
    )  # fmt: skip


@dataclass(eq=False)
class TuneTask:
    """Training of one transformer on clips of several kinds."""

    model: nn.Module
    data: Mapping[str, CaptionedCodes]
    objective: Objective
    size: int
    about: Mapping[str, Any]

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Clips of every kind; the kind is the prefix of names."""
        drawn = {kind: codes.draw(self.size, rng) for kind, codes in self.data.items()}
        return {f"{kind}.{name}": value for kind, batch in drawn.items() for name, value in batch.items()}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a batch."""
        return self.objective({kind: part_of(batch, kind) for kind in self.data}, generator)

    def validate(self) -> Mapping[str, float]:
        """The objective on one fixed batch."""
        loss, _ = self.loss(self.batch(0, np.random.default_rng(0)), torch.Generator().manual_seed(0))
        return {"loss": float(loss)}

    def describe(self) -> dict[str, Any]:
        """Everything that determines the run, except the loop."""
        return {"kind": "tune", **self.about, "batch_size": self.size}


def tune(
    model: nn.Module,
    data: Mapping[str, CaptionedCodes],
    objective: Objective,
    config: TuneConfig,
    evidence: Evidence,
    about: Mapping[str, Any],
    share: float = 1.0,
) -> float:
    """Train a transformer in place on clips by kind; returns the final objective on a fixed batch.

    With `evidence.cache`, the run is stored there: a stopped run continues, and a finished run is reused; `about`
    identifies it, and the concept is added. `share` interpolates between old (0) and tuned weights (1); it may be
    negative or above 1. Raises DivergedError if the loss or the weights are no longer finite.
    """
    store = evidence.need_store()
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    about = {**about, "concept": evidence.concept.name, "start": hash_tensors(before), "data": store.data_hash}
    about |= {"clips": {kind: len(codes) for kind, codes in data.items()}}
    settings = to_dict(config)
    key, cache = stable_hash([about, settings])[:24], evidence.cache
    task = TuneTask(model, data, objective, settings.pop("batch_size"), about)
    loop = TrainConfig(**settings, validate_every=config.steps, log_every=25)
    with tempfile.TemporaryDirectory() if cache is None else nullcontext(str(cache / "tuning" / key)) as folder:
        model.requires_grad_(True)
        metrics = fit(lambda: task, loop, folder, {"data_hash": store.data_hash})
        weights = load_tensors(Path(folder) / WEIGHTS)
    if not all(value.isfinite().all() for value in weights.values() if value.is_floating_point()):
        raise DivergedError(f"the weights are no longer numbers after {config.steps} steps; lower the learning rate")
    load_into(model, weights, "the tuned transformer")
    model.eval().requires_grad_(False)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(before[name] + share * (value - before[name]))
    return metrics["val/loss"]


def own_loss(model: BaseGenerator | ResidualTransformer, kind: str) -> Objective:
    """The usual training loss of a model on one kind of clips."""

    def objective(batch: Mapping[str, Batch], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, accuracy = training_loss(model, batch[kind], generator)
        return loss, {"accuracy": accuracy}

    return objective
