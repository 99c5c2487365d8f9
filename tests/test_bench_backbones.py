"""Comparison of generators: costs by kind and length, a longer position table, names, ledger and document."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from exuvia.data.prepare import prepare
from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.settings import Backbone, BAMMConfig, CausalConfig, MaskTransformerConfig
from lab.__main__ import main
from lab.backbones import generation_costs, lengthen, parameters, training_steps
from lab.ledger.quotes import Quotes
from lab.ledger.tables import backbones_table
from tiny import CODES, tiny_pipeline

SIZES: dict[str, Any] = {"num_codes": CODES, "code_dim": 8, "width": 16, "num_layers": 1, "text_dim": 8}
ATTENTION: dict[str, Any] = {**SIZES, "num_heads": 2}


def models() -> dict[str, Any]:
    return {
        "transformer": MaskTransformer(MaskTransformerConfig(**ATTENTION, inner_width=16, table_length=16)),
        "mamba": MaskTransformer(MaskTransformerConfig(**ATTENTION, backbone=Backbone("mamba"), table_length=16)),
        "bamm": BAMM(BAMMConfig(**ATTENTION, inner_width=16, table_length=16)),
        "causal": CausalGenerator(CausalConfig(**SIZES)),
    }


def test_every_kind_has_a_cost_at_every_length() -> None:
    found = generation_costs({name: model.eval() for name, model in models().items()}, (40, 200), repeats=1)
    assert list(found) == ["transformer", "mamba", "bamm", "causal"]
    for costs in found.values():
        assert len(costs) == 2
        assert all(cost.seconds > 0 and (cost.peak_mb is None or cost.peak_mb >= 0) for cost in costs)
    assert found["causal"][1].seconds > found["causal"][0].seconds  # a step at a time
    with pytest.raises(ConfigError, match=r"lengths \[3\]"):
        generation_costs(models(), (3,))


def test_a_longer_table_changes_nothing_before_its_old_end() -> None:
    model = models()["transformer"].eval()
    cond, lengths = torch.randn(1, 8), torch.tensor([14])
    before = model.generate(cond, lengths, seeds=[0])
    with pytest.raises(ShapeError, match="position table"):
        model.generate(cond, torch.tensor([30]), seeds=[0])
    lengthen(model, 40)
    assert model.generate(cond, lengths, seeds=[0]).equal(before)
    assert model.generate(cond, torch.tensor([30]), seeds=[0]).shape == (1, 30)


def test_training_steps_are_timed_side_by_side() -> None:
    every = models()
    sizes = {name: parameters(model) for name, model in every.items()}
    speeds = training_steps({"causal": every["causal"], "mamba": every["mamba"]})
    assert all(speed.step_ms >= speed.fastest_ms > 0 for speed in speeds.values())
    assert sizes["causal"] == sum(p.numel() for p in every["causal"].parameters())


@pytest.mark.slow
def test_the_command_fills_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = prepare("synthetic", tmp_path / "store", count=80)
    pipe = tiny_pipeline()
    pipe.save_pretrained(tmp_path / "two")
    pipe.provenance["parts"] = {"base": {"step": 7}}
    pipe.save_pretrained(tmp_path / "one" / "packed")
    ledger = tmp_path / "numbers.jsonl"
    where = f"--data {store.folder} --sensors synthetic --seeds 0 1 --out {tmp_path}/bench --workers 0"
    words = f"backbones --pipelines {tmp_path}/one {tmp_path}/two {where} --frames 40 --threads 1"
    code = main(f"{words} --record {ledger}".split())
    assert code == 0, capsys.readouterr().err
    written = {row["name"]: row for row in map(json.loads, ledger.read_text(encoding="utf-8").splitlines())}
    rows = {name: row["value"] for name, row in written.items()}
    fid = written["backbone.one.fid"]
    assert fid["low"] <= fid["value"] <= fid["high"]
    assert written["backbone.one.step_ms"]["low"] is None
    assert rows["backbone.one.train_s"] == pytest.approx(7 * rows["backbone.one.step_ms"] / 1000)
    assert "backbone.two.train_s" not in rows, "no history, no training time"
    assert rows["backbone.one.fid"] == pytest.approx(rows["backbone.two.fid"])
    assert {"backbone.two.generate_s.40", "backbone.two.kid"} <= set(rows)
    quotes = Quotes(written.values())
    backbones_table(quotes, "one two", [40])
    assert not quotes.problems
    assert set(rows) - quotes.used == {"backbone.one.step_ms", "backbone.two.step_ms"}
    assert main(f"{words.replace('/two', '/one')}".split()) == 2
    assert "two generators named 'one'" in capsys.readouterr().err
