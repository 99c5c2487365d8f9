"""Texts for language models: layouts, words and bytes, what is unknown, and what is refused."""

import gzip
import lzma
import math
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import ConfigError, DataError
from lab.lm.corpus import learned_pieces, read_corpus

DATA = Path(os.environ.get("EXUVIA_DATA", "../shared/data"))
PTB = {
    "ptb.train.txt": " the cat sat \n the <unk> sat\n",
    "ptb.valid.txt": " the dog sat\n",
    "ptb.test.txt": " cat the\n\n",
}


def folder_of(root: Path, files: dict[str, str]) -> Path:
    root.mkdir()
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_words_of_a_folder_and_of_an_archive(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "ptb", PTB)
    with tarfile.open(tmp_path / "ptb.tar.xz", "w:xz") as archive:
        archive.add(folder, "ptb")
    for source in (folder, tmp_path / "ptb.tar.xz"):
        corpus = read_corpus(source, "words")
        assert corpus.vocabulary == 5  # <unk> <eos> the sat cat
        assert len(corpus.train) == 8
        assert corpus.valid.tolist()[1] == 0  # dog is unknown
        assert corpus.test.tolist()[2:] == [1, 1]  # an empty line has an end too
        assert corpus.bytes_a_token == pytest.approx(len(PTB["ptb.test.txt"]) / 4)
        assert np.concatenate([corpus.train, corpus.valid, corpus.test]).max() < corpus.vocabulary
    assert read_corpus(folder, "words", min_count=2).vocabulary == 4


@pytest.mark.parametrize("characters", ["abc ", "äöü ", "猫が座る\n"])
def test_pieces_write_any_text_and_are_fewer_than_its_bytes(characters: str, tmp_path: Path) -> None:
    text = characters * 300 + "end\r\n"
    (tmp_path / "text").write_text(text, encoding="utf-8", newline="")
    corpus = read_corpus(tmp_path / "text", "bpe", pieces=300)
    sizes = [len(corpus.train), len(corpus.valid), len(corpus.test)]
    assert sum(sizes) < len(text.encode()) / 2
    assert 256 <= corpus.vocabulary <= 300
    assert max(part.max() for part in (corpus.train, corpus.valid, corpus.test)) < corpus.vocabulary
    assert corpus.bytes_a_token == pytest.approx(len(text.encode()) * 0.05 / len(corpus.test), rel=0.05)
    again = read_corpus(tmp_path / "text", "bpe", pieces=300)
    np.testing.assert_array_equal(corpus.train, again.train)


def test_pieces_give_the_text_back() -> None:
    text = "the cat sat on the mat\n\n the dog\tsat äöü 猫\n" * 5
    tokenizer = learned_pieces(text, 280)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_bits_a_byte_and_perplexity() -> None:
    corpus = read_corpus(__file__)
    assert corpus.bits_a_byte(math.log(256)) == pytest.approx(8)
    assert corpus.perplexity(math.log(5)) == pytest.approx(5)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_any_file_is_split_by_bytes(suffix: str, tmp_path: Path) -> None:
    content = bytes(range(200)) * 10
    packed = {"": content, ".gz": gzip.compress(content), ".xz": lzma.compress(content)}[suffix]
    path = tmp_path / f"enwik8{suffix}"
    path.write_bytes(packed)
    corpus = read_corpus(path)
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [1800, 100, 100]
    together = np.concatenate([corpus.train, corpus.valid, corpus.test])
    assert together.astype(np.uint8).tobytes() == content


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_corpus(tmp_path / "missing")
    (tmp_path / "broken.xz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_corpus(tmp_path / "broken.xz")
    with pytest.raises(DataError, match=r"ptb.train.txt"):
        read_corpus(folder_of(tmp_path / "half", {"ptb.valid.txt": "a\n"}))
    with pytest.raises(DataError, match="the test part"):
        read_corpus(folder_of(tmp_path / "empty", PTB | {"ptb.test.txt": ""}))
    (tmp_path / "latin").write_bytes(b"\xff\xfe" * 50)
    with pytest.raises(DataError, match="UTF-8"):
        read_corpus(tmp_path / "latin", "words")
    with pytest.raises(ConfigError, match="unknown level 'letters'"):
        read_corpus(__file__, "letters")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="UTF-8"):
        read_corpus(tmp_path / "latin", "bpe")
    with pytest.raises(ConfigError, match="256 pieces"):
        read_corpus(__file__, "bpe", pieces=256)
    with pytest.raises(ConfigError, match="min_count 0"):
        read_corpus(__file__, "words", 0)


@pytest.mark.skipif(not (DATA / "text" / "ptb.tar.xz").is_file(), reason="needs the development data's Penn Treebank")
def test_the_penn_treebank_has_its_published_counts() -> None:
    corpus = read_corpus(DATA / "text" / "ptb.tar.xz", "words")
    assert len(corpus.train) == 929_589
    assert corpus.vocabulary == 10_000


def test_enwik8_is_found_in_its_folder_and_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "enwik8").write_bytes(b"<mediawiki>" * 100)
    assert len(read_corpus(tmp_path).train) == 990
    packed = bytearray(gzip.compress(np.random.default_rng(0).bytes(5000)))
    for place in range(20, 4000, 400):
        damaged = packed[:place] + bytes([packed[place] ^ 255]) + packed[place + 1 :]
        (tmp_path / "text.gz").write_bytes(bytes(damaged))
        with pytest.raises(DataError, match="cannot be read"):
            read_corpus(tmp_path / "text.gz")
