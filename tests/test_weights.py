"""The packages of weights: whole files, small, with their origin and their terms."""

import json
import struct
import tomllib
from pathlib import Path

import pytest

import exuvia_base
import exuvia_research

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"base": exuvia_base.FOLDER, "research": exuvia_research.FOLDER}
CHECKPOINTS = {"base": ("base-free", "classifier", "evaluator", "retrieval"), "research": ("base",)}
LIMIT = 36_000_000
GENERATOR_LIMIT = 30_000_000
TENSORS = sorted(path for folder in PACKAGES.values() for path in folder.glob("*/*.safetensors"))
FREE = ("CMU Graphics Lab", "HDM05", "DeepMimic", "synthetic")
"""Sources of the free training data, as a card names them."""
SOURCES = {"base/base-free": FREE, "research/base": (*FREE, "SFU Motion Capture", "Reallusion", "Bandai-Namco")}
LICENCE = {
    "base": ("CC-BY-SA-4.0", "Commercial use is allowed"),
    "research": ("LicenseRef-Research-Non-Commercial", "non-commercial"),
}
STORES = {"base": {"free", "synthetic"}, "research": {"mocap", "synthetic"}}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_checkpoint_has_weights_settings_and_provenance(package: str) -> None:
    found = sorted(path.name for path in PACKAGES[package].iterdir() if (path / "config.json").is_file())
    assert found == sorted(CHECKPOINTS[package])
    for name in found:
        folder = PACKAGES[package] / name
        assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["format"] == "exuvia/1"
        origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        for part in origin.get("parts", {"weights": origin}).values():
            assert part["commit"]
            assert {data["store"] for data in part["data"]} <= STORES[package]
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


@pytest.mark.parametrize("package", PACKAGES)
def test_weights_are_small(package: str) -> None:
    assert size(PACKAGES[package]) <= LIMIT
    assert size(PACKAGES[package] / CHECKPOINTS[package][0]) <= GENERATOR_LIMIT


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("generator", SOURCES)
def test_the_card_names_every_source_with_its_terms(generator: str) -> None:
    package, _, name = generator.partition("/")
    card = (PACKAGES[package] / name / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in card.splitlines() if line.startswith("| ")]
    terms = {row[1].strip(): row[2].strip() for row in rows}
    for source in SOURCES[generator]:
        (given,) = (value for name, value in terms.items() if name.startswith(source))
        assert given, f"{source} has no terms"
    free = package == "base"
    assert ("research, non-commercial" in card) is not free
    assert ("CC BY-SA 4.0" in card) is free


@pytest.mark.parametrize("package", LICENCE)
def test_the_licence_is_not_that_of_the_code(package: str) -> None:
    folder, (licence, words) = ROOT / "packages" / package, LICENCE[package]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == licence
    assert words in (folder / project["license-files"][0]).read_text(encoding="utf-8")
    assert not project["dependencies"]
