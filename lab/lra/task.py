"""The task of learning to classify sequences: what the training loop needs from a model and its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from exuvia.config import to_dict
from exuvia_ssm import optim_groups
from lab.lra.model import ClassifierConfig, SequenceClassifier


class Sequences(Protocol):
    """Labelled sequences; lab/lra/packed.py has them."""

    def __len__(self) -> int:
        """Examples."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of every example [N]."""

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Inputs [B, L] (pairs: [2 B, L]), which steps are real [B, L] or None for all, and labels int64 [B]."""


@dataclass(frozen=True)
class Splits:
    """Training, validation and test examples."""

    train: Sequences
    valid: Sequences
    test: Sequences


@dataclass(frozen=True)
class Score:
    """What a model answers on a set."""

    accuracy: float
    """Share of right answers."""
    loss: float
    """Mean cross entropy, nats."""


class ClassifyTask:
    """Cross entropy on random batches; validation on (a part of) the validation set."""

    def __init__(self, config: ClassifierConfig, splits: Splits, batch_size: int, valid_limit: int = 2000) -> None:
        """Join model and data.

        Args:
            config: the model
            splits: the data
            batch_size: examples per step
            valid_limit: maximum number of validation examples
        """
        self.model = SequenceClassifier(config)
        self.splits, self.batch_size, self.valid_limit = splits, batch_size, valid_limit

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Random examples of about one length: of eight times as many, the block of neighbours in length that a draw
        falls on, so that little is computed on padding."""
        train = self.splits.train
        pool = rng.integers(len(train), size=8 * self.batch_size)
        order = pool[np.argsort(train.lengths[pool], kind="stable")]
        low = int(rng.integers(8)) * self.batch_size
        x, valid, label = train.batch(order[low : low + self.batch_size])
        return {"x": x, "label": label} | ({} if valid is None else {"valid": valid})

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Cross entropy, and the share of right answers."""
        logits = self.model(batch["x"], batch.get("valid")).float()
        right = (logits.detach().argmax(-1) == batch["label"]).float().mean()
        return cross_entropy(logits, batch["label"]), {"accuracy": right}

    def validate(self) -> Mapping[str, float]:
        """Accuracy and loss on the validation set."""
        found = score(self.model, self.splits.valid, self.batch_size, self.valid_limit)
        return {"accuracy": found.accuracy, "loss": found.loss}

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The stack's own groups and the rest."""
        groups = optim_groups(self.model.stack, lr, weight_decay)
        stack = {id(p) for p in self.model.stack.parameters()}
        rest = [p for p in self.model.parameters() if id(p) not in stack]
        return [*groups, {"params": rest, "lr": lr, "weight_decay": weight_decay}]

    def describe(self) -> dict[str, Any]:
        """For the run folder."""
        return {"kind": "sequence-classifier", "model": to_dict(self.model.config), "batch_size": self.batch_size}


@torch.no_grad()
def score(model: SequenceClassifier, data: Sequences, batch_size: int, limit: int | None = None) -> Score:
    """Answers on a set, or on `limit` of its examples, always the same random ones; in batches of like lengths."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    rows = np.random.default_rng(0).permutation(len(data))[:limit]
    rows = rows[np.argsort(data.lengths[rows], kind="stable")]
    right, nats = 0, 0.0
    for low in range(0, len(rows), batch_size):
        x, valid, label = data.batch(rows[low : low + batch_size])
        logits = model(x.to(device), None if valid is None else valid.to(device)).float().cpu()
        right += int((logits.argmax(-1) == label).sum())
        nats += float(cross_entropy(logits, label, reduction="sum"))
    model.train(was_training)
    return Score(right / max(1, len(rows)), nats / max(1, len(rows)))
