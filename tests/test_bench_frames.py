"""Frames that SeRpEnt keeps: kinds of steps on synthetic motion, ratios by hand, pictures, the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exuvia.data.prepare import prepare
from exuvia.errors import ConfigError
from exuvia.motion.skeleton import SMPL22
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.settings import Backbone, CausalConfig, MaskTransformerConfig
from lab.__main__ import main as lab_main
from lab.draw_frames import draw_kept
from lab.frames import Kept, kept_steps, kinds_of_steps, preferences
from lab.ledger.quotes import Quotes
from lab.ledger.tables import frames_table
from tiny import CODES, tiny_pipeline

LEFT_WRIST, RIGHT_FOOT = 20, 11


def standing(frames: int) -> np.ndarray:
    """A body at rest, [F, 22, 3] metres."""
    rest = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            rest[joint] = rest[parent] + SMPL22.rest_offsets[joint]
    return np.tile(rest + np.array([0, 0.9, 0]), (frames, 1, 1))


def test_kinds_of_made_motion() -> None:
    still = kinds_of_steps(standing(43))
    assert {name: flags.shape for name, flags in still.items()} == dict.fromkeys(still, (10,))
    assert still["still"].all()
    assert not any(still[name].any() for name in ("contact", "reversal", "fast"))
    joints = standing(40)
    joints[:20, LEFT_WRIST, 2] += np.arange(20) * 0.05  # 1 m/s ahead ...
    joints[20:, LEFT_WRIST, 2] += 0.95 - np.arange(1, 21) * 0.05  # ... and back from frame 20 on
    swung = kinds_of_steps(joints)
    assert np.flatnonzero(swung["reversal"]).tolist() == [4]
    assert not swung["still"].any()
    joints = standing(40)
    joints[24:, RIGHT_FOOT, 1] += np.minimum(np.arange(16) * 0.05, 0.3)  # lifted at 1 m/s
    assert np.flatnonzero(kinds_of_steps(joints)["contact"]).tolist() == [5, 7]
    violent = np.zeros(40, bool)
    violent[13] = True
    assert np.flatnonzero(kinds_of_steps(joints, violent)["violent"]).tolist() == [3]


def test_preferences_are_ratios_over_all_steps_of_all_clips() -> None:
    one = Kept(0, 0.5, np.array([1.0, 1.0, 4.0, 2.0]), np.array([False, False, True, True]))
    two = Kept(0, 0.5, np.array([1.0, 3.0]), np.array([False, True]))
    flags = {"fast": np.array([False, False, True, False]), "still": np.zeros(4, bool)}
    (row,) = preferences([(flags, [one]), ({"fast": np.array([False, True]), "still": np.zeros(2, bool)}, [two])])
    assert (row.layer, row.rate, row.kind) == (0, 0.5, "fast")
    assert row.share == pytest.approx(2 / 6)
    means = {name: some.mean for name, some in row.ratios.items()}
    assert means["interval"] == pytest.approx(3.5 / (12 / 6))
    assert means["kept"] == pytest.approx(1 / (3 / 6))
    assert means["interval_in_clip"] == pytest.approx((4 + 3) / (8 / 4 + 4 / 2))
    assert means["kept_in_clip"] == pytest.approx((1 + 1) / (2 / 4 + 1 / 2))
    assert all(some.low <= some.mean <= some.high for some in row.ratios.values())


def test_a_layer_that_keeps_more_of_lively_clips_keeps_no_moment_of_them_more() -> None:
    lively = Kept(0, 0.5, np.full(8, 0.9), np.ones(8, bool))
    calm = Kept(0, 0.5, np.full(8, 0.5), np.arange(8) % 2 == 0)
    often, seldom = {"fast": np.arange(8) < 6}, {"fast": np.arange(8) < 2}
    (row,) = preferences([(often, [lively]), (seldom, [calm])])
    assert row.ratios["kept"].mean > 1.1
    assert row.ratios["interval"].mean > 1.1
    assert row.ratios["kept_in_clip"].mean == pytest.approx(1.0)
    assert row.ratios["interval_in_clip"].mean == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["mask", "causal"])
def test_steps_are_those_of_the_codes_alone(kind: str) -> None:
    sizes: dict[str, Any] = {"num_codes": CODES, "code_dim": 8, "width": 16, "text_dim": 8}
    model: Any = (
        MaskTransformer(MaskTransformerConfig(**sizes, num_heads=2, num_layers=2, backbone=Backbone("serpent")))
        if kind == "mask"
        else CausalGenerator(CausalConfig(**sizes, num_layers=2, backbone=Backbone("serpent")))
    )
    codes, cond = torch.arange(12) % CODES, torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    branches = kept_steps(model, codes, cond)
    rates = {branch.rate for branch in branches}
    assert len(branches) == 2 * len(rates)
    for branch in branches:
        assert branch.steps.shape == branch.selected.shape == (12,)
        assert (branch.steps >= branch.rate - 1e-9).all()
        assert (branch.steps <= 1).all()
    other = codes.clone()
    other[-1] = (other[-1] + 1) % CODES
    moved = [not np.allclose(a.steps, b.steps) for a, b in zip(branches, kept_steps(model, other, cond), strict=True)]
    assert all(moved[: len(rates)]), "the first layer reads the codes themselves"
    plain = MaskTransformer(MaskTransformerConfig(**sizes, inner_width=8, num_heads=2, num_layers=1))
    with pytest.raises(ConfigError, match="no SeRpEnt layer"):
        kept_steps(plain, codes, cond)


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    joints = standing(40) + rng.normal(0, 0.02, (40, 22, 3)).astype(np.float32)
    branch = Kept(0, 0.5, rng.uniform(0.5, 1, 10), np.arange(10) % 2 == 0)
    path = draw_kept(joints, branch, tmp_path / "clip.svg", "a person kicks")
    text = path.read_text(encoding="utf-8")
    assert text.count("<!-- a person kicks -->") == 1  # matplotlib writes the text of a title as a comment
    assert text.count("#1d4ed8") >= 5, "a bar for every selected step"


def test_the_command_records_every_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = prepare("synthetic", tmp_path / "store", count=160)
    pipe = tiny_pipeline()
    sizes = {name: getattr(pipe.base.config, name) for name in ("code_dim", "width", "text_dim")}
    pipe.base = MaskTransformer(
        MaskTransformerConfig(num_codes=CODES, num_layers=1, num_heads=2, backbone=Backbone("serpent"), **sizes)
    )
    pipe.save_pretrained(tmp_path / "serpent" / "packed")
    ledger = tmp_path / "numbers.jsonl"
    words = f"frames --pipeline {tmp_path}/serpent/packed --data {store.folder} --split test"
    made = f"{words} --record {ledger} --draw {tmp_path}/drawn"
    assert lab_main(made.split()) == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    names = [row["name"] for row in rows]
    kinds = {name.split(".")[-2] for name in names}
    assert {"contact", "reversal", "fast", "violent"} <= kinds
    assert all(name.startswith("frames.serpent.layer0.") for name in names)
    assert {name.rpartition(".")[2] for name in names} == {"interval", "kept", "interval_in_clip", "kept_in_clip"}
    assert len(list((tmp_path / "drawn").glob("serpent-*.svg"))) == 4
    quotes = Quotes(rows)
    head, *_ = frames_table(quotes, "serpent", 1, [0.5, 0.3, 0.2], " ".join(kinds)).splitlines()
    assert not quotes.problems
    assert head.count(" | ") == len(kinds), "a column a kind"
    chosen = next(clip.id for clip in store.clips if clip.split == "test")
    assert lab_main(f"{words} --draw {tmp_path}/one --ids {chosen}".split()) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"serpent-{chosen}.svg"]
    assert lab_main(f"{words} --draw {tmp_path}/none --ids nobody".split()) == 2
    assert "no clip 'nobody' to draw" in capsys.readouterr().err
    assert lab_main(f"{words} --sensors sonar".split()) == 2
    assert "no test clips of sonar" in capsys.readouterr().err
