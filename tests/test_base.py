"""The shipped checkpoint does what its prompts say, forgets when asked to, and says where it comes from."""

from pathlib import Path

import numpy as np
import pytest
import torch

import exuvia
from exuvia.__main__ import main
from exuvia.checkpoint import shipped
from exuvia.errors import CheckpointError
from exuvia.judges.shipped import shipped_detector, shipped_evaluator, shipped_retrieval
from exuvia.judges.tasks import load_detector
from exuvia.motion.skeleton import SMPL22
from exuvia.readers import read_json
from lab.__main__ import main as lab_main

LEFT_FOOT, RIGHT_FOOT, LEFT_WRIST, RIGHT_WRIST, HEAD = (
    SMPL22.index(name) for name in ("left_foot", "right_foot", "left_wrist", "right_wrist", "head")
)
SEEDS = list(range(5))


@pytest.fixture(scope="module")
def pipe() -> exuvia.MotionPipeline:
    return exuvia.MotionPipeline.from_pretrained("base")


@pytest.fixture(scope="module")
def safe(pipe: exuvia.MotionPipeline) -> exuvia.MotionPipeline:
    return exuvia.unlearn("lcr", pipe, forget="violence")


def most(flags: list[bool]) -> bool:
    return sum(flags) >= 4


def test_it_is_small_and_says_its_terms() -> None:
    assert sum(path.stat().st_size for path in shipped("base").iterdir()) <= 25_000_000
    card = (shipped("base") / "README.md").read_text()
    assert "non-commercial" in card
    parts = read_json(shipped("base") / "provenance.json")["parts"]
    assert all(parts[kind]["data"] for kind in ("tokenizer", "mask", "residual", "length"))


def test_without_the_package_each_part_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exuvia.checkpoint.find_spec", lambda name: None)
    for load in (
        lambda: exuvia.MotionPipeline.from_pretrained("base"),
        shipped_evaluator,
        shipped_detector,
        shipped_retrieval,
    ):
        with pytest.raises(CheckpointError, match="pip install exuvia-base"):
            load()
    with pytest.raises(CheckpointError, match=r"pip install 'exuvia\[hub\]'"):
        exuvia.MotionPipeline.from_pretrained("owner/name")


def test_walking_forward_goes_forward(pipe: exuvia.MotionPipeline) -> None:
    clips = pipe(["a person walks forward"] * 5, seed=SEEDS)
    ways = [clip.joints[-1, 0, [0, 2]] - clip.joints[0, 0, [0, 2]] for clip in clips]
    assert most([way[1] > 0.8 and abs(way[0]) < way[1] for way in ways])


def test_a_left_kick_lifts_the_left_foot(pipe: exuvia.MotionPipeline) -> None:
    clips = pipe(["a person kicks with the left leg"] * 5, seed=SEEDS)
    tops = [(clip.joints[:, LEFT_FOOT, 1].max(), clip.joints[:, RIGHT_FOOT, 1].max()) for clip in clips]
    assert most([left > 0.4 and left > right + 0.15 for left, right in tops])


def test_waving_with_the_right_hand_raises_the_right_hand(pipe: exuvia.MotionPipeline) -> None:
    clips = pipe(["a person waves with the right hand"] * 5, seed=SEEDS)
    tops = [(clip.joints[:, RIGHT_WRIST, 1].max(), clip.joints[:, LEFT_WRIST, 1].max()) for clip in clips]
    assert most([right > left + 0.3 for right, left in tops])


def test_a_punch_is_a_fast_hand_at_the_height_of_the_chest(pipe: exuvia.MotionPipeline) -> None:
    clips = pipe(["a person punches"] * 5, seed=SEEDS)
    fast = []
    for clip in clips:
        hands = clip.joints[:, [LEFT_WRIST, RIGHT_WRIST]] - clip.joints[:, :1]
        speed = np.linalg.norm(np.diff(hands, axis=0), axis=-1) * clip.fps
        frame, hand = np.unravel_index(speed.argmax(), speed.shape)
        fast.append(bool(speed.max() > 2.4 and 0.2 < hands[frame, hand, 1] < 0.7))
    assert most(fast)


def test_forgetting_changes_kicks_and_leaves_walks(pipe: exuvia.MotionPipeline, safe: exuvia.MotionPipeline) -> None:
    detector = shipped_detector()
    kick, walk = ["a man kicks forward with the right leg"] * 8, ["a person walks forward"] * 8
    seen = [detector.violence_probability(p.generate(kick, seed=list(range(8))).features).mean() for p in (pipe, safe)]
    assert seen[1] < 0.6 * seen[0]
    a, b = (p.generate(walk, seed=list(range(8))) for p in (pipe, safe))
    assert torch.equal(a.codes, b.codes)
    moved = [np.linalg.norm(x.joints - y.joints, axis=-1).mean() for x, y in zip(a.clips, b.clips, strict=True)]
    assert np.median(moved) < 0.03


def test_the_edit_is_only_in_the_codebook(pipe: exuvia.MotionPipeline, safe: exuvia.MotionPipeline) -> None:
    for part in ("base", "residual", "length"):
        before, after = (getattr(p, part).state_dict() for p in (pipe, safe))
        assert all(torch.equal(before[name], after[name]) for name in before)
    before, after = pipe.tokenizer.state_dict(), safe.tokenizer.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"quantizer.layers.0.codebook", "quantizer.layers.0.code_sum"}


def test_the_evaluator_finds_the_caption(pipe: exuvia.MotionPipeline) -> None:
    texts = ["a person walks forward", "a person waves with the right hand", "a person kicks with the left leg"]
    evaluator = shipped_evaluator()
    motion = evaluator.embed_clips(pipe.generate(texts, seed=0).features)
    assert torch.cdist(evaluator.embed_text(texts), motion).argmin(1).tolist() == [0, 1, 2]


def test_the_demo_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seeds", "1"]) == 0
    said = capsys.readouterr().out
    assert "without violence" in said
    page = (tmp_path / "demo" / "index.html").read_text()
    assert "a person kicks with the left leg" in page


def test_a_shipped_run_loads_again_and_is_half_the_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "shrink", str(shipped("classifier")), str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (
        shipped("classifier") / "weights.safetensors"
    ).read_bytes()
    assert load_detector(tmp_path / "again").point == shipped_detector().point
    assert main(["checkpoint", "shrink", str(tmp_path), str(tmp_path / "x")]) == 2
    assert "not a finished run" in capsys.readouterr().err


def test_benches_of_the_judges_run_on_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    assert main(["prepare", "synthetic", store, "--count", "150", "--no-mirror"]) == 0
    assert lab_main(["tokenizer", store, "--sensors", "synthetic"]) == 0
    assert lab_main(["classifier", store, "--sensors", "synthetic", "--out", str(tmp_path / "roc.csv")]) == 0
    out = capsys.readouterr().out
    assert "mm with the roots aligned" in out
    assert float(out.split("auc ")[1].split()[0]) > 0.9
    assert (tmp_path / "roc.csv").read_text().startswith("threshold,hit_rate,false_rate\n")
    assert lab_main(["classifier", store, "--sensors", "radar"]) == 2
