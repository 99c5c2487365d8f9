"""ListOps: every value is right, the distribution is the published one, files go round; and packed sequences."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, DataError, ShapeError
from lab.lra.listops import (
    END,
    OPERATOR,
    OPERATORS,
    ListOpsConfig,
    apply,
    from_text,
    generate,
    read_tsv,
    to_text,
    write_tsv,
)
from lab.lra.packed import Packed

SMALL = ListOpsConfig(max_depth=4, max_args=5, shortest=3, longest=60)


def value(words: list[str]) -> int:
    """By its own grammar: the independent answer."""
    word = words.pop(0)
    if not word.startswith("["):
        return int(word)
    arguments = []
    while words[0] != "]":
        arguments.append(value(words))
    words.pop(0)
    return {
        "[MIN": min(arguments),
        "[MAX": max(arguments),
        "[MED": int(np.median(arguments)),
        "[SM": sum(arguments) % 10,
    }[word]


def depth(words: list[str]) -> int:
    deepest = now = 1
    for word in words:
        now += word.startswith("[")
        now -= word == "]"
        deepest = max(deepest, now)
    return deepest


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_labels_are_the_values_of_the_trees(seed: int) -> None:
    data = generate(8, seed, SMALL)
    for number in range(len(data)):
        words = to_text(data[number]).split()
        assert SMALL.shortest < len(words) < SMALL.longest
        assert depth(words) <= SMALL.max_depth
        assert value(words) == data.labels[number]
        assert not words
    assert len({data[n].tobytes() for n in range(8)}) == 8


def test_the_published_distribution() -> None:
    data = generate(1500, 0)
    lengths = data.lengths
    assert lengths.min() > 500
    assert lengths.max() < 2000
    assert np.median(lengths) == pytest.approx(969, abs=60)
    assert lengths.mean() == pytest.approx(1044, abs=50)
    shares = np.bincount(data.labels, minlength=10) / len(data)
    published = [0.172, 0.088, 0.076, 0.081, 0.091, 0.085, 0.081, 0.075, 0.082, 0.168]
    np.testing.assert_allclose(shares, published, atol=0.035)
    operators = data.tokens[(data.tokens >= OPERATOR) & (data.tokens < END)]
    np.testing.assert_allclose(np.bincount(operators)[OPERATOR:] / len(operators), 0.25, atol=0.01)
    ends = (data.tokens == END).sum()
    assert ends == len(operators)
    # an operator of 2 to 10 arguments, 6 on average; trees of these lengths have a little fewer
    nodes = len(data.tokens) - ends
    assert 5 < (nodes - len(data)) / len(operators) < 7


def test_a_set_is_a_function_of_its_seed() -> None:
    first, same, other = (generate(5, seed, SMALL) for seed in (1, 1, 2))
    assert np.array_equal(first.tokens, same.tokens)
    assert not np.array_equal(first.tokens, other.tokens)
    assert len(generate(0, 0)) == 0


def test_operators() -> None:
    answers = [apply(kind, [9, 2, 7, 4]) for kind in range(len(OPERATORS))]
    assert answers == [2, 9, 5, 2]  # the median 5.5 is cut
    assert apply(2, [3, 1, 8]) == 3


def test_files_go_round_in_the_official_notation(tmp_path: Path) -> None:
    data = generate(6, 3, SMALL)
    write_tsv(tmp_path / "basic_train.tsv", data)
    lines = (tmp_path / "basic_train.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "Source\tTarget"
    again = read_tsv(tmp_path / "basic_train.tsv")
    assert np.array_equal(again.tokens, data.tokens)
    assert np.array_equal(again.labels, data.labels)
    one = Packed.of([from_text("[MAX 2 9 [MIN 4 7 ] ]")], [9])
    write_tsv(tmp_path / "one.tsv", one)
    text = (tmp_path / "one.tsv").read_text(encoding="utf-8").splitlines()[1]
    assert text == "( ( ( ( [MAX 2 ) 9 ) ( ( ( [MIN 4 ) 7 ) ] ) ) ] )\t9"


def test_the_loaders_name_of_an_end_is_known() -> None:
    assert np.array_equal(from_text("[SM 1 2 X"), from_text("[SM 1 2 ]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Source\tTarget\n[MOX 1 2 ]\t2\n", "MOX"),
        ("Source\tTarget\n[MAX 1 2 ]\ttwo\n", "not a ListOps file"),
        ("Source\tTarget\n[MAX 1 2 ]\n", "not a ListOps file"),
        ("Source\tTarget\n" + "[MAX 1 " * 20_000 + "\t2\n", "not a ListOps file"),
        ("a man walks\n", "heading"),
        ("", "heading"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_tsv(path)
    with pytest.raises(DataError, match="not a ListOps file"):
        read_tsv(tmp_path / "missing.tsv")


def test_bad_settings_are_named() -> None:
    for change in ({"max_depth": 1}, {"max_args": 1}, {"shortest": 10, "longest": 11}):
        with pytest.raises(ConfigError, match="expected depth"):
            ListOpsConfig(**change)
    with pytest.raises(ConfigError, match="count of -1"):
        generate(-1, 0)


def test_batches_are_padded_and_cut() -> None:
    rows = [np.asarray(r, np.uint8) for r in ([1, 2, 3], [4], [], [5, 6, 7, 8])]
    data = Packed.of(rows, [0, 1, 2, 3], longest=3)
    x, valid, labels = data.batch(np.asarray([3, 1, 2]))
    assert x.tolist() == [[5, 6, 7], [4, 0, 0], [0, 0, 0]]
    assert valid is not None
    assert valid.sum(1).tolist() == [3, 1, 0]
    assert labels.tolist() == [3, 1, 2]
    part = data.part(1, 4)
    assert [part[n].tolist() for n in range(3)] == [[4], [], [5, 6, 7, 8]]
    with pytest.raises(ShapeError, match="3 labels"):
        Packed(data.tokens, data.offsets, data.labels[:3])
