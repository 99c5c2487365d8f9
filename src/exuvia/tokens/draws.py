"""Sources of random numbers for the tokenizer: a seeded generator in training, recorded values in parity tests."""

from typing import Protocol

import torch
from torch import Tensor


class Draws(Protocol):
    """A source of the random numbers that quantiser training needs."""

    def gumbel(self, rows: int, codes: int, like: Tensor) -> Tensor:
        """Standard Gumbel noise, [rows, codes]."""

    def normal(self, rows: int, dim: int, like: Tensor) -> Tensor:
        """Standard normal noise, [rows, dim]."""

    def dropped_above(self, levels: int, probability: float) -> int:
        """The highest quantiser level kept in this forward pass."""


class SeededDraws:
    """Random numbers from a torch generator on the CPU, so that every device and process gets the same ones."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def gumbel(self, rows: int, codes: int, like: Tensor) -> Tensor:
        """-log(-log u), each logarithm's argument at least 1e-20."""
        inner = -self._uniform(rows, codes).clamp_min_(1e-20).log_()
        return -inner.clamp_min_(1e-20).log_().to(like.device)

    def normal(self, rows: int, dim: int, like: Tensor) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(rows, dim, generator=self.generator).to(like.device)

    def dropped_above(self, levels: int, probability: float) -> int:
        """A level from U{0..levels-1} with the given probability, otherwise the last level."""
        u = float(self._uniform(1))
        if u >= probability:
            return levels - 1
        return kept_level(u, int(torch.randint(levels, (1,), generator=self.generator)), levels, probability)


def kept_level(u: float, start: int, levels: int, probability: float) -> int:
    """Quantise-dropout: levels above `start` are dropped if u < probability.   Sec. 3.1 [guo2024momask]"""
    return start if u < probability else levels - 1
