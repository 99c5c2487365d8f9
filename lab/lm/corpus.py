"""Texts for language models: training, validation and test tokens of bytes, words or pieces of words.

Layouts, each found by its file names:

    wiki.{train,valid,test}.tokens     WikiText-103 [merity2017wikitext]; `<unk>` stands in the files
    ptb.{train,valid,test}.txt         Penn Treebank in Mikolov's form
    enwik8                             the first 100,000,000 bytes of a Wikipedia dump: 90 / 5 / 5 million
    any other file                     90 / 5 / 5 per cent of its bytes; plain, .gz or .xz

Words are what blanks separate, with <eos> for the end of every line, as the published counts have it (PTB: 929,589
training tokens). The vocabulary is that of the training part; words beyond it are <unk>.

Pieces ("bpe") are byte pairs merged by their number in the training part [sennrich2016bpe], on bytes, so that every
text can be written in them.
"""

import gzip
import lzma
import math
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from exuvia.errors import ConfigError, DataError
from lab.archive import UNREADABLE, archive_files

Level = Literal["bytes", "words", "bpe"]
LEVELS = ("bytes", "words", "bpe")
PIECES = 4096
"""Vocabulary of byte pairs."""
LINES = 1 << 12
"""Lines that are cut into pieces at a time."""
PARTS = ("train", "valid", "test")
UNKNOWN, END = "<unk>", "<eos>"
LAYOUTS = ("wiki.{}.tokens", "ptb.{}.txt")
SHARES = (0.90, 0.05, 0.05)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three parts of a text as numbers."""

    name: str
    train: NDArray[np.int32]
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    vocabulary: int
    """Tokens V; every number is below it."""
    bytes_a_token: float
    """Bytes per token of the test part, including line ends: bits per token over this are bits per byte."""

    def perplexity(self, nats: float) -> float:
        """Of a mean negative log-likelihood a token."""
        return math.exp(nats)

    def bits_a_byte(self, nats: float) -> float:
        """Of a mean negative log-likelihood a token."""
        return nats / math.log(2) / self.bytes_a_token


def read_corpus(source: str | Path, level: Level = "bytes", min_count: int = 1, pieces: int = PIECES) -> Corpus:
    """Read a text.

    Args:
        source: a folder or tar archive with one of the layouts above, or one file
        level: bytes (vocabulary 256), words, or bpe (byte pairs learned on the training part)
        min_count: words seen less often in the training part are <unk>
        pieces: vocabulary of bpe
    Raises:
        ConfigError: an unknown level, a min_count below 1, or less than 257 pieces.
        DataError: nothing to read there, or an empty part.
    """
    if level not in LEVELS:
        raise ConfigError(f"unknown level {level!r}, expected bytes, words or bpe")
    if min_count < 1 or pieces <= 256:
        raise ConfigError(f"found min_count {min_count} and {pieces} pieces, expected at least 1 and more than 256")
    place = Path(source)
    parts = _parts(place, whole=level != "bytes")
    for name, content in zip(PARTS, parts, strict=True):
        if not content:
            raise DataError(f"the {name} part of {place} is empty")
    if level == "bytes":
        train, valid, test = (np.frombuffer(content, np.uint8).astype(np.int32) for content in parts)
        return Corpus(place.name, train, valid, test, vocabulary=256, bytes_a_token=1.0)
    if level == "bpe":
        texts = [_text(content, place) for content in parts]
        tokenizer = learned_pieces(texts[0], pieces)
        train, valid, test = (_pieces(tokenizer, text) for text in texts)
        return Corpus(place.name, train, valid, test, tokenizer.get_vocab_size(), len(parts[2]) / len(test))
    words = [_words(content, place) for content in parts]
    counts = Counter(words[0])
    known = [word for word, count in counts.most_common() if count >= min_count]
    index = {word: number for number, word in enumerate(dict.fromkeys([UNKNOWN, END, *known]))}
    train, valid, test = (np.asarray([index.get(word, 0) for word in part], np.int32) for part in words)
    return Corpus(place.name, train, valid, test, len(index), bytes_a_token=len(parts[2]) / len(words[2]))


def _parts(place: Path, whole: bool) -> list[bytes]:
    """Return the three parts; `whole`: cuts move by at most 3 bytes to the start of a UTF-8 character."""
    try:
        if (place / "enwik8").is_file():
            place = place / "enwik8"
        if place.is_dir():
            named = {path.name: path.read_bytes for path in sorted(place.rglob("*")) if path.is_file()}
            return _of_layout({name: read() for name, read in named.items() if _is_part(name)}, place)
        if tarfile.is_tarfile(place):
            files = archive_files(place, lambda name: _is_part(Path(name).name))
            return _of_layout({Path(name).name: content for name, content in files}, place)
        raw = place.read_bytes()
        content = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(place.suffix, bytes)(raw)
    except UNREADABLE as error:
        raise DataError(f"{place} cannot be read as a text ({error})") from None
    first, second = (round(len(content) * share) for share in (SHARES[0], SHARES[0] + SHARES[1]))
    if whole:
        first, second = (_character(content, cut) for cut in (first, second))
    return [content[:first], content[first:second], content[second:]]


def _character(content: bytes, cut: int) -> int:
    return next((at for at in range(cut, cut + 4) if at >= len(content) or content[at] & 0xC0 != 0x80), cut)


def _is_part(name: str) -> bool:
    return any(name == layout.format(part) for layout in LAYOUTS for part in PARTS)


def _of_layout(files: dict[str, bytes], place: Path) -> list[bytes]:
    """The three parts."""
    for layout in LAYOUTS:
        names = [layout.format(part) for part in PARTS]
        if all(name in files for name in names):
            return [files[name] for name in names]
    missing = [layout.format("train") for layout in LAYOUTS]
    raise DataError(f"{place} has no whole set such as {' or '.join(missing)} with its valid and test parts")


def learned_pieces(text: str, pieces: int) -> Tokenizer:
    """Byte pairs of a text, most frequent first; the same text gives the same pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=pieces, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def _pieces(tokenizer: Tokenizer, text: str) -> NDArray[np.int32]:
    lines = text.splitlines(keepends=True)
    blocks = ("".join(lines[low : low + LINES]) for low in range(0, len(lines), LINES))
    return np.concatenate([np.asarray(tokenizer.encode(block).ids, np.int32) for block in blocks])


def _text(content: bytes, place: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not text in UTF-8 ({error}); read it as bytes") from None


def _words(content: bytes, place: Path) -> list[str]:
    lines = _text(content, place).split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines  # what follows the last end of line is no line
    return [word for line in lines for word in (*line.split(), END)]
