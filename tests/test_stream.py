"""Motion without an end: pieces are the whole, the past stays, memory does not grow, and joins are measured."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import exuvia
from exuvia.__main__ import main
from exuvia.errors import ConfigError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.settings import LongConfig
from exuvia.pipeline.stream import Scene, decoder_reach, long_features, stream
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.settings import BAMMConfig, CausalConfig
from lab.__main__ import main as lab_main
from lab.experiments.stream import join_jump_ratio
from tiny import CODES, tiny_pipeline

SCENES = [Scene("a man walks", 200), Scene("a man sits down", 90), Scene("a man waves", 40), Scene("a man turns", 12)]


@pytest.fixture(scope="module", params=["mask", "causal"])
def pipe(request: pytest.FixtureRequest) -> MotionPipeline:
    """A tiny generator with a masked transformer, or a causal state-space model."""
    made = tiny_pipeline()
    if request.param == "causal":
        shared = {name: getattr(made.base.config, name) for name in ("code_dim", "width", "text_dim")}
        made.base = CausalGenerator(CausalConfig(num_codes=CODES, num_layers=1, **shared), seed=1).eval()
    return made


def whole(pipe: MotionPipeline, scenes: list[Scene], **more: object) -> np.ndarray:
    """Features of all pieces."""
    return np.concatenate([rows for rows, _ in long_features(pipe, scenes, **more)])  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, 1.5])
def test_pieces_are_what_decoding_at_once_gives(
    pipe: MotionPipeline, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pipe.config["generation"], "smoothing", smoothing)
    seen: list[torch.Tensor] = []
    import exuvia.pipeline.stream as long

    written = long._written

    def record(*args: object) -> object:
        for codes, caption in written(*args):  # type: ignore[arg-type]
            seen.append(codes)
            yield codes, caption

    monkeypatch.setattr(long, "_written", record)
    rows = whole(pipe, SCENES, seed=4)
    codes = torch.cat(seen)
    assert len(codes) == sum(scene.frames // 4 for scene in SCENES)
    (once,) = pipe.decode(codes[None], torch.tensor([len(codes)]), smoothing=smoothing)
    np.testing.assert_allclose(rows, once, atol=1e-6)
    joints = np.concatenate([clip.joints for clip in pipe.stream(SCENES, seed=4, raw=True)])
    np.testing.assert_allclose(joints, HUMANML3D.recover(once.astype(np.float64)), atol=1e-5)


def test_a_scene_begins_where_the_one_before_ended(pipe: MotionPipeline) -> None:
    clips = list(stream(pipe, SCENES, seed=1))
    assert [clip.caption for clip in clips][-1] == "a man turns"
    assert all(clip.joints.shape[1:] == (22, 3) for clip in clips)
    steps = [np.abs(after.joints[0] - before.joints[-1]).max() for before, after in itertools.pairwise(clips)]
    usual = np.concatenate([np.abs(np.diff(clip.joints, axis=0)).max((1, 2)) for clip in clips])
    assert max(steps) <= usual.max() * 1.5


def test_what_was_given_out_does_not_depend_on_what_follows(pipe: MotionPipeline) -> None:
    first = list(itertools.islice(stream(pipe, SCENES, seed=2), 2))
    other = list(itertools.islice(stream(pipe, [*SCENES[:2], Scene("a man kicks", 400)], seed=2), 2))
    for one, two in zip(first, other, strict=True):
        np.testing.assert_allclose(one.joints, two.joints, atol=1e-6)


def test_scenes_are_asked_for_one_by_one_and_the_past_is_forgotten(pipe: MotionPipeline) -> None:
    asked = []

    def endless() -> object:
        for number in itertools.count():
            asked.append(number)
            yield Scene("a man walks", 40)

    sizes = []
    for clip in itertools.islice(stream(pipe, endless(), seed=0), 30):  # type: ignore[arg-type]
        sizes.append(clip.frames)
    assert len(asked) <= 30 + 5
    assert max(sizes) <= 200
    longest = []
    decode = pipe.decode
    held = {"decode": decode}
    try:
        pipe.decode = lambda codes, *a, **k: longest.append(codes.shape[1]) or held["decode"](codes, *a, **k)  # type: ignore[method-assign]
        list(itertools.islice(stream(pipe, endless(), seed=0), 30))  # type: ignore[arg-type]
    finally:
        del pipe.decode
    assert max(longest) <= 2 * decoder_reach(pipe.tokenizer.config) + pipe.generation.max_steps


def test_joins_are_measured() -> None:
    rng = np.random.default_rng(0)
    path = np.cumsum(np.cumsum(rng.normal(0, 1e-3, (400, 22, 3)), axis=0), axis=0)
    smooth = [path[:150], path[150:300], path[300:]]
    assert join_jump_ratio(smooth) == pytest.approx(1, abs=0.2)
    jumping = [path[:150], path[150:300] + 0.5, path[300:] - 0.5]
    assert join_jump_ratio(jumping) > 3
    with pytest.raises(ConfigError, match="at least 2"):
        join_jump_ratio([path])


def test_what_cannot_be_is_named(pipe: MotionPipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="3 frames, expected at least 4"):
        list(stream(pipe, [Scene("a man walks", 3)]))
    with pytest.raises(ConfigError, match="empty prompt"):
        list(stream(pipe, [Scene(" ", 30)]))
    with pytest.raises(ConfigError, match="blend of 16"):
        LongConfig(16, 16)
    with pytest.raises(ConfigError, match="less than the 49"):
        list(stream(pipe, SCENES, config=LongConfig(60, 2)))
    other, sizes = pipe.clone(), pipe.base.config
    shared = {name: getattr(sizes, name) for name in ("code_dim", "width", "text_dim")}
    other.base = BAMM(BAMMConfig(num_codes=CODES, num_layers=1, num_heads=2, **shared))
    with pytest.raises(ConfigError, match="needs a masked or a causal generator"):
        list(stream(other, SCENES))
    assert main(["stream", "a man walks", "--out", str(tmp_path / "a.xyz")]) == 2
    assert "unknown motion format" in capsys.readouterr().err
    assert main(["stream", "a man walks#0", "--out", str(tmp_path / "a.npy")]) == 2


def test_the_bench(pipe: MotionPipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, ledger = pipe.save_pretrained(tmp_path / "pipe"), tmp_path / "numbers.jsonl"
    line = f"long --minutes 0.5 --frames 24 --pipeline {folder} --threads 1 --record {ledger}"
    assert lab_main(line.split()) == 0
    assert "600 frames, 25 scenes" in capsys.readouterr().out
    recorded = ledger.read_text(encoding="utf-8")
    assert '"long.join_jump_ratio"' in recorded
    assert '"long.floor_drift_mm"' in recorded
    assert lab_main(f"long --minutes 0.1 --pipeline {folder}".split()) == 2


def test_the_command_writes_one_motion(pipe: MotionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = pipe.save_pretrained(tmp_path / "pipe"), tmp_path / "long.npy"
    line = ["stream", "a man walks#60", "a man sits", "--frames", "40", "--repeat", "2", "--pipeline", str(folder)]
    assert main([*line, "--out", str(out)]) == 0
    assert np.load(out).shape == (200, 22, 3)
    assert main([*line, "--out", str(tmp_path / "long.html")]) == 0
    page = (tmp_path / "long.html").read_text(encoding="utf-8")
    assert "4 captions, one motion" in page
    assert '"scenes":[[0,"a man walks"],[60,"a man sits"],[100,"a man walks"],[160,"a man sits"]]' in page
    real = exuvia.pipeline.stream.stream

    def interrupted(*args: object, **more: object) -> object:
        yield from itertools.islice(real(*args, **more), 2)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(exuvia.pipeline.stream, "stream", interrupted)
    assert main([*line, "--out", str(tmp_path / "cut.npy")]) == 0
    assert 0 < len(np.load(tmp_path / "cut.npy")) < 200
