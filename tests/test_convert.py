"""`exuvia convert`: every format that is read to every one that is written, folders, and what cannot be converted."""

import json
from pathlib import Path

import numpy as np
import pytest

from exuvia.__main__ import main
from exuvia.features.humanml3d import HUMANML3D
from exuvia.motion.bvh import parse_bvh, pose
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from lab.__main__ import main as lab_main
from made_mocap import body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mocap"
    (root / "day1").mkdir(parents=True)
    Clip(body(30, 0)).save(root / "walk.bvh")
    Clip(body(44, 1)).save(root / "day1" / "walk.npy")
    (root / "notes.md").write_text("not a motion")
    return root


def test_a_file_keeps_its_rate_and_its_joints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = Clip(body(60, 2), fps=30.0)
    clip.save(tmp_path / "a.bvh")
    assert main(f"convert {tmp_path}/a.bvh {tmp_path}/out/b.bvh".split()) == 0
    first, second = (load_clip(tmp_path / name, None) for name in ("a.bvh", "out/b.bvh"))
    assert second.fps == pytest.approx(30.0)
    np.testing.assert_allclose(second.joints, first.joints, atol=0.002)
    assert main(f"convert {tmp_path}/a.bvh {tmp_path}/b.npy --fps 15".split()) == 0
    assert np.load(tmp_path / "b.npy").shape == (30, 22, 3)
    capsys.readouterr()
    assert main(f"convert {tmp_path}/a.bvh {tmp_path}/c.glb --foot-lock".split()) == 0
    assert "cm/s (before:" in capsys.readouterr().out


def test_archives_hold_joints_rate_and_features(tmp_path: Path) -> None:
    clip = Clip(body(60, 4), fps=30.0, caption="a person walks")
    clip.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["joints"], clip.joints)
        wanted = HUMANML3D.encode([clip.resampled(20.0).joints])[0]
        np.testing.assert_array_equal(found["features"], wanted)
        assert found["caption"] == "a person walks"
    again = load_clip(tmp_path / "a.npz", None)
    assert again.fps == 30.0
    np.testing.assert_allclose(again.joints, clip.joints, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_keeps_its_names(folder: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "out"
    assert main(f"convert {folder} {out} --to glb --workers {workers}".split()) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == ["day1/walk.glb", "walk.glb"]


def test_two_sources_of_one_name_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    Clip(body(30, 3)).save(folder / "walk.npy")
    assert main(f"convert {folder} {tmp_path}/out --to .npy".split()) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npy")) == ["walk_bvh.npy", "walk_npy.npy"]


def test_a_bad_file_is_named_and_the_others_are_converted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.bvh").write_text("HIERARCHY\nROOT")
    assert main(f"convert {folder} {tmp_path}/out --to npy".split()) == 2
    told = capsys.readouterr()
    assert "broken.bvh" in told.err
    assert "1 of 3 files could not be converted" in told.err
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.npy")) == ["walk.npy", "walk.npy"]


def test_nothing_is_lost(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "walk.npy"
    target.write_text("mine")
    assert main(f"convert {folder}/walk.bvh {target}".split()) == 2
    assert target.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err
    assert main(f"convert {folder}/walk.bvh {target} --overwrite".split()) == 0
    assert np.load(target).shape == (30, 22, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{0}/nothing.bvh {1}/a.npy", "does not exist"),
        ("{0}/walk.bvh {1}/a.gltf", "did you mean '.glb'"),
        ("{0} {1}/out", "with --to"),
        ("{0} {1}/out --to fbx", "unknown motion format '.fbx'"),
        ("{1} {1}/out --to npy", "holds no motion file"),
        ("{0}/notes.md {1}/a.npy", "unknown motion format '.md'"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    folder: Path, tmp_path: Path, words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["convert", *words.format(folder, empty).split()]) == 2
    assert told in capsys.readouterr().err
    assert not list(empty.rglob("*.*"))


def test_the_bench_measures_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab_main(f"formats --clips 2 --record {tmp_path}/numbers.jsonl".split()) == 0
    out = capsys.readouterr().out
    assert "bvh.roundtrip_mm" in out
    assert "feet.skate.after" in (tmp_path / "numbers.jsonl").read_text(encoding="utf-8")


def test_a_folder_becomes_one_file_with_an_animation_for_each_motion(folder: Path, tmp_path: Path) -> None:
    assert main(f"convert {folder} {tmp_path}/all.glb --rig mixamo --in-place".split()) == 0
    content = (tmp_path / "all.glb").read_bytes()
    about = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert [animation["extras"] for animation in about["animations"]] == [{"file": "walk.npy"}, {"file": "walk.bvh"}]
    assert [animation["name"] for animation in about["animations"]] == ["walk", "walk"]
    assert "mixamorig:LeftUpLeg" in {node["name"] for node in about["nodes"]}
    assert main(f"convert {folder} {tmp_path}/all.glb".split()) == 2, "the file exists"


def test_switches_of_the_written_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = folder / "walk.bvh"
    line = f"convert {source} {tmp_path}/a.bvh --rig unreal --unit cm --loop --in-place --no-origin"
    assert main(line.split()) == 0
    text = (tmp_path / "a.bvh").read_text()
    assert "ROOT root" in text
    assert "# exuvia" not in text
    bvh = parse_bvh(text)
    joints = pose(bvh)
    pelvis = joints[:, bvh.names.index("pelvis")]
    assert 60 < pelvis[:, 1].mean() < 120, "centimetres"
    np.testing.assert_allclose(pelvis[:, [0, 2]], 0, atol=1e-3)
    capsys.readouterr()
    for switches, name in (("--rig unity", "a.npy"), ("--unit cm", "a.glb"), ("--root-bone", "a.png")):
        assert main(f"convert {source} {tmp_path}/{name} {switches} --overwrite".split()) == 2
        assert switches.split()[0] in capsys.readouterr().err
        assert not (tmp_path / name).exists()
