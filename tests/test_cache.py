"""The cache on disk: what was kept is read again only for the same facts, and only where it is whole."""

import logging
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from exuvia.cache import Arrays, keep_arrays, keep_json, recall_arrays, recall_json, stable_hash

VALUES: Arrays = {"values": np.arange(6, dtype=np.int16).reshape(2, 3).T}


def test_a_hash_knows_values_and_not_the_order_of_keys() -> None:
    assert stable_hash({"a": 1, "b": [2]}) == stable_hash({"b": [2], "a": 1})
    assert len({stable_hash(x) for x in (1, 1.0, "1", [1], None, {"a": 1}, {"a": "1"})}) == 7


def test_arrays_are_recalled_for_the_same_facts_only(tmp_path: Path) -> None:
    assert recall_arrays(tmp_path, "counts", ["a", 1]) is None
    keep_arrays(tmp_path, "counts", ["a", 1], VALUES)
    kept = recall_arrays(tmp_path, "counts", ["a", 1])
    assert kept is not None
    assert kept["values"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert recall_arrays(tmp_path, "counts", ["a", 2]) is None
    assert recall_arrays(tmp_path, "others", ["a", 1]) is None


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    assert keep_arrays(None, "counts", 1, VALUES)["values"].shape == (3, 2)
    assert recall_arrays(None, "counts", 1) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other facts", "one value", "other name", "no marks"])
def test_what_is_damaged_is_not_recalled_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    keep_arrays(tmp_path, "counts", 1, VALUES)
    (path,) = tmp_path.iterdir()
    whole, arrays = path.read_bytes(), load_file(path)
    if damage in ("cut", "empty", "text"):
        path.write_bytes({"cut": whole[:50], "empty": b"", "text": b"not this"}[damage])
    elif damage == "other facts":
        keep_arrays(tmp_path / "other", "counts", 2, VALUES)
        next((tmp_path / "other").iterdir()).replace(path)
    elif damage == "one value":
        path.write_bytes(whole[:-2] + b"\x07\x00")
    elif damage == "other name":
        path.write_bytes(whole.replace(b"values", b"valued"))
    else:
        save_file(arrays, path)
    with caplog.at_level(logging.WARNING):
        assert recall_arrays(tmp_path, "counts", 1) is None
    assert "computed again" in caplog.text
    keep_arrays(tmp_path, "counts", 1, VALUES)
    assert path.read_bytes() == whole


def test_every_length_that_a_file_can_be_cut_to_is_noticed(tmp_path: Path) -> None:
    keep_arrays(tmp_path, "counts", 1, VALUES)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert recall_arrays(tmp_path, "counts", 1) is None, length


def test_a_json_file_is_read_for_its_own_facts_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "answer.json"
    assert recall_json(path, 1) is None
    keep_json(path, 1, {"answer": [1, 2]})
    assert recall_json(path, 1) == {"answer": [1, 2]}
    assert recall_json(path, 2) is None
    keep_json(path, 2, {"answer": 3})
    assert recall_json(path, 2) == {"answer": 3}
    assert not caplog.text
    for text in ("{", "[]", ""):
        path.write_text(text, encoding="utf-8")
        assert recall_json(path, 2) is None
    assert "computed again" in caplog.text
