"""Experiments on parts of the product: what they time is recorded under the names of the ledger."""

import json
from pathlib import Path

import pytest

from lab.experiments import parts
from lab.ledger import numbers
from tiny import tiny_pipeline


def test_encoding_is_timed_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "numbers.jsonl"
    parts.bench_features(parts.FeaturesBench(clips=4, frames=40, repeats=2, record=ledger))
    row = json.loads(ledger.read_text())
    assert set(row) == set(numbers.KEYS)
    assert row["name"] == "features.encode_4_clips_s"
    assert 0 < row["low"] <= row["value"] <= row["high"]
    assert "best" in capsys.readouterr().out


def test_an_edit_is_recorded_with_time_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, pipeline = tmp_path / "numbers.jsonl", tiny_pipeline().save_pretrained(tmp_path / "tiny")
    monkeypatch.setattr(parts, "unlearn", lambda method, pipe, **settings: pipe)
    parts.bench_lcr(parts.LCRBench(pipeline=str(pipeline), record=ledger))
    rows, problems = numbers.read_rows(ledger)
    assert not problems
    assert [row["name"] for row in rows] == ["lcr.edit_s", "lcr.peak_memory_mb"]
