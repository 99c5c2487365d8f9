"""The cache on disk: what was kept is read again only for the same facts, and only where it is whole."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exuvia.kept import Arrays, keep_json, kept_arrays, kept_json, recall_json, stable_hash


class Maker:
    """Counts from where it stands; knows how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def arrays(self) -> Arrays:
        self.calls += 1
        return {"values": np.arange(6, dtype=np.int16).reshape(2, 3).T}

    def facts(self) -> dict[str, Any]:
        self.calls += 1
        return {"answer": [1, 2]}


def is_three_by_two(arrays: Arrays) -> bool:
    return arrays["values"].shape == (3, 2) and arrays["values"].dtype == np.int16


def test_a_hash_knows_values_and_not_the_order_of_keys() -> None:
    assert stable_hash({"a": 1, "b": [2]}) == stable_hash({"b": [2], "a": 1})
    assert len({stable_hash(x) for x in (1, 1.0, "1", [1], None, {"a": 1}, {"a": "1"})}) == 7


def test_arrays_are_made_once_for_the_same_facts(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        kept = kept_arrays(tmp_path, "counts", ["a", 1], make.arrays, is_three_by_two)
        assert kept["values"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert make.calls == 1
    kept_arrays(tmp_path, "counts", ["a", 2], make.arrays, is_three_by_two)
    assert make.calls == 2
    assert len(list(tmp_path.iterdir())) == 2
    kept_arrays(None, "counts", ["a", 1], make.arrays, is_three_by_two)
    assert make.calls == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other facts", "other shape", "other name"])
def test_what_does_not_fit_is_made_again_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    make = Maker()
    kept_arrays(tmp_path, "counts", 1, make.arrays, is_three_by_two)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage in ("cut", "empty", "text"):
        path.write_bytes({"cut": whole[:50], "empty": b"", "text": b"not this"}[damage])
    elif damage == "other facts":
        kept_arrays(tmp_path / "other", "counts", 2, make.arrays, is_three_by_two)
        next((tmp_path / "other").iterdir()).replace(path)
    else:
        name = "values" if damage == "other shape" else "value"
        kept_arrays(tmp_path / "other", "counts", 1, lambda: {name: np.zeros(4)}, is_three_by_two)
        next((tmp_path / "other").iterdir()).replace(path)
    calls = make.calls
    with caplog.at_level(logging.WARNING):
        again = kept_arrays(tmp_path, "counts", 1, make.arrays, is_three_by_two)
    assert make.calls == calls + 1
    assert is_three_by_two(again)
    assert "made again" in caplog.text
    assert path.read_bytes() == whole


def test_a_json_file_is_read_for_its_own_facts_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make, path = Maker(), tmp_path / "answer.json"
    assert recall_json(path, 1) is None
    assert kept_json(path, 1, make.facts) == kept_json(path, 1, make.facts) == {"answer": [1, 2]}
    assert make.calls == 1
    assert recall_json(path, 2) is None
    keep_json(path, 2, {"answer": 3})
    assert recall_json(path, 2) == {"answer": 3}
    assert not caplog.text
    for text in ("{", "[]", ""):
        path.write_text(text, encoding="utf-8")
        assert recall_json(path, 2) is None
    assert "made again" in caplog.text
