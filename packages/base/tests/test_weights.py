"""The weights are whole, small, and say where they come from and what they may be used for."""

import json
import struct
import tomllib
from pathlib import Path

import pytest

import exuvia_base

CHECKPOINTS = ("base", "classifier", "evaluator", "retrieval")
LIMIT = 32_000_000
TENSORS = sorted(exuvia_base.FOLDER.glob("*/*.safetensors"))
SOURCES = ("CMU Graphics Lab", "SFU Motion Capture", "Reallusion", "HDM05", "DeepMimic", "Bandai-Namco", "synthetic")
"""Every source of the training data, as the card names it."""


def test_each_checkpoint_has_weights_settings_and_provenance() -> None:
    assert sorted(path.name for path in exuvia_base.FOLDER.iterdir() if (path / "config.json").is_file()) == [
        *CHECKPOINTS
    ]
    for name in CHECKPOINTS:
        folder = exuvia_base.FOLDER / name
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert config["format"] == "exuvia/1"
        origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        for part in origin.get("parts", {"weights": origin}).values():
            assert part["commit"]
            assert {data["store"] for data in part["data"]} <= {"mocap", "synthetic"}
            assert all(len(data["hash"]) == 64 for data in part["data"])
        assert list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("path", TENSORS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_file_of_tensors_is_whole(path: Path) -> None:
    """Format: 8 bytes length, a JSON header with the place of each tensor, the values without gaps."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    places = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
    assert places
    assert [begin for begin, _ in places] == [0, *(end for _, end in places[:-1])]
    assert places[-1][1] == len(content) - 8 - length


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in exuvia_base.FOLDER.rglob("*") if path.is_file()) <= LIMIT


def test_the_card_names_every_source_with_its_terms() -> None:
    card = (exuvia_base.FOLDER / "base" / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in card.splitlines() if line.startswith("| ")]
    terms = {row[1].strip(): row[2].strip() for row in rows}
    for source in SOURCES:
        (given,) = (value for name, value in terms.items() if name.startswith(source))
        assert given, f"{source} has no terms"
    assert "research, non-commercial" in card


def test_the_licence_is_not_that_of_the_code() -> None:
    package = Path(__file__).resolve().parents[1]
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "LicenseRef-Research-Non-Commercial"
    assert "non-commercial" in (package / project["license-files"][0]).read_text(encoding="utf-8")
    assert not project["dependencies"]
