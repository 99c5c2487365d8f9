"""Text as a source: chains estimated on it (their tables are the truth), and the text itself (estimated)."""

import gzip
import hashlib
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError
from lab.selectivity.ngram import KneserNey
from lab.selectivity.source import Sample, TableSource, Tokens, entropy_bits

_UNPACK = {".xz": lzma.decompress, ".gz": gzip.decompress}
HELD_OUT_SHARE = 0.1
MIN_BYTES = 10_000


@dataclass(frozen=True)
class Text:
    """Bytes of a text as tokens 0 .. V-1; where there are more than the alphabet allows, the rarest are one token."""

    tokens: Tokens
    """[T]"""
    vocabulary: int
    sha256: str
    """SHA-256 of the bytes."""


def read_text(path: Path | None, most: int = 64) -> Text:
    """Return the tokens of a file; without a file, of a synthetic text.

    Args:
        path: plain, .xz or .gz; None for `made_up_text`
        most: size of the alphabet, at most
    Raises:
        DataError: no such file, not readable, or shorter than 10,000 bytes.
    """
    if path is None:
        return as_tokens(made_up_text(), most)
    try:
        data = _UNPACK.get(path.suffix, bytes)(path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); expected a plain, .xz or .gz file") from None
    if len(data) < MIN_BYTES:
        raise DataError(f"found {len(data)} bytes in {path}, expected at least {MIN_BYTES}; choose a longer text")
    return as_tokens(data, most)


def as_tokens(data: bytes, most: int) -> Text:
    """Bytes -> tokens, in the order of the byte values."""
    values = np.frombuffer(data, np.uint8)
    counts = np.bincount(values, minlength=256)
    kept = np.sort(np.argsort(-counts, kind="stable")[: min(most, int((counts > 0).sum()))])
    if (counts > 0).sum() > most:
        kept = np.sort(np.argsort(-counts, kind="stable")[: most - 1])
    token = np.full(256, len(kept), np.int64)
    token[kept] = np.arange(len(kept))
    tokens = token[values]
    return Text(tokens, int(tokens.max()) + 1, hashlib.sha256(data).hexdigest())


def made_up_text(size: int = 300_000, seed: int = 0) -> bytes:
    """Generate sentences of synthetic words with Zipf's frequencies, as a substitute for text.

    Args:
        size: bytes
        seed: of the words and their order
    """
    rng = np.random.default_rng(seed)
    onsets, vowels, codas = (
        "b c d f g h l m n p r s t v st tr ch".split(),
        "a e i o u ea".split(),
        " n r s t l ck".split(" "),
    )

    def syllable() -> str:
        return "".join(some[rng.integers(len(some))] for some in (onsets, vowels, codas))

    words = ["".join(syllable() for _ in range(rng.integers(1, 4))) for _ in range(1500)]
    weights = 1.0 / np.arange(2, len(words) + 2)
    order = iter(rng.choice(len(words), size // 2, p=weights / weights.sum()))
    parts: list[str] = []
    length = 0
    while length < size:
        sentence = " ".join(words[next(order)] for _ in range(rng.integers(3, 14))).capitalize()
        parts.append(sentence + str(rng.choice([". ", ".\n", "? ", "! "], p=[0.6, 0.25, 0.08, 0.07])))
        length += len(parts[-1])
    return "".join(parts).encode("ascii")[:size]


def text_chain(text: Text, order: int) -> TableSource:
    """The Markov chain of a text read in a circle: p(x | the `order` tokens before) = its share in the text.

    In a circle every context has a successor, and the shares of the contexts are exactly stationary.
    """
    size = text.vocabulary
    contexts = np.zeros(len(text.tokens), np.int64)
    for place in range(order):
        contexts = contexts * size + np.roll(text.tokens, order - place)
    counts = np.bincount(contexts * size + text.tokens, minlength=size ** (order + 1)).reshape(-1, size).astype(float)
    total = counts.sum(1, keepdims=True)
    table = np.divide(counts, total, out=np.full_like(counts, 1 / size), where=total > 0)
    name = {1: "bigram", 2: "trigram"}.get(order, f"text-order{order}")
    return TableSource(name, table, total[:, 0] / total.sum(), {"sha256": text.sha256})


class RealText:
    """Windows of a text; a Kneser-Ney model of the training part estimates the information of each element.

    Args:
        text: tokens; the last tenth is held out
        order: n of the longest n-gram of the estimate
    """

    name = "text"
    kinds = ("element",)
    exact = False
    entropy_rate = None

    def __init__(self, text: Text, order: int = 6) -> None:
        cut = int(len(text.tokens) * (1 - HELD_OUT_SHARE))
        self.vocabulary, self.order, self.sha256 = text.vocabulary, order, text.sha256
        self.learn, self.hold = text.tokens[:cut], text.tokens[cut:]
        self.model = KneserNey(self.learn, self.vocabulary, order)

    def draw(self, count: int, length: int, rng: np.random.Generator) -> Tokens:
        """Windows anywhere in the part to learn from.   [count, length]"""
        return _windows(self.learn, rng.integers(len(self.learn) - length, size=count), length)

    def held_out(self, count: int, length: int, rng: np.random.Generator) -> Sample:
        """Windows spread evenly over the held-out part, with estimates; elements before a window count as context."""
        before = self.order - 1
        room = len(self.hold) - length - before
        if room < 1:
            raise DataError(f"found {len(self.hold)} held-out tokens, expected more than {length + before}")
        starts = before + np.linspace(0, room, count).astype(np.int64)
        tokens = _windows(self.hold, starts, length)
        information, entropy = np.empty(tokens.shape), np.empty(tokens.shape)
        for row, start in enumerate(starts):
            contexts = _windows(self.hold, np.arange(start - before, start - before + length + 1), before)
            found = self.model.distribution(contexts)
            information[row] = -np.log2(found[np.arange(length), tokens[row]])
            entropy[row] = entropy_bits(found[1:])
        return Sample(tokens, information, entropy, np.zeros_like(tokens))

    def describe(self) -> dict[str, Any]:
        """Vocabulary, order of the estimate and the text's hash."""
        return {"name": self.name, "order": self.order, "vocabulary": self.vocabulary, "sha256": self.sha256}


def _windows(tokens: Tokens, starts: Tokens, length: int) -> Tokens:
    return tokens[starts[:, None] + np.arange(length)]
