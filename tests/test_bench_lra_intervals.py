"""What SeRpEnt classifiers keep: kinds of steps, intervals of every layer, and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.errors import ConfigError
from exuvia.sequence.settings import StackConfig
from lab.__main__ import main
from lab.lra import listops, probes
from lab.lra.draw_intervals import draw_pixels, draw_tokens, token_names
from lab.lra.intervals import kept_by_kind, kinds_of, layer_intervals
from lab.lra.model import ClassifierConfig, SequenceClassifier
from lab.lra.pathfinder.generate import generate
from lab.lra.pathfinder.tables import PathfinderConfig
from lab.variant import parse_variant


def model(mixer: str, vocabulary: int = 0, **serpent: object) -> SequenceClassifier:
    torch.manual_seed(0)
    made = parse_variant(mixer)
    stack = StackConfig(16, 2, made.mixer, False, 4, serpent=replace(made.serpent, **serpent))  # type: ignore[arg-type]
    return SequenceClassifier(ClassifierConfig(stack, 3, vocabulary)).eval()


def test_uniform_intervals_prefer_no_kind_and_learned_ones_can() -> None:
    data = probes.copying(64, 96, seed=0)
    x, valid, _ = data.batch(np.arange(64))
    for one in kept_by_kind("copying", model("uniform-s4d", probes.VOCABULARY), x, valid):
        assert one.interval == pytest.approx(1)
        assert one.kept == pytest.approx(1, abs=0.35 if one.share > 0.05 else 1)
    net = model("serpent-s4d", probes.VOCABULARY, rates=(0.25,))
    layer = net.stack.parts[0].mixer
    with torch.no_grad():  # intervals that follow what sets blanks apart from the rest
        net.enter.weight.zero_()
        net.enter.weight[probes.BLANK + 1 :, 0] = net.enter.weight[: probes.BLANK, 0] = 1
        layer.interval.weight.zero_()
        layer.interval.weight[:, 0] = 4
    first = {one.kind: one for one in kept_by_kind("copying", net, x, valid) if one.layer == 0}
    assert first["letter"].interval > first["blank"].interval
    assert first["letter"].kept > 1.2 > 1 > first["blank"].kept
    assert sum(one.share for one in first.values()) == pytest.approx(1)


def test_padding_is_of_no_kind() -> None:
    net, x = model("serpent-mamba", listops.VOCABULARY), torch.randint(1, 16, (2, 40))
    valid = torch.arange(40)[None] < torch.tensor([40, 25])[:, None]
    (whole, *_), (cut, *_) = layer_intervals(net, x, valid)[0], layer_intervals(net, x[1:, :25])[0]
    torch.testing.assert_close(whole.steps[1, :25], cut.steps[0])
    assert not whole.selected[1, 25:].any()


def test_kinds_of_steps() -> None:
    trees = torch.from_numpy(np.frombuffer(bytes([11, 1, 14, 3, 3, 15, 10, 15]), np.uint8).astype(np.int64))[None]
    assert kinds_of("listops", trees)[0].tolist() == [
        "operator", "digit", "operator", "digit", "digit", "end", "digit", "end",
    ]  # fmt: skip
    words = torch.tensor([[b + 1 for b in "it's, ä".encode()]])
    assert kinds_of("text", words)[0].tolist() == [
        "first letter", "letter", "punctuation", "first letter", "punctuation", "blank", "first letter", "letter",
    ]  # fmt: skip
    x, _, _ = probes.induction(1, 20, 0).batch(np.arange(1))
    kinds = kinds_of("induction", x)[0].tolist()
    assert kinds[-1] == "mark"
    assert kinds[kinds.index("mark") + 1] == "answer"
    picture = np.zeros((1, 16, 16), np.float32)
    picture[:, :, 8:] = 1
    edges = kinds_of("image", torch.from_numpy(picture.reshape(1, -1)), 16).reshape(16, 16)
    assert set(np.nonzero(edges == "edge")[1].tolist()) <= {7, 8}
    with pytest.raises(ConfigError, match="events"):
        kinds_of("events", x)


def test_markers_of_pathfinder_are_two_discs() -> None:
    images, _ = generate(20, PathfinderConfig(), seed=0, compiled=None)
    x = torch.from_numpy(images.reshape(20, -1).astype(np.float32))
    kinds = kinds_of("pathfinder", x, 32)
    assert ((kinds == "marker").sum(1) >= 2).all()
    assert (kinds == "curve").sum() > 3 * (kinds == "marker").sum()
    assert (kinds == "ground").mean() > 0.6


def test_only_layers_that_resample_can_be_asked() -> None:
    with pytest.raises(ConfigError, match="no SeRpEnt layer"):
        layer_intervals(model("s4d"), torch.rand(1, 8))


def test_pictures_are_drawn(tmp_path: Path) -> None:
    net = model("serpent-s4d")
    (branch, *_), *_ = layer_intervals(net, torch.rand(3, 64))
    path = draw_pixels(np.random.default_rng(0).random((3, 8, 8)).astype(np.float32), branch, tmp_path / "a.svg", "a")
    assert path.read_text(encoding="utf-8").count("<image") == 7  # 3 pictures, 3 maps, a scale
    x, _, _ = probes.copying(1, 70, 0).batch(np.arange(1))
    (branch, *_), *_ = layer_intervals(model("serpent-mamba", probes.VOCABULARY), x)
    draw_tokens(token_names("copying", x[0].numpy()), branch, tmp_path / "b.png", "b")
    assert (tmp_path / "b.png").stat().st_size > 5000
    assert token_names("listops", np.asarray([11, 1, 14, 10, 15])) == ["MN", "0", "SM", "9", "]"]


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"intervals --tasks induction --out {tmp_path}".split()) == 2
    assert "holds no trained serpent-s4d of seed 0" in capsys.readouterr().err
    ledger = tmp_path / "numbers.jsonl"
    made = f"generators --trees 20 --small 20 --large 2 --record {ledger} --sheet {tmp_path / 'sheet.png'}"
    assert main(made.split()) == 0
    assert "trees" not in capsys.readouterr().err
    assert '"pathx.images_per_s"' in ledger.read_text(encoding="utf-8")
    assert main("generators --trees 0".split()) == 2
