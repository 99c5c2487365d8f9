"""Sources of tokens whose information is known: their interface, and sources given by a table of probabilities.

information_l = -log2 p(x_l | x_<l)        next_entropy_l = H(x_{l+1} | x_<=l)        both in bits
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]  # [B, L]
Bits = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Sequences with the information of each element."""

    tokens: Tokens
    """[B, L], in [0, vocabulary)."""
    information: Bits
    """[B, L] bits: -log2 p(x_l | x_<l)."""
    next_entropy: Bits
    """[B, L] bits: the entropy of x_{l+1} given x_1 .. x_l."""
    kinds: Tokens
    """[B, L], index into the source's `kinds`."""


class Source(Protocol):
    """What an experiment needs to know of a source of tokens."""

    @property
    def name(self) -> str:
        """Name of the source."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of tokens; one name where all are alike."""

    @property
    def exact(self) -> bool:
        """Whether the information is known exactly (True) or estimated by another model (False)."""

    @property
    def entropy_rate(self) -> float | None:
        """Bits an element in the long run, where it is known."""

    def draw(self, count: int, length: int, rng: np.random.Generator) -> Tokens:
        """Sequences to learn from.   [count, length]"""

    def held_out(self, count: int, length: int, rng: np.random.Generator) -> Sample:
        """Sequences to measure on, with their information; independent of those to learn from."""

    def describe(self) -> dict[str, Any]:
        """What makes this source what it is, JSON-ready."""


def entropy_bits(probabilities: Bits) -> Bits:
    """Entropy of each row.   [..., V] -> [...], bits; 0 log 0 = 0"""
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.maximum(0.0, -(probabilities * logs).sum(-1))  # not -0.0


def pick(cumulative: Bits, rng: np.random.Generator) -> Tokens:
    """One draw from each row of cumulative probabilities.   [B, V] -> [B]"""
    drawn = (cumulative[:, :-1] < rng.random((len(cumulative), 1))).sum(1)
    return drawn.astype(np.int64)


class TableSource:
    """A stationary Markov chain of order k: p(x_l | the k elements before it) is a row of a table.

    Args:
        name: of the source
        table: probabilities of the next element; row (x_{l-k} .. x_{l-1}) in base V      [V^k, V]
        start: stationary probabilities of k successive elements                          [V^k]
        facts: what the table was made from
    """

    kinds = ("element",)
    exact = True

    def __init__(self, name: str, table: Bits, start: Bits, facts: dict[str, Any]) -> None:
        self.name, self.table, self.start, self.facts = name, table, start, facts
        self.vocabulary = table.shape[1]
        self.order = round(np.log(len(table)) / np.log(self.vocabulary))
        self.entropies = entropy_bits(table)
        self.entropy_rate = float(start @ self.entropies)
        self._cumulative = np.cumsum(table, axis=1)
        self._cumulative_start = np.cumsum(start)[None]

    def draw(self, count: int, length: int, rng: np.random.Generator) -> Tokens:
        """Sequences that begin in the stationary distribution.   [count, length]"""
        size = self.vocabulary
        state = pick(np.repeat(self._cumulative_start, count, 0), rng)
        tokens = np.empty((count, max(length, self.order)), np.int64)
        for place in range(self.order):
            tokens[:, place] = state // size ** (self.order - 1 - place) % size
        for place in range(self.order, length):
            tokens[:, place] = pick(self._cumulative[state], rng)
            state = (state * size + tokens[:, place]) % len(self.table)
        return tokens[:, :length]

    def held_out(self, count: int, length: int, rng: np.random.Generator) -> Sample:
        """Sequences with their exact information."""
        tokens = self.draw(count, length, rng)
        information, entropy = np.empty(tokens.shape), np.empty(tokens.shape)
        tables = [self._conditional(before) for before in range(self.order)] + [self.table]
        entropies = [entropy_bits(table) for table in tables]
        state = np.zeros(count, np.int64)  # the last min(place, order) elements, in base V
        for place in range(length):
            information[:, place] = -np.log2(tables[min(place, self.order)][state, tokens[:, place]])
            known = min(place + 1, self.order)
            state = (state * self.vocabulary + tokens[:, place]) % self.vocabulary**known
            entropy[:, place] = entropies[known][state]
        return Sample(tokens, information, entropy, np.zeros_like(tokens))

    def describe(self) -> dict[str, Any]:
        """Name, order, vocabulary and what the table was made from."""
        return {"name": self.name, "order": self.order, "vocabulary": self.vocabulary, **self.facts}

    def _conditional(self, before: int) -> Bits:
        """p(x | the first `before` < k elements), by the stationary distribution.   [V^before, V]"""
        joint = self.start.reshape(self.vocabulary**before, self.vocabulary, -1).sum(-1)
        total = joint.sum(1, keepdims=True)
        return np.divide(joint, total, out=np.full_like(joint, 1 / self.vocabulary), where=total > 0)


def stationary(table: Bits) -> Bits:
    """Stationary probabilities of the contexts of an irreducible table.   [V^k, V] -> [V^k]"""
    rows, size = table.shape
    moves = np.zeros((rows, rows))
    for context in range(rows):
        first = context * size % rows
        moves[context, first : first + size] += table[context]
    system = moves.T - np.eye(rows)
    system[-1] = 1.0
    start = np.linalg.solve(system, np.eye(rows)[-1])
    return np.maximum(start, 0.0) / np.maximum(start, 0.0).sum()
