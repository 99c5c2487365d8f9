"""FBX in: rigs of several tools, unit and axis stated rightly or wrongly, missing parts, damaged files, no reader."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from damage import value_or_sentence
from exuvia.__main__ import main
from exuvia.data.motion_files import MotionFiles
from exuvia.errors import ConfigError, DataError
from exuvia.motion.load import load_clip
from exuvia.motion.source import Source
from lab.made_rigs import RIGS, bvh_of, fbx_of
from test_motion_rigs import error_mm

needs_ufbx = pytest.mark.skipif(importlib.util.find_spec("ufbx") is None, reason="ufbx is not installed")
TEXT, TRUTH = bvh_of(RIGS["mixamo"], unit_m=0.01, walk_m=0.5)


@needs_ufbx
@pytest.mark.parametrize(
    ("name", "z_up", "facts"),
    [
        ("mixamo", False, {}),
        ("mixamo", True, {"scale": 100.0}),
        ("unreal5", True, {}),
        ("unreal5", False, {"scale": 100.0}),
        ("rigify", False, {"stretch": (1.3, 0.8, 1.1)}),
        ("unity", True, {"takes": ("Take 001", "mixamo.com"), "span": False, "bone": "Null"}),
    ],
)
def test_rigs_meet_their_true_joints(name: str, z_up: bool, facts: dict[str, object], tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS[name], unit_m=0.01, z_up=z_up, walk_m=0.5)
    (tmp_path / "a.fbx").write_text(fbx_of(text, up=1 + z_up, **facts))  # type: ignore[arg-type]
    clip = load_clip(tmp_path / "a.fbx", None)
    assert (clip.frames, clip.fps, clip.meta["up"], clip.meta["doubts"]) == (12, 20.0, "z" if z_up else "y", [])
    assert (clip.meta["unit_m"], clip.meta["format"], clip.meta["file"]) == (0.01, "fbx", "a.fbx")
    assert max(error_mm(clip, truth).values()) < 0.1


@needs_ufbx
def test_a_unit_and_an_axis_that_no_body_has_are_not_taken(tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS["mixamo"], unit_m=0.01, z_up=True)
    (tmp_path / "a.fbx").write_text(fbx_of(text, up=1, stated_cm=100.0))
    clip = load_clip(tmp_path / "a.fbx", None)
    assert max(error_mm(clip, truth).values()) < 0.1
    assert (clip.meta["unit_m"], clip.meta["up"]) == (0.01, "z")
    assert "found legs of 80.1 m in the unit of the file" in clip.meta["doubts"][0]
    big = load_clip(tmp_path / "a.fbx", None, source=Source(unit_m=1.0, up="y", fps=40.0))
    assert (big.frames, big.fps, big.meta["leg_m"], big.meta["doubts"]) == (23, 40.0, pytest.approx(80, abs=1), [])


@needs_ufbx
def test_files_without_motion_or_body_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = tmp_path / "a.fbx", fbx_of(TEXT)
    for content, message in (
        (fbx_of(TEXT, takes=()), "no animation"),
        (text.replace("mixamorig:", "x").replace("Leg", "Wing"), "Wing"),
        (text.replace('"CustomFrameRate", "", "A",20', '"CustomFrameRate", "", "A",1000000000'), "frames of 34 joints"),
        (text.replace('"CustomFrameRate", "", "A",20', '"CustomFrameRate", "", "A",0'), "1 frame"),
        ("", "Empty file"),
        ("Kaydara", "not a readable FBX file"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            load_clip(path)
    path.write_text(text)
    with pytest.raises(DataError, match="found 12 frames of 34 joints, expected at most 5"):
        load_clip(path, max_frames=5)
    monkeypatch.setattr("exuvia.motion.source.MAX_TEXT_BYTES", 1000)
    with pytest.raises(DataError, match="expected at most 1 GiB"):
        load_clip(path)


@needs_ufbx
@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_give_a_clip_or_an_exuvia_error(seed: int, tmp_path: Path) -> None:
    rng, data = np.random.default_rng(seed), bytearray(fbx_of(TEXT).encode())
    if seed % 2:
        data = data[: rng.integers(len(data))]
    for _ in range(3):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    (tmp_path / "a.fbx").write_bytes(data)
    value_or_sentence(lambda: load_clip(tmp_path / "a.fbx"))


@needs_ufbx
def test_folders_are_searched_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "walk.FBX").write_text(fbx_of(TEXT))
    assert main(f"convert {tmp_path}/in {tmp_path}/out --to bvh".split()) == 0
    assert max(error_mm(load_clip(tmp_path / "out" / "walk.bvh", None), TRUTH).values()) < 20
    assert MotionFiles(tmp_path / "in", 20.0).read(0).joints.shape == (12, 22, 3)
    assert main(f"import motion {tmp_path}/in/walk.FBX --out {tmp_path}/walk.npy".split()) == 0
    assert np.load(tmp_path / "walk.npy").shape == (12, 22, 3)


def test_without_ufbx_a_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.fbx").write_text(fbx_of(TEXT))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "exuvia\[fbx\]"; or open it in Blender'):
        load_clip(tmp_path / "a.fbx")


def test_a_reader_that_ends_its_process_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.fbx").write_text(fbx_of(TEXT))
    (tmp_path / "ufbx").mkdir()
    (tmp_path / "ufbx" / "__init__.py").write_text("import os\nos.abort()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    with pytest.raises(DataError, match="ufbx ended with code"):
        load_clip(tmp_path / "a.fbx")
