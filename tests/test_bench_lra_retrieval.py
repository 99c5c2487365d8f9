"""Pairs of documents: the official layout, what is refused, and made pairs that can be answered."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, DataError, ShapeError
from exuvia.sequence.settings import StackConfig
from lab.lra.model import ClassifierConfig, SequenceClassifier
from lab.lra.packed import Packed
from lab.lra.retrieval import CLASSES, VOCABULARY, Pairs, made_pairs, read_pairs
from lab.lra.task import ClassifyTask, Splits

LINES = [
    '1.0\tP05-1\tW06-2\tb\'na\\xc3\\xafve "text"\\n\'\tb"it\'s"',
    '0.0\tW06-2\tX00-3\tb"it\'s"\tplain',
]


def folder_of(root: Path, change: Callable[[dict[str, list[str]]], object] = lambda files: None) -> Path:
    files = dict.fromkeys(("train", "eval", "test"), LINES)
    change(files)
    root.mkdir(exist_ok=True)
    for split, lines in files.items():
        (root / f"new_aan_pairs.{split}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root


def text_of(tokens: np.ndarray) -> str:
    return (tokens - 1).astype(np.uint8).tobytes().decode()


def test_texts_are_the_characters_that_stand_in_the_file(tmp_path: Path) -> None:
    train, valid, test = read_pairs(folder_of(tmp_path, lambda files: files.update(eval=LINES[:1])))
    assert (len(train), len(valid), len(test)) == (2, 1, 2)
    assert train.labels.tolist() == [1, 0]
    for number, line in enumerate(LINES):
        assert [text_of(one) for one in train[number]] == line.split("\t")[3:]
    assert len(train.documents) == 3  # the second of the first pair is the first of the second


def test_a_batch_has_firsts_before_seconds_as_the_classifier_wants_them(tmp_path: Path) -> None:
    train, _, _ = read_pairs(folder_of(tmp_path), longest=7)
    x, valid, labels = train.batch(np.asarray([1, 0, 1]))
    assert x.shape == (6, 7)
    assert valid is not None
    assert labels.tolist() == [0, 1, 0]
    found = [text_of(row[mask].numpy()) for row, mask in zip(x, valid, strict=True)]
    assert found == ['b"it\'s"', "b'na\\xc", 'b"it\'s"', "plain", 'b"it\'s"', "plain"]
    assert (x[~valid] == 0).all()
    assert train.lengths.tolist() == [7, 7]
    net = SequenceClassifier(ClassifierConfig(StackConfig(8, 1, state=4, causal=False), CLASSES, VOCABULARY, pair=True))
    assert net(x, valid).shape == (3, 2)


def test_pairs_are_sequences_of_the_training_task() -> None:
    task = ClassifyTask(
        ClassifierConfig(StackConfig(8, 1, state=4, causal=False), CLASSES, VOCABULARY, pair=True),
        Splits(*(pairs_of(made_pairs(20, seed, 8)) for seed in range(3))),
        batch_size=4,
    )
    loss, _ = task.loss(task.batch(0, np.random.default_rng(0)), torch.Generator())
    loss.backward()
    assert 0 < loss.item() < 3
    assert 0 <= task.validate()["accuracy"] <= 1


def pairs_of(lines: list[str]) -> Pairs:
    texts = [text.encode() for line in lines for text in line.split("\t")[3:]]
    documents = Packed.of([np.frombuffer(text, np.uint8) + np.uint8(1) for text in texts], [0] * len(texts))
    labels = np.asarray([float(line.split("\t")[0]) for line in lines]).astype(np.int64)
    return Pairs(documents, np.arange(len(texts)).reshape(-1, 2), labels)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30), st.integers(0, 1000), st.integers(4, 40))
def test_made_pairs_are_answered_by_their_topics(count: int, seed: int, words: int) -> None:
    lines = made_pairs(count, seed, words)
    assert lines == made_pairs(count, seed, words)
    assert len(lines) == count
    for line in lines:
        label, _, _, *texts = line.split("\t")
        one, other = ({word[:2] for word in text[2:].split() if word[0] == "t"} for text in texts)
        assert len(one) == len(other) == 1
        assert (one == other) == (label == "1.0")


def test_made_pairs_are_read_and_chance_is_a_half(tmp_path: Path) -> None:
    made = {split: made_pairs(400, seed) for seed, split in enumerate(("train", "eval", "test"))}
    train, _, test = read_pairs(folder_of(tmp_path, lambda files: files.update(made)))
    assert abs(train.labels.mean() - 0.5) < 0.08
    assert [text_of(one) for one in test[5]] == made["test"][5].split("\t")[3:]
    assert not set(made["train"]) & set(made["test"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no lines"),
        (["1.0\ta\tb\tonly one text"], "line 1 has 4 fields"),
        ([LINES[0], "label\tid1\tid2\ttext1\ttext2"], "line 2 has the label 'label'"),
        (["0.5\ta\tb\tone\tother"], "expected 0.0 or 1.0"),
    ],
)
def test_other_layouts_are_named_with_their_line(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_pairs(folder_of(tmp_path, lambda files: files.update(eval=lines)))


def test_missing_files_and_what_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"new_aan_pairs.train.tsv cannot be read"):
        read_pairs(tmp_path)
    folder_of(tmp_path)
    (tmp_path / "new_aan_pairs.test.tsv").write_bytes(b"1.0\ta\tb\t\xff\tx\n")
    with pytest.raises(DataError, match="byte 255"):
        read_pairs(tmp_path)
    with pytest.raises(ConfigError, match="documents of 0 bytes"):
        read_pairs(tmp_path, longest=0)
    with pytest.raises(ConfigError, match="of 3 words"):
        made_pairs(1, 0, 3)
    documents = Packed.of([np.ones(3, np.uint8)], [0])
    with pytest.raises(ShapeError, match=r"expected \[N, 2\]"):
        Pairs(documents, np.zeros(3, np.int64), np.zeros(3, np.int64))
    with pytest.raises(ShapeError, match="documents 0 to 1"):
        Pairs(documents, np.asarray([[0, 1]]), np.zeros(1, np.int64))
