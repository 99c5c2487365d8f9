"""The measured oddities of the released methods: right on cases whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.codes.statistics import CodeStatistics
from exuvia.data.concepts import VIOLENCE
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import Evidence
from exuvia.unlearning.uce import projections
from lab.__main__ import main
from lab.defects import closed_form, criteria, overlap, padding
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("defects") / "store", count=80)


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator whose projections have a bias worth the name."""
    pipe = tiny_pipeline()
    for one in projections(pipe):
        torch.nn.init.normal_(one.bias, generator=torch.Generator().manual_seed(0))
    return pipe


def test_the_two_released_criteria_are_one() -> None:
    rng = np.random.default_rng(0)
    forget, retain = (torch.from_numpy(rng.integers(0, top, (1, 200))) for top in (12, 90))
    found = {f.name: f.value for f in criteria(CodeStatistics(forget, retain, forget, retain, 30, 300), top=40)}
    assert found["lcr.criteria_overlap"] == 1.0
    assert found["lcr.criteria_overlap.ours"] < 1.0
    assert 0 <= found["lcr.rare_share"] <= 1


def test_padding_is_counted(pipe: MotionPipeline, store: Store) -> None:
    lengths = (196, 98, 49, 196)
    clips = [np.asarray(store.features(n))[np.arange(length) % 20] for n, length in enumerate(lengths)]
    found = {f.name: f.value for f in padding(pipe, clips, np.asarray([True, False, True, False]), top=4)}
    assert found["lcr.padding_share"] == pytest.approx((25 + 37) / (4 * 49))
    assert found["lcr.padding_codes"] >= 1
    whole = [np.asarray(store.features(0))[:1].repeat(196, 0)] * 2
    found = {f.name: f.value for f in padding(pipe, whole, np.asarray([True, False]), top=4)}
    assert found["lcr.padding_share"] == 0
    assert found["lcr.padding_overlap"] == 1


def test_the_bias_makes_uce_drift(pipe: MotionPipeline, store: Store) -> None:
    found = {f.name: f.value for f in closed_form(pipe, Evidence(pipe, VIOLENCE, store))}
    assert found["uce.drift"] > 2 * found["uce.drift.meant"]
    assert all(np.isfinite(value) for value in found.values())
    for one in projections(pipe):
        assert one.bias.abs().max() > 0  # the generator itself stays


def test_overlap() -> None:
    assert overlap([1, 2], [2, 3]) == pytest.approx(1 / 3)
    assert overlap([], []) == 1.0


def test_the_command(pipe: MotionPipeline, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pipe.save_pretrained(tmp_path / "tiny")
    line = f"defects kick --data {store.folder} --pipeline {folder} --record {tmp_path / 'numbers.jsonl'}"
    assert main(line.split()) == 0
    assert "rece.from_uce_twice" in capsys.readouterr().out
    assert '"released.uce.drift.kick"' in (tmp_path / "numbers.jsonl").read_text(encoding="utf-8")
    assert main(["defects", "kik", "--data", str(store.folder)]) == 2
