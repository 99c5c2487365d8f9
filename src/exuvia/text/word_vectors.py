"""Captions for the Guo evaluator: each word has a vector [300] and one of 15 word classes.

Classes and lists of emphasised words: [guo2022humanml3d]; momask-codes, utils/word_vectorizer.py. Layout of a
sentence (start, at most 20 words, end): momask-codes, data/t2m_dataset.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import ConfigError, DataError
from exuvia.readers import guarded, read_npy, read_utf8
from exuvia.shapes import Floats
from exuvia.text.base import fingerprint_of
from exuvia.text.lexicon import EMPHASISED
from exuvia.text.minilm import MiniLM
from exuvia.text.tags import tag
from exuvia.text.word_lists import read_words

CLASSES = (
    "VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV",
    "Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP", "OTHER",
)  # fmt: skip
"""Word classes in the order of the one-hot vector."""

WORD_DIM = 300
MAX_WORDS = 20
"""Words kept of a caption, not counting start and end."""


def word_class(word: str, tagged: str) -> int:
    """Index into CLASSES for a lemma and its part of speech."""
    name = EMPHASISED.get(word, tagged)
    return CLASSES.index(name) if name in CLASSES else CLASSES.index("OTHER")


class MiniLMWords:
    """Word vectors from MiniLM's input embeddings: mean over pieces, standardised, projected to 300.

    This is the default because GloVe is not redistributed here, and it gives every English word a vector. The
    orthogonal projection is drawn with a fixed seed of 300 and nearly keeps angles.
    """

    name = "minilm"

    def __init__(self, encoder: MiniLM | None = None) -> None:
        """Use an encoder; None loads the installed one. Raises ConfigError if no weights are installed."""
        self.encoder = encoder or MiniLM()
        table = self.encoder.model.words.weight.detach().cpu().numpy()
        self._mean, self._std = table.mean(0), table.std(0)
        normal = np.random.default_rng(WORD_DIM).standard_normal((table.shape[1], WORD_DIM))
        basis, triangle = np.linalg.qr(normal)
        self._projection = (basis * np.sign(np.diag(triangle))).astype(np.float32)  # fixes the signs of the basis

    @cached_property
    def fingerprint(self) -> str:
        """Digits that change with the encoder's weights or the projection."""
        return fingerprint_of({}, {"encoder": self.encoder.fingerprint, "rule": "input embeddings, seed 300"})

    def vector(self, word: str) -> Floats | None:
        """Vector [300] of a word, float32; None for a string without any word piece."""
        mean = self.encoder.word_vectors([word])[0].numpy()
        return ((mean - self._mean) / self._std) @ self._projection if mean.any() else None


class GloVeWords:
    """GloVe vectors: those of the published evaluator (`our_vab_*`), or a text file of the GloVe project."""

    name = "glove"

    def __init__(self, path: str | Path) -> None:
        """Read a file with lines `word v1 ... v300`, or a folder with `our_vab_data.npy` [W, 300] and its words.

        The words are in `our_vab_words.pkl` as published (word_lists.py), `.txt` (one per line) or `.npy` (an array of
        strings). Raises DataError if there is neither, a vector has another length, or a list holds anything but plain
        text.
        """
        words, vectors = _read_published(Path(path)) if Path(path).is_dir() else _read_lines(Path(path))
        if vectors.shape != (len(words), WORD_DIM):
            raise DataError(f"{path}: found vectors {vectors.shape} for {len(words)} words, expected [words, 300]")
        self.known: dict[str, Floats] = dict(zip(words, vectors, strict=True))
        """Vector [300] of every word."""

    @cached_property
    def fingerprint(self) -> str:
        """Digits that change with the vectors."""
        words = sorted(self.known)
        table = torch.from_numpy(np.stack([self.known[word] for word in words]))
        return fingerprint_of({"vectors": table}, {"words": words})

    def vector(self, word: str) -> Floats | None:
        """Vector [300] of a word, float32, or None for a word outside the vocabulary."""
        return self.known.get(word)


WordVectors = MiniLMWords | GloVeWords


def _read_published(folder: Path) -> tuple[list[str], Floats]:
    data, kinds = folder / "our_vab_data.npy", ("txt", "npy", "pkl")
    listed = next((folder / f"our_vab_words.{s}" for s in kinds if (folder / f"our_vab_words.{s}").is_file()), None)
    if not data.is_file() or listed is None:
        raise DataError(f"{folder} needs our_vab_data.npy and our_vab_words.pkl, or .txt with one word per line")
    vectors = read_npy(data)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise DataError(f"{data} holds {vectors.dtype} {vectors.shape}, expected vectors [words, 300]")
    if listed.suffix == ".pkl":
        words = read_words(listed, folder / "our_vab_idx.pkl")
    elif listed.suffix == ".npy":
        words = [str(word) for word in read_npy(listed).ravel()]
    else:
        words = read_utf8(listed, "list of words").split("\n")[: len(vectors)]
    return words, vectors.astype(np.float32)


def _read_lines(path: Path) -> tuple[list[str], Floats]:
    words: list[str] = []
    rows: list[Floats] = []
    with (
        guarded(path, "text file of word vectors with `word` and 300 numbers per line"),
        open(path, encoding="utf-8") as stream,
    ):
        for line in stream:
            word, *numbers = line.rstrip("\n").rsplit(" ", WORD_DIM)
            words.append(word)
            rows.append(np.asarray(numbers, np.float32))
        return words, np.stack(rows)


@dataclass(frozen=True)
class Words:
    """One caption as indices into a `WordTable`, including start and end marks."""

    words: tuple[int, ...]
    """Rows of the vector table."""
    classes: tuple[int, ...]
    """Indices into CLASSES."""

    def __len__(self) -> int:
        return len(self.words)


class WordTable:
    """All words so far with their vectors, so that a caption can be stored as indices."""

    def __init__(self, vectors: WordVectors) -> None:
        self.vectors = vectors
        self._rows: dict[str, int] = {}
        self._vectors: list[Floats] = []
        self._known: list[bool] = []
        self._matrix = torch.zeros(0, WORD_DIM)
        self._captions: dict[tuple[str, str | None], Words] = {}

    def caption(self, text: str, tokens: str | None = None) -> Words:
        """Words and classes of a sentence; its tokens `word/POS ...` are given as in HumanML3D, or come from `tag`."""
        key = (text if tokens is None else "", tokens)
        if key not in self._captions:
            parts = (token.rpartition("/") for token in (tokens or "").split())
            pairs = tag(text) if tokens is None else [(word, name) for word, _, name in parts if word]
            self._captions[key] = self._read(pairs)
        return self._captions[key]

    def _read(self, pairs: Sequence[tuple[str, str]]) -> Words:
        framed = [("sos", "OTHER"), *pairs[:MAX_WORDS], ("eos", "OTHER")]
        rows = [self._row(word) for word, _ in framed]
        other = CLASSES.index("OTHER")
        classes = [word_class(*pair) if self._known[row] else other for pair, row in zip(framed, rows, strict=True)]
        return Words(tuple(rows), tuple(classes))

    def _row(self, word: str) -> int:
        if word not in self._rows:
            vector = self.vectors.vector(word)
            self._known.append(vector is not None)
            if vector is None and (vector := self.vectors.vector("unk")) is None:
                raise ConfigError("found no word vector for 'unk', expected one for words outside the vocabulary")
            self._rows[word] = len(self._vectors)
            self._vectors.append(vector.astype(np.float32))
        return self._rows[word]

    def gather(self, captions: Sequence[Words]) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors [B, S, 300], one-hot classes [B, S, 15] and lengths [B] of captions, with zeros after their ends."""
        if len(self._matrix) < len(self._vectors):
            self._matrix = torch.from_numpy(np.stack(self._vectors))
        lengths = torch.tensor([len(caption) for caption in captions], dtype=torch.long)
        longest = int(lengths.max()) if len(captions) else 0
        words = torch.zeros(len(captions), longest, WORD_DIM)
        pos = torch.zeros(len(captions), longest, len(CLASSES))
        for row, caption in enumerate(captions):
            words[row, : len(caption)] = self._matrix[list(caption.words)]
            pos[row, torch.arange(len(caption)), list(caption.classes)] = 1.0
        return words, pos, lengths
