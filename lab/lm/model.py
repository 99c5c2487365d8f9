"""Language models over any causal mixer, and their training: windows at random places, evaluation over the whole text.

State-space models read a text from end to end: the state goes from window to window (document-continuous). Attention
has no state: its windows overlap by half, and only the second half of each counts, so that every token but the first
has at least half a window before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from exuvia.config import to_dict
from exuvia.errors import ConfigError, DataError, ShapeError
from exuvia.sequence.settings import StackConfig
from exuvia_ssm import optim_groups
from lab.stack import build_stack

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LanguageModelConfig:
    """Vocabulary and stack."""

    stack: StackConfig
    """Size and kind; causal."""
    vocabulary: int
    """Tokens V."""
    tied: bool = True
    """The output map is the embedding, transposed."""

    def __post_init__(self) -> None:
        if not self.stack.causal:
            raise ConfigError("found a bidirectional stack; a language model needs causal=True")
        if self.vocabulary < 2:
            raise ConfigError(f"found a vocabulary of {self.vocabulary}, expected at least 2 tokens")


class LanguageModel(nn.Module):
    """tokens int64 [B, L] -> logits of the next token [B, L, V]."""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.config, width = config, config.stack.width
        self.enter = nn.Embedding(config.vocabulary, width)
        nn.init.normal_(self.enter.weight, std=width**-0.5)  # logits of a tied head start near 1 in size
        self.stack = build_stack(config.stack)
        self.leave = nn.Linear(width, config.vocabulary, bias=False)
        if config.tied:
            self.leave.weight = self.enter.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits from an empty past. Raises ShapeError unless tokens are [B, L]."""
        if tokens.ndim != 2:
            raise ShapeError(f"found tokens {list(tokens.shape)}, expected [B, L]")
        return self.leave(self.stack(self.enter(tokens)))

    def carried(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits from a state on, and the state after; see `Stack.carried`."""
        y, after = self.stack.carried(self.enter(tokens), state)
        return self.leave(y), after


class NextToken:
    """Cross entropy of the next token in windows at random places of a text."""

    def __init__(
        self, config: LanguageModelConfig, train: Tokens, valid: Tokens, *, length: int = 256, batch_size: int = 16,
        valid_limit: int = 100_000,
    ) -> None:  # fmt: skip
        """Join model and text.

        Args:
            config: the model
            train, valid: tokens of the two parts
            length: tokens of a window
            batch_size: windows per step
            valid_limit: maximum number of tokens of the validation part, from its start
        Raises:
            DataError: a part that is shorter than one window.
        """
        if min(len(train), len(valid)) < length + 2:
            raise DataError(f"found {len(train)} and {len(valid)} tokens, expected more than a window of {length}")
        self.model = LanguageModel(config)
        self.train, self.valid = train, valid[:valid_limit]
        self.length, self.batch_size = length, batch_size

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Windows with the token after each."""
        starts = rng.integers(len(self.train) - self.length, size=self.batch_size)
        rows = np.stack([self.train[start : start + self.length + 1] for start in starts])
        return {"tokens": torch.from_numpy(rows.astype(np.int64))}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean nats per token, and the same in bits."""
        tokens = batch["tokens"]
        logits = self.model(tokens[:, :-1]).float()
        nats = cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        return nats, {"bits": nats.detach() / np.log(2)}

    def validate(self) -> Mapping[str, float]:
        """Nats and bits per token of the validation text."""
        nats = nats_a_token(self.model, self.valid, self.length)
        return {"nats": nats, "bits": nats / float(np.log(2))}

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The stack's own groups and the rest."""
        stack = {id(p) for p in self.model.stack.parameters()}
        rest = [p for p in self.model.parameters() if id(p) not in stack]
        groups = optim_groups(self.model.stack, lr, weight_decay)
        return [*groups, {"params": rest, "lr": lr, "weight_decay": weight_decay}]

    def describe(self) -> dict[str, Any]:
        """For the run folder."""
        facts = {"length": self.length, "batch_size": self.batch_size}
        return {"kind": "language-model", "model": to_dict(self.model.config), **facts}


@torch.no_grad()
def nats_a_token(model: LanguageModel, tokens: Tokens, length: int) -> float:
    """Mean negative log-likelihood of every token but the first, each counted once, in nats.

    Args:
        model: the language model; it is put into evaluation mode meanwhile
        tokens: a text [N], at least two
        length: tokens read at a time; for state-space stacks it changes speed only
    """
    if len(tokens) < 2:
        raise DataError(f"found {len(tokens)} tokens, expected at least 2 to predict one from another")
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    whole = torch.from_numpy(np.asarray(tokens).astype(np.int64)).to(device)
    total = _by_state(model, whole, length) if model.stack.carries_state else _by_overlap(model, whole, length)
    model.train(was_training)
    return total / (len(tokens) - 1)


def _by_state(model: LanguageModel, tokens: Tensor, length: int) -> float:
    total, state = 0.0, None
    for low in range(0, len(tokens) - 1, length):
        piece = tokens[low : low + length + 1]
        logits, state = model.carried(piece[None, :-1], state)
        total += float(cross_entropy(logits[0].float(), piece[1:], reduction="sum"))
    return total


def _by_overlap(model: LanguageModel, tokens: Tensor, length: int) -> float:
    total, half, done = 0.0, max(1, length // 2), 0  # `done` targets are counted, tokens 1 .. done
    while done < len(tokens) - 1:
        start = max(0, done - half)
        piece = tokens[start : start + length + 1]
        logits = model(piece[None, :-1])[0].float()
        fresh = done - start
        total += float(cross_entropy(logits[fresh:], piece[1 + fresh :], reduction="sum"))
        done = start + len(piece) - 1
    return total
