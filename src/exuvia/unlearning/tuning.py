"""Short trainings of a generator's transformers on clips of a data set, as some methods of unlearning need them."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from exuvia.checkpoint import hash_tensors, load_into, load_tensors
from exuvia.codes.encode import encode_clips
from exuvia.config import to_dict
from exuvia.errors import ConfigError, DivergedError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.train import WEIGHTS, TrainConfig, fit
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.settings import TuneConfig

Batch = Mapping[str, Tensor]
"""`codes` [B, T, Q], `lengths` [B], `cond` [B, S, E] and, where captions are token states, `cond_valid` [B, S]."""
Objective = Callable[[Mapping[str, Batch], torch.Generator], tuple[Tensor, Mapping[str, Tensor]]]
"""Loss and metrics of a batch of every kind of clip."""
FEWEST = 5
"""Code steps of the shortest clip that is learned from."""


class CaptionedCodes:
    """Clips as code sequences, each with the embeddings of its captions."""

    def __init__(self, evidence: Evidence, numbers: NDArray[np.int64]) -> None:
        """Encode clips of the evidence's data. Raises ConfigError where none has a caption and enough frames."""
        pipe, store = evidence.pipe, evidence.need_store()
        numbers = np.asarray([n for n in map(int, numbers) if store.clips[n].captions], np.int64)
        packed = encode_clips(
            store, numbers, pipe.tokenizer, pipe.normaliser, precision=evidence.precision, cache=evidence.cache
        )
        longest = pipe.generation.max_steps
        self.longest = longest
        kept = [i for i in range(len(packed)) if len(packed[i]) >= FEWEST]
        if not kept:
            raise ConfigError(f"none of {len(numbers)} clips has a caption and {4 * FEWEST} frames to learn from")
        self.codes = [torch.from_numpy(packed[i].astype(np.int64)) for i in kept]
        texts = [[caption.text for caption in store.clips[int(numbers[i])].captions] for i in kept]
        place = {text: row for row, text in enumerate(dict.fromkeys(t for some in texts for t in some))}
        self.captions = [[place[text] for text in some] for some in texts]
        self.pooled_only = bool(pipe.config["text"]["pooled"])
        self.states, self.pooled = _embedded(pipe, list(place))

    def __len__(self) -> int:
        return len(self.codes)

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Random clips, longer ones cut at a random place, each with one of its captions."""
        codes, cond = [], []
        for i in rng.integers(len(self), size=size):
            row = self.codes[i]
            start = int(rng.integers(max(0, len(row) - self.longest) + 1))
            codes.append(row[start : start + self.longest])
            cond.append(self.captions[i][int(rng.integers(len(self.captions[i])))])
        batch = {
            "codes": pad_sequence(codes, batch_first=True, padding_value=-1),
            "lengths": torch.tensor([len(row) for row in codes]),
        }
        if self.pooled_only:
            return batch | {"cond": self.pooled[cond][:, None]}
        states = [self.states[i] for i in cond]
        sizes = torch.tensor([len(one) for one in states])
        valid = torch.arange(int(sizes.max())) < sizes[:, None]
        return batch | {"cond": pad_sequence(states, batch_first=True), "cond_valid": valid}


def _embedded(pipe: MotionPipeline, texts: Sequence[str]) -> tuple[list[Tensor], Tensor]:
    """Token states [S, E] of each text, and the sentence vectors [N, E]."""
    states, pooled = [], []
    for low in range(0, len(texts), 64):
        found = pipe.text.encode(list(texts[low : low + 64]))
        states += [row[real].clone() for row, real in zip(found.states, found.valid, strict=True)]
        pooled.append(found.pooled)
    return states, torch.cat(pooled)


class TuneTask:
    """One transformer, clips of several kinds, one objective."""

    kind = "tune"

    def __init__(
        self,
        model: nn.Module,
        data: Mapping[str, CaptionedCodes],
        objective: Objective,
        size: int,
        about: Mapping[str, Any],
    ) -> None:
        self.model, self.data, self.objective, self.size, self.about = model, data, objective, size, dict(about)

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Clips of every kind, names prefixed with the kind."""
        drawn = {kind: codes.draw(self.size, rng) for kind, codes in self.data.items()}
        return {f"{kind}.{name}": value for kind, batch in drawn.items() for name, value in batch.items()}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a batch."""
        kinds = {
            kind: {n.partition(".")[2]: v for n, v in batch.items() if n.startswith(f"{kind}.")} for kind in self.data
        }
        return self.objective(kinds, generator)

    def validate(self) -> Mapping[str, float]:
        """The objective on one fixed batch."""
        loss, _ = self.loss(self.batch(0, np.random.default_rng(0)), torch.Generator().manual_seed(0))
        return {"loss": float(loss)}

    def describe(self) -> dict[str, Any]:
        """What decides the run besides the loop."""
        return {"kind": self.kind, **self.about, "batch_size": self.size}


def tune(
    model: nn.Module,
    data: Mapping[str, CaptionedCodes],
    objective: Objective,
    config: TuneConfig,
    evidence: Evidence,
    about: Mapping[str, Any],
) -> float:
    """Train a transformer in place; returns the objective on a fixed batch afterwards.

    With `evidence.cache` the run is kept there: one that was stopped continues, one that is finished is read.

    Args:
        model: what learns
        data: clips by kind
        objective: loss of a batch of every kind; it may use `model`
        about: method, part and whatever else tells this run from others
    Raises:
        DivergedError: the loss or the weights are no longer finite.
    """
    store = evidence.need_store()
    about = {**about, "start": hash_tensors(model.state_dict()), "data": store.data_hash, "clips": _sizes(data)}
    loop = TrainConfig(
        steps=config.steps, lr=config.lr, warmup=config.warmup, clip_norm=config.clip_norm, seed=config.seed,
        precision=config.precision, validate_every=config.steps, log_every=25,
    )  # fmt: skip
    task = TuneTask(model, data, objective, config.batch_size, about)
    key = hashlib.sha256(json.dumps([about, to_dict(config)], sort_keys=True).encode()).hexdigest()[:24]
    kept = evidence.cache
    with tempfile.TemporaryDirectory() if kept is None else nullcontext(str(kept / "tuning" / key)) as folder:
        model.requires_grad_(True)
        found = fit(task, loop, folder, {"data_hash": store.data_hash})
        weights = load_tensors(Path(folder) / WEIGHTS)
    if not all(value.isfinite().all() for value in weights.values() if value.is_floating_point()):
        raise DivergedError(f"the weights are no longer numbers after {config.steps} steps; lower the learning rate")
    load_into(model, weights, "the tuned transformer")
    model.eval().requires_grad_(False)
    return found["val/loss"]


def _sizes(data: Mapping[str, CaptionedCodes]) -> dict[str, int]:
    return {kind: len(codes) for kind, codes in data.items()}


def own_loss(part: str, model: Any, kind: str) -> Objective:
    """The training loss that a part of a generator (base or residual) was trained with, on one kind of clips."""

    def objective(batch: Mapping[str, Batch], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        one = batch[kind]
        codes = one["codes"][..., 0] if part == "base" else one["codes"]
        loss, accuracy = model.loss(codes, one["lengths"], one["cond"], one.get("cond_valid"), generator=generator)
        return loss, {"accuracy": accuracy}

    return objective


def blend(model: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Weights `share` of the way from `before` to those of `model`, in place; share may be negative or above 1."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(before[name] + share * (value - before[name]))


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
