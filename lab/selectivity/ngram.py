"""Interpolated Kneser-Ney: an n-gram model that estimates the information of text.   [chen1999empirical]"""

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ConfigError
from lab.selectivity.source import Bits, Tokens

_Keys = NDArray[np.int64]


class KneserNey:
    """p(w | context) by counts of n-grams, absolute discounting and distinct left neighbours at lower orders.

    p_n(w | c) = max(count(c w) - D_n, 0) / count(c) + D_n types(c) / count(c) · p_{n-1}(w | c without its first)
    with D_n = n1 / (n1 + 2 n2) (n-grams counted once, twice); p_0 is even.       Sec. 2.7 [chen1999empirical]

    Args:
        tokens: text to count, in [0, vocabulary)            [T]
        vocabulary: V
        order: n of the longest n-gram
    Raises:
        ConfigError: V^n does not fit 63 bits, or the text is shorter than an n-gram.
    """

    def __init__(self, tokens: Tokens, vocabulary: int, order: int = 6) -> None:
        if order < 1 or len(tokens) < order or vocabulary**order >= 2**63:
            raise ConfigError(
                f"found n-grams of order {order} over {vocabulary} symbols in {len(tokens)} tokens, "
                "expected an order of at least 1, at most the text's length, with V^n < 2^63"
            )
        self.vocabulary, self.order = vocabulary, order
        self._levels: list[_Level] = []
        keys, counts = np.unique(_keys(tokens, vocabulary, order), return_counts=True)
        for n in range(order, 0, -1):
            self._levels.insert(0, _Level(keys, counts, vocabulary))
            keys, counts = np.unique(keys % vocabulary ** (n - 1), return_counts=True)  # distinct left neighbours

    def distribution(self, contexts: Tokens) -> Bits:
        """Probabilities of the next token.

        Args:
            contexts: the tokens just before, oldest first          [M, C], C >= order - 1
        Returns:
            probabilities, each row adding up to 1                  [M, V]
        """
        found = np.full((len(contexts), self.vocabulary), 1.0 / self.vocabulary)
        context = np.zeros(len(contexts), np.int64)
        for n, level in enumerate(self._levels):
            if n:
                context += contexts[:, -n] * self.vocabulary ** (n - 1)
            found = level.interpolate(context, found)
        return found


class _Level:
    """Counts of one order, as sorted keys."""

    def __init__(self, keys: _Keys, counts: NDArray[np.int64], vocabulary: int) -> None:
        self.keys, self.counts, self.vocabulary = keys, counts.astype(np.float64), vocabulary
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        self.discount = min(0.95, once / (once + 2 * twice)) if once else 0.5  # never 0: every token stays possible
        self.contexts, first = np.unique(keys // vocabulary, return_index=True)
        self.totals = np.add.reduceat(self.counts, first)
        self.types = np.diff(np.append(first, len(keys)))

    def interpolate(self, context: _Keys, lower: Bits) -> Bits:
        where = np.minimum(np.searchsorted(self.contexts, context), len(self.contexts) - 1)
        seen = self.contexts[where] == context
        keys = context[:, None] * self.vocabulary + np.arange(self.vocabulary)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        counts = np.where(self.keys[place] == keys, self.counts[place], 0.0)
        total = self.totals[where][:, None]
        kept = np.maximum(counts - self.discount, 0.0) / total
        mixed = kept + self.discount * self.types[where][:, None] / total * lower
        return np.where(seen[:, None], mixed, lower)


def _keys(tokens: Tokens, vocabulary: int, order: int) -> _Keys:
    """Every run of `order` tokens as a number in base V.   [T] -> [T - order + 1]"""
    keys = np.zeros(len(tokens) - order + 1, np.int64)
    for place in range(order):
        keys = keys * vocabulary + tokens[place : place + len(keys)]
    return keys
