"""Synthetic sources: Markov chains whose states differ widely in conditional entropy, and one with insertions."""

from typing import Any

import numpy as np

from lab.selectivity.source import Bits, Sample, TableSource, Tokens, entropy_bits, pick, stationary

FLOOR = 0.005
"""Share of every row that is spread evenly, so that no state is a trap and every element is possible."""


def rows_with_entropies(targets: Bits, size: int, rng: np.random.Generator) -> Bits:
    """Random rows of probabilities, softmax(beta g) with g normal and beta such that the entropy is the target.

    Args:
        targets: bits, within [0, log2 size]                   [R]
        size: elements of a row
        rng: draws g
    Returns:
        probabilities                                          [R, size]
    """
    scores = rng.normal(size=(len(targets), size))
    low, high = np.zeros(len(targets)), np.full(len(targets), 1e4)
    for _ in range(80):  # the entropy of softmax(beta g) falls as beta grows
        beta = (low + high) / 2
        too_even = entropy_bits(_softmax(beta[:, None] * scores)) > targets
        low, high = np.where(too_even, beta, low), np.where(too_even, high, beta)
    return _softmax(((low + high) / 2)[:, None] * scores)


def markov_table(order: int, size: int, rng: np.random.Generator) -> Bits:
    """A table whose rows' entropies are spread evenly over [0, log2 V], in random order.   [V^order, V]

    A row's likeliest element is never the one just seen: a state of low entropy would hold the chain for long.
    """
    contexts = size**order
    table = rows_with_entropies(rng.permutation(np.linspace(0.0, np.log2(size), contexts)), size, rng)
    best, last = table.argmax(1), np.arange(contexts) % size
    for context in np.flatnonzero(best == last):
        table[context] = np.roll(table[context], rng.integers(1, size))
    return (1 - FLOOR) * table + FLOOR / size


def markov(order: int, size: int, seed: int) -> TableSource:
    """A Markov chain of order 1 or 2 with entropies from about 0 to log2 V; the seed makes the table."""
    table = markov_table(order, size, np.random.default_rng([seed, order, size]))
    name = "markov" if order == 1 else f"markov{order}"
    return TableSource(name, table, stationary(table), {"seed": seed})


class Insertions:
    """A Markov chain of order 1 between whose elements padding and noise are inserted; neither moves the chain.

    After an element there may come a run of `RUN` padding tokens (its first tells something, the others nothing), or
    one of `NOISE` equally likely noise tokens: much information that does not help prediction. No run follows a run.
    """

    name = "insertions"
    kinds = ("element", "first of padding", "padding", "noise")
    exact = True
    RUN, NOISE, PADDING_SHARE, NOISE_SHARE = 4, 16, 0.12, 0.2

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.vocabulary = size + 1 + self.NOISE
        self.table = markov_table(1, size, np.random.default_rng([seed, size]))
        self.start = stationary(self.table)
        self._row_entropy = entropy_bits(self.table)
        free = np.asarray([self.PADDING_SHARE, self.NOISE_SHARE, 1 - self.PADDING_SHARE - self.NOISE_SHARE])
        after = np.asarray([0.0, *free[1:]]) / free[1:].sum()
        self._event = np.stack([free, after])  # rows: free, just after a run; columns: padding, noise, element
        self.entropy_rate = self._rate()

    def draw(self, count: int, length: int, rng: np.random.Generator) -> Tokens:
        """Sequences whose first token is an element.   [count, length]"""
        return self.held_out(count, length, rng).tokens

    def held_out(self, count: int, length: int, rng: np.random.Generator) -> Sample:
        """Sequences with their exact information and the kind of each token."""
        shape = (count, length)
        tokens, kinds = np.empty(shape, np.int64), np.empty(shape, np.int64)
        information, entropy = np.empty(shape), np.empty(shape)
        chain, left, after = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
        for place in range(length):
            event = pick(np.cumsum(self._event[after], 1), rng) if place else np.full(count, 2)
            row, share = (self.table[chain], self._event[after, event]) if place else (self.start[None], np.ones(count))
            row = np.broadcast_to(row, (count, self.size))
            element, noise = pick(np.cumsum(row, 1), rng), rng.integers(self.NOISE, size=count)
            running, is_element = left > 0, (left == 0) & (event == 2)
            of_event = np.stack([np.ones(count), np.full(count, 1 / self.NOISE), row[np.arange(count), element]])
            information[:, place] = np.where(running, 0.0, -np.log2(share * of_event[event, np.arange(count)]))
            symbol = np.stack([np.full(count, self.size), self.size + 1 + noise, element])[event, np.arange(count)]
            tokens[:, place] = np.where(running, self.size, symbol)
            kinds[:, place] = np.where(running, 2, np.asarray([1, 3, 0])[event])
            chain = np.where(is_element, element, chain)
            left = np.where(running, left - 1, np.where(event == 0, self.RUN - 1, 0))
            after = ((left == 0) & (kinds[:, place] == 2)).astype(np.int64)
            follows = self._next_entropy(self._row_entropy[chain])[after, np.arange(count)]
            entropy[:, place] = np.where(left > 0, 0.0, follows)
        return Sample(tokens, np.maximum(information, 0.0), entropy, kinds)

    def describe(self) -> dict[str, Any]:
        """Sizes and shares."""
        settings = {"run": self.RUN, "noise": self.NOISE, "shares": [self.PADDING_SHARE, self.NOISE_SHARE]}
        return {"name": self.name, "seed": self.seed, "size": self.size, **settings}

    def _next_entropy(self, element: Bits) -> Bits:
        """Return the entropy of the next token unless padding continues: [...] bits of the chain -> [2, ...]."""
        choice = entropy_bits(self._event)[:, None] + self._event[:, 1:2] * np.log2(self.NOISE)
        return choice + self._event[:, 2:3] * element[None]

    def _rate(self) -> float:
        """Bits per token: bits of an event over its mean length, weighted by how often events begin free or after."""
        share = self._event[0, 0]
        weights = np.asarray([1.0, share]) / (1.0 + share)
        bits = self._next_entropy(np.asarray([self.start @ self._row_entropy]))[:, 0]
        length = 1.0 + weights[0] * share * (self.RUN - 1)
        return float(weights @ bits / length)


def _softmax(scores: Bits) -> Bits:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
