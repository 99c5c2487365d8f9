"""Retrieval: does one paper cite the other? Pairs of documents as bytes, in the files of the Long Range Arena.

Layout, from google-research long-range-arena, lra_benchmarks/matching/input_pipeline.py [tay2021lra]: three files
`new_aan_pairs.{train,eval,test}.tsv` without a heading or quotes; a line has five fields between tabs: label (`0.0` or
`1.0`), id and id, text and text. By third-party readers, which decode them, texts stand there as Python writes bytes
(`b'...'`); the official reader and s4's (src/dataloaders/lra.py) take the characters as they are, and so does this one.
A byte b is token b + 1, and the first 4,000 bytes of a document count; s4 takes 3,999 and an end token.

The texts come from the ACL Anthology Network and may not be redistributed: users who have the files give their folder.
`made_pairs` generates lines of this layout for tests; it is a different task and must not be reported as Retrieval.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.errors import ConfigError, DataError, ShapeError
from lab.lra.packed import Bytes, Packed

LONGEST = 4000
VOCABULARY = 257
"""Padding and 256 bytes."""
CLASSES = 2
FILE = "new_aan_pairs.{}.tsv"
SPLITS = ("train", "eval", "test")
FIELDS = 5
TOPICS, TOPIC_WORDS, COMMON_WORDS = 8, 12, 40
"""Numbers of topics and words in the made documents."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Labelled pairs of documents; each different document is kept once."""

    documents: Packed
    """Their labels have no meaning."""
    rows: NDArray[np.int64]
    """Numbers of the first and second document [N, 2]."""
    labels: NDArray[np.int64]
    """[N]"""

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.shape[1] != 2 or self.labels.shape != self.rows.shape[:1]:
            raise ShapeError(f"found pairs {self.rows.shape}, labels {self.labels.shape}; expected [N, 2] and [N]")
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < len(self.documents):
            raise ShapeError(
                f"found pairs of documents {self.rows.min()} to {self.rows.max()}, expected 0 to "
                f"{len(self.documents) - 1}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Bytes, Bytes]:
        """Both documents of a pair, [L1] and [L2]."""
        first, second = self.rows[number]
        return self.documents[int(first)], self.documents[int(second)]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of the longer document of each pair that a batch shows [N]."""
        return self.documents.lengths[self.rows].max(axis=1, initial=0)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Tokens int64 [2 B, L], all firsts before all seconds, which are real bool [2 B, L], labels int64 [B]."""
        x, valid, _ = self.documents.batch(self.rows[rows].T.reshape(-1))
        return x, valid, torch.from_numpy(self.labels[rows])


def read_pairs(folder: str | Path, longest: int = LONGEST) -> tuple[Pairs, Pairs, Pairs]:
    """Training, validation (`eval`) and test pairs.

    Args:
        folder: with the three files; the official archive has them in `tsv_data`
        longest: bytes of a document that count
    Raises:
        ConfigError: a length below 1.
        DataError: a file that is not there, is empty or has a line of another layout.
    """
    if longest < 1:
        raise ConfigError(f"found documents of {longest} bytes, expected at least 1")
    train, valid, test = (_read_file(Path(folder) / FILE.format(split), longest) for split in SPLITS)
    return train, valid, test


def _read_file(path: Path, longest: int) -> Pairs:
    documents: dict[bytes, int] = {}
    rows: list[int] = []
    labels: list[int] = []
    try:
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                label, *texts = _fields(line, f"{path}, line {number}")
                labels.append(int(label == b"1"))
                rows += [documents.setdefault(text[:longest], len(documents)) for text in texts]
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected the files {FILE.format('*')} in one folder"
        ) from None
    if not labels:
        raise DataError(f"{path} has no lines, expected a pair of documents on each")
    return Pairs(_packed(documents, path), np.asarray(rows, np.int64).reshape(-1, 2), np.asarray(labels, np.int64))


def _fields(line: bytes, where: str) -> tuple[bytes, bytes, bytes]:
    """Label as b"0" or b"1", and both texts."""
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != FIELDS:
        raise DataError(f"{where} has {len(fields)} fields, expected {FIELDS}: label, id, id, text, text")
    label = fields[0].strip().removesuffix(b".0")
    if label not in (b"0", b"1"):
        raise DataError(f"{where} has the label {fields[0].decode(errors='replace')[:40]!r}, expected 0.0 or 1.0")
    return label, fields[3], fields[4]


def _packed(documents: Collection[bytes], path: Path) -> Packed:
    """Byte 255 would be token 256, which eight bits do not hold; UTF-8 has no such byte."""
    if any(b"\xff" in text for text in documents):
        raise DataError(f"found the byte 255 in {path}, expected text in UTF-8")
    return Packed.of([np.frombuffer(text, np.uint8) + np.uint8(1) for text in documents], [0] * len(documents))


def made_pairs(count: int, seed: int, words: int = 60) -> list[str]:
    """Generate lines in the official layout from synthetic documents, as data for tests, not for the benchmark.

    A document has words common to all and words of one of eight topics; the label says whether the topics of a pair
    are the same. Half of the pairs have the label 1.0 on average, so that chance is 1/2.

    Args:
        count: lines
        seed: of topics and words; vocabularies do not depend on it
        words: of a document
    Raises:
        ConfigError: a negative count, or documents of fewer than 4 words.
    """
    if count < 0 or words < 4:
        raise ConfigError(f"found {count} pairs of {words} words, expected 0 or more of at least 4")
    rng = np.random.default_rng(seed)
    same = rng.integers(0, 2, count)
    first = rng.integers(0, TOPICS, count)
    second = (first + (1 - same) * rng.integers(1, TOPICS, count)) % TOPICS
    names, lines = (f"{seed}-{number}" for number in range(2 * count)), []
    for label, one, other in zip(same, first, second, strict=True):
        texts = [repr(" ".join(_made_words(rng, topic, words)).encode()) for topic in (one, other)]
        lines.append("\t".join([f"{float(label)}", next(names), next(names), *texts]))
    return lines


def _made_words(rng: np.random.Generator, topic: int, count: int) -> Iterator[str]:
    """One word in four depends on the topic."""
    for place, own in enumerate(rng.permuted(np.arange(count) % 4 == 0)):
        word = f"t{topic}{_two_digits(rng, TOPIC_WORDS)}" if own else f"c{_two_digits(rng, COMMON_WORDS)}"
        yield word + (".\n" if place == count - 1 else "")


def _two_digits(rng: np.random.Generator, size: int) -> str:
    return f"{int(rng.integers(size)):02d}"
