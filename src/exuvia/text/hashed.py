"""`HashedText`: a tiny encoder without weights that hashes words and letter groups; for tests and quick trials.

Feature hashing with signs: Sec. 2 [weinberger2009hashing].
"""

import re
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.errors import ConfigError
from exuvia.text.base import MAX_TOKENS, TextStates, fingerprint_of, truncated

_WORD = re.compile(r"\w+|[^\w\s]")


class HashedText:
    """Encoder in which words that share letters have similar states, equal on every machine."""

    name = "hashed"

    def __init__(self, dim: int = 64) -> None:
        """Set the width E to `dim`, at least 8."""
        if dim < 8:
            raise ConfigError(f"found dim {dim}, expected at least 8")
        self.dim = dim
        """Width E."""
        self._vectors: dict[str, Tensor] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that identify the rule and its width."""
        return fingerprint_of({}, {"name": self.name, "dim": self.dim, "rule": 1})

    def encode(self, texts: Sequence[str], max_tokens: int = MAX_TOKENS) -> TextStates:
        """Embed captions, one state per word, after a start mark, even in the empty text; `pooled` has unit length."""
        if max_tokens < 1:
            raise ConfigError(f"found max_tokens {max_tokens}, expected at least 1")
        words = [["", *_WORD.findall(truncated(text, max_tokens).lower())][:max_tokens] for text in texts]
        longest = max(map(len, words), default=1)
        states = torch.zeros(len(words), longest, self.dim)
        valid = torch.zeros(len(words), longest, dtype=torch.bool)
        for row, sentence in enumerate(words):
            for place, word in enumerate(sentence):
                states[row, place] = self._vector(word)
            valid[row, : len(sentence)] = True
        pooled = F.normalize(states.sum(1), dim=-1)
        return TextStates(pooled, states, valid)

    def _vector(self, word: str) -> Tensor:
        if word not in self._vectors:
            marked = f"<{word}>"
            grams = [marked, *(marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1))]
            vector = torch.zeros(self.dim)
            for gram in grams:
                number = int.from_bytes(blake2b(gram.encode(), digest_size=8).digest(), "little")
                vector[(number >> 1) % self.dim] += 1.0 if number & 1 else -1.0
            self._vectors[word] = F.normalize(vector, dim=0)
        return self._vectors[word]
