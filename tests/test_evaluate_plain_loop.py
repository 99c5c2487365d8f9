"""The published loop that ours is timed against: the same codes where nothing is random, and the same measures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.data.concepts import VIOLENCE
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.evaluation.prompt_sets import prompt_sets
from exuvia.judges.shipped import shipped_evaluator
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import ship_statistics
from lab.__main__ import main
from lab.plain_loop import base_codes, plain_clips, plain_evaluation, residual_codes
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("plain") / "store", count=400)


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """A tiny generator."""
    return tiny_pipeline()


def test_without_randomness_it_makes_the_same_codes(pipe: MotionPipeline) -> None:
    texts, lengths = ["a man kicks", "a person walks in a circle and sits", "she waves"], torch.tensor([9, 5, 12])
    states = pipe.text.encode(texts)
    base = base_codes(pipe, states.states, states.valid, lengths, 0.0)
    codes = residual_codes(pipe, base, states.states, states.valid, lengths, 0.0)
    made = pipe.generate(texts, frames=[36, 20, 48], temperature=0.0, residual_temperature=0.0)
    assert torch.equal(codes, made.codes)


def test_it_counts_what_it_makes(pipe: MotionPipeline, store: Store) -> None:
    prompts = prompt_sets(store, VIOLENCE, limit=40)[1]
    found = plain_evaluation(pipe, shipped_evaluator(), prompts, 2, multimodal_motions=2)
    assert found.motions == 2 * 32  # the incomplete batch is dropped
    assert found.multimodal_motions == 2 * 32
    assert found.seconds > 0 < found.multimodal_seconds
    for values in found.values:
        assert np.isfinite(list(values.values())).all()
        assert 0 <= values["r_precision@1"] <= values["r_precision@3"] <= 1


def test_the_command(pipe: MotionPipeline, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = ship_statistics(pipe, store)
    folder = dataclasses.replace(pipe, statistics=counts).save_pretrained(tmp_path / "tiny")
    line = f"evaluation --data {store.folder} --pipeline {folder} --repeats 1 --multimodal-motions 1 --sensors"
    assert main([*line.split(), "synthetic", "--record", str(tmp_path / "numbers.jsonl")]) == 0
    assert "times as fast" in capsys.readouterr().out
    recorded = (tmp_path / "numbers.jsonl").read_text(encoding="utf-8")
    assert "benchmark.speedup_vs_plain_loop.same_motions" in recorded
    assert "benchmark.speedup_vs_plain_loop.kept_codes" in recorded
    assert main([*line.split(), "optical"]) == 2


def test_single_captions_and_their_bench(
    pipe: MotionPipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = plain_clips(pipe, ["a man walks", "a man kicks"], [41, 60])
    assert [clip.shape for clip in clips] == [(40, 22, 3), (60, 22, 3)]
    folder, ledger = pipe.save_pretrained(tmp_path / "tiny"), tmp_path / "numbers.jsonl"
    line = f"pipeline --pipeline {folder} --clips 3 --repeats 1 --record {ledger}"
    assert main(line.split()) == 0
    assert "times as fast" in capsys.readouterr().out
    assert '"pipeline.speedup_vs_plain_loop"' in ledger.read_text(encoding="utf-8")
    assert main(f"pipeline --pipeline {folder} --clips 0".split()) == 2
