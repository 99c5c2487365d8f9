"""Experiments on parts of the product: what they time is recorded under the names of the ledger."""

import json
from pathlib import Path

import pytest

from lab.experiments import features, lcr
from lab.ledger import numbers
from tiny import tiny_pipeline


def test_encoding_is_timed_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "numbers.jsonl"
    features.bench_features(features.FeaturesBench(clips=4, frames=40, repeats=2, record=ledger))
    row = json.loads(ledger.read_text())
    assert set(row) == set(numbers.KEYS)
    assert row["name"] == "features.encode_4_clips_s"
    assert 0 < row["low"] <= row["value"] <= row["high"]
    assert "best" in capsys.readouterr().out


def test_an_edit_is_recorded_with_time_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, pipeline = tmp_path / "numbers.jsonl", tiny_pipeline().save_pretrained(tmp_path / "tiny")
    monkeypatch.setattr(lcr, "unlearn", lambda method, pipe, **settings: pipe)
    lcr.bench_lcr(lcr.LCRBench(pipeline=str(pipeline), record=ledger))
    rows, problems = numbers.read_rows(ledger)
    assert not problems
    assert [row["name"] for row in rows] == ["lcr.edit_s", "lcr.peak_memory_mb"]


def test_the_demo_is_timed_as_its_users_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(lcr, "demo", lambda config: ran.append(config))
    lcr.bench_demo(lcr.DemoBench(record=tmp_path / "numbers.jsonl"))
    assert [config.pipeline for config in ran] == ["base"]
    assert numbers.read_rows(tmp_path / "numbers.jsonl")[0][0]["name"] == "demo.wall_s"
