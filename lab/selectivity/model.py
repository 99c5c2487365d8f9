"""A small language model of Mamba layers that shows its step sizes, and the task of predicting the next token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from exuvia.config import to_dict
from exuvia.train import seeded
from exuvia_ssm import Mamba
from lab.selectivity.source import Sample, Source


@dataclass(frozen=True)
class LanguageModelConfig:
    """Size of the model."""

    vocabulary: int
    """Tokens."""
    width: int = 64
    """Of the residual stream; the layers' channels are twice as many."""
    layers: int = 2
    """Mamba layers."""
    state: int = 16
    """States per channel."""


class ResidualMamba(nn.Module):
    """x + Mamba(norm(x)).   [B, L, D] -> [B, L, D]"""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.width)
        self.mixer = Mamba(config.width, d_state=config.state)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixer(self.norm(x))

    def step_sizes(self, x: Tensor) -> Tensor:
        """Delta of every channel, after the softplus.   [B, L, D] -> [B, L, E]"""
        return self.mixer.step_sizes(self.norm(x))


class MambaLanguageModel(nn.Module):
    """tokens [B, L] -> logits of the next token [B, L, V]: embedding, residual Mamba layers, norm, head."""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(ResidualMamba(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits.   [B, L] -> [B, L, V]"""
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))

    @torch.no_grad()
    def step_sizes(self, tokens: Tensor) -> list[Tensor]:
        """Delta of every layer, after the softplus.   [B, L] -> one [B, L, E] per layer"""
        x, found = self.embedding(tokens), []
        for layer in self.layers:
            assert isinstance(layer, ResidualMamba)
            found.append(layer.step_sizes(x))
            x = layer(x)
        return found


def new_model(config: LanguageModelConfig, seed: int) -> MambaLanguageModel:
    """A model with random weights, a function of the seed alone."""
    with seeded(seed):
        return MambaLanguageModel(config)


class NextToken:
    """A task for `train.fit`: fresh sequences of a source at every step, judged on held-out ones."""

    def __init__(
        self, source: Source, model: MambaLanguageModel, held_out: Sample, *, batch_size: int, length: int
    ) -> None:
        self.source, self._model, self.sample = source, model, held_out
        self.batch_size, self.length = batch_size, length

    @property
    def model(self) -> MambaLanguageModel:
        """What learns."""
        return self._model

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Fresh sequences; `step` is in `rng` already."""
        return {"tokens": torch.from_numpy(self.source.draw(self.batch_size, self.length, rng))}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean cross-entropy of elements 2 .. L, in nats."""
        tokens = batch["tokens"]
        return cross_entropy(self._model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()), {}

    def validate(self) -> Mapping[str, float]:
        """Bits an element on held-out sequences, and how many more than the source's own information."""
        bits = model_information(self._model, self.sample.tokens)[0][:, 1:]
        return {"bits": float(bits.mean()), "gap_bits": float((bits - self.sample.information[:, 1:]).mean())}

    def describe(self) -> dict[str, Any]:
        """Model, source and sizes."""
        sizes = {"batch_size": self.batch_size, "length": self.length, "held_out": len(self.sample.tokens)}
        return {"kind": "selectivity", "model": to_dict(self._model.config), "source": self.source.describe(), **sizes}


@torch.no_grad()
def model_information(
    model: MambaLanguageModel, tokens: np.ndarray, at_once: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """What the model itself takes for the information and for the entropy of the next element.

    Args:
        model: in evaluation mode
        tokens: sequences                                                              [B, L]
        at_once: sequences in one pass
    Returns:
        information (NaN at the first element), next_entropy: bits                     [B, L] each, float64
    """
    device = next(model.parameters()).device
    surprises, entropies = [], []
    for part in torch.from_numpy(tokens).split(at_once):
        logs = model(part.to(device)).double().log_softmax(-1) / np.log(2.0)
        surprise = -logs[:, :-1].gather(-1, part[:, 1:, None].to(device))[..., 0]
        surprises.append(nn.functional.pad(surprise, (1, 0), value=torch.nan).cpu())
        entropies.append(-(logs.exp2() * logs).sum(-1).cpu())
    return torch.cat(surprises).numpy(), torch.cat(entropies).numpy()
