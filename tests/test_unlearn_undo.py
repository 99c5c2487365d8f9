"""Several concepts at once, edits one upon another, and taking them back bit for bit."""

from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.checkpoint import load_metadata, load_tensors, save_tensors
from exuvia.data.concepts import find_concept
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import forget_indices, unlearn
from exuvia.unlearning.undo import save_undo, undo
from tiny import tiny_pipeline

METHODS = {
    "lcr": {"num_codes": 4, "min_count": 1, "levels": (0, 2)},
    "uce": {},
    "rece": {"epochs": 1},
    "prompt_filter": {},
    "none": {},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("undo") / "store", count=80)


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator."""
    return tiny_pipeline()


@pytest.mark.parametrize("name", METHODS)
def test_every_edit_can_be_taken_back(name: str, pipe: MotionPipeline, store: Store, tmp_path: Path) -> None:
    pipe.card = "# Tiny\n"
    safe = unlearn(name, pipe, data=store, **METHODS[name])
    assert f"## Edit: {name}" in safe.card
    record = save_undo(tmp_path / "undo.safetensors", pipe, safe)
    loaded = MotionPipeline.from_pretrained(safe.save_pretrained(tmp_path / "safe"))
    restored = undo(loaded, record)
    assert pipeline_hash(restored) == pipeline_hash(pipe)
    assert restored.provenance["edits"] == []
    assert restored.card == pipe.card
    assert pipeline_hash(loaded) == pipeline_hash(safe)  # the edited one stays


def test_edits_compose_and_are_taken_back_one_by_one(pipe: MotionPipeline, store: Store, tmp_path: Path) -> None:
    first = unlearn("uce", pipe, data=store, forget="kick")
    both = unlearn("lcr", first, data=store, num_codes=4, min_count=1)
    assert [edit["method"] for edit in both.provenance["edits"]] == ["uce", "lcr"]
    assert both.provenance["edits"][1]["parent"] == pipeline_hash(first)
    second = save_undo(tmp_path / "second", first, both)
    whole = save_undo(tmp_path / "whole", pipe, both)
    assert pipeline_hash(undo(both, second)) == pipeline_hash(first)
    assert pipeline_hash(undo(both, whole)) == pipeline_hash(pipe)
    with pytest.raises(CheckpointError, match="belongs to another edit"):
        undo(first, second)
    with pytest.raises(ConfigError, match="was not made from this one"):
        save_undo(tmp_path / "none", both, first)


@pytest.mark.parametrize("count", ["1e-7", "-1", "", "9" * 5000])
def test_a_damaged_record_is_one_sentence(count: str, pipe: MotionPipeline, tmp_path: Path) -> None:
    safe = unlearn("prompt_filter", pipe)
    record = save_undo(tmp_path / "undo.safetensors", pipe, safe)
    save_tensors(record, load_tensors(record), load_metadata(record) | {"guards": count})
    with pytest.raises(CheckpointError, match="is damaged: it does not say how many"):
        undo(safe, record)


@pytest.mark.parametrize("name", ["lcr", "uce", "prompt_filter"])
def test_several_concepts_at_once(name: str, pipe: MotionPipeline, store: Store) -> None:
    safe = unlearn(name, pipe, data=store, forget="violence+jump", **METHODS[name])
    assert safe.provenance["edits"][0]["forget"] == "violence+jump_leap_hop"
    parts = [set(forget_indices(store, find_concept(one), rule="words").tolist()) for one in ("violence", "jump")]
    assert set(forget_indices(store, find_concept("violence+jump"), rule="words").tolist()) == parts[0] | parts[1]
    assert parts[1] - parts[0]


def test_joined_concepts_have_one_name_and_no_doubles() -> None:
    both = find_concept("kick + jump")
    assert both.name == "kick+jump_leap_hop"
    assert both == find_concept("kick+jump+kick")
    assert find_concept("kick+kick") == find_concept("kick")
    with pytest.raises(ConfigError, match="unknown concept 'jumpp'"):
        find_concept("kick+jumpp")


def test_the_commands(pipe: MotionPipeline, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = pipe.save_pretrained(tmp_path / "old")
    line = f"unlearn uce --pipeline {old} --forget kick --data {store.folder} --out {tmp_path / 'new'}"
    assert main([*line.split(), "--undo", str(tmp_path / "undo")]) == 0
    assert main(["undo", str(tmp_path / "new"), str(tmp_path / "undo"), "--out", str(tmp_path / "back")]) == 0
    assert pipeline_hash(MotionPipeline.from_pretrained(tmp_path / "back")) == pipeline_hash(pipe)
    assert main(["undo", str(old), str(tmp_path / "undo"), "--out", str(tmp_path / "no")]) == 2
    assert "belongs to another edit" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    assert main(["undo", str(tmp_path / "new"), str(tmp_path / "undo"), "--out", str(old)]) == 2
    assert "already exists" in capsys.readouterr().err
