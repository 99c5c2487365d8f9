"""Motion files that earlier versions misread: each is read as its author means it, or refused in one sentence."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from exuvia.__main__ import main
from exuvia.data.prepare import prepare
from exuvia.motion.load import load_clip
from exuvia.motion.skeleton import SMPL22
from test_motion_rigs import error_mm


@pytest.fixture(scope="module")
def cases() -> Path:
    data = os.environ.get("EXUVIA_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(data).parent / "cases" / "motion"
    if not folder.is_dir():
        pytest.skip(f"the shared cases are not there ({folder})")
    return folder


def only(cases: Path, name: str) -> Path:
    return next(path for path in (cases / name).iterdir() if path.suffix in (".bvh", ".npy", ".npz"))


@pytest.mark.parametrize("name", ["mixamo_A_cm", "rigify_A_m", "roundtrip_blender", "unity_T_m"])
def test_files_of_blender_meet_their_joints(cases: Path, name: str) -> None:
    clip = load_clip(cases / "blender" / f"{name}.bvh", None)
    truth = np.load(cases / "blender" / f"{name}.npy").astype(float)
    if abs(truth[0, 15, 2] - truth[0, 0, 2]) > 0.3:  # one of the four is in Blender's axes
        truth = truth[..., [0, 2, 1]] * [1, 1, -1]
    off = error_mm(clip, {joint: truth[:, k] for k, joint in enumerate(SMPL22.joints)})
    assert max(off.values()) < 1
    assert not clip.meta["doubts"]


_READ = (
    "bip01_spaces perception_neuron_notoe missing_neck unity_humanoid ue4_mannequin rokoko_newton xsens_mvn_fbxnames "
    "rigify maya_thighshin optitrack_skel neuron_robot_prefix beat_neck1_headend zup_bvh child_cm_leg0.45 frames_less "
    "frames_more lower_motion frametime_2 frametime_3 frames_2 ctrlz_end brace_glued a_1T223 a_T66 a_22_3_T z_fps_str "
    "z_motion"
).split()


@pytest.mark.parametrize("name", _READ)
def test_good_files_stand_in_metres(cases: Path, name: str) -> None:
    clip = load_clip(only(cases, name), None)
    up = clip.joints[:, 15, 1] - clip.joints[:, [7, 8], 1].mean(1)
    assert np.median(up) > (0.6 if "child" in name else 1.1)
    assert clip.meta["leg_m"] == pytest.approx(0.45 if "child" in name else 0.80, abs=0.01)
    assert [doubt for doubt in clip.meta["doubts"] if "frames" not in doubt] == []


def test_the_upper_spine_of_beat_is_no_neck(cases: Path) -> None:
    joints = load_clip(only(cases, "beat_neck1_headend")).meta["joints"]
    assert [joints[name] for name in ("spine1", "spine3", "neck", "head")] == ["Spine", "Spine3", "Neck", "Head"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unit_foot", r"--source-unit-m"), ("a_txt", "which is no .npy"), ("a_mdm_dict", r"np\.save\('motion\.npy'"),
        ("a_nanframe", "NaN"), ("nan_value", "NaN"), ("a_23", "22, 24"), ("one_frame", "1 frame"),
        ("glb_zero", "length 0"), ("am_gvhmr_root_orient", "--body-models"), ("am_smplx_split", "--source-fps"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_sentence_with_switches(
    cases: Path, name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("SMPL_MODELS", raising=False)
    assert main(["convert", str(only(cases, name)), str(tmp_path / "a.bvh")]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert "Source(" not in told
    assert told.count("\n") == 1


def test_a_humanml3d_folder_without_features_is_read_whole(cases: Path, tmp_path: Path) -> None:
    store = prepare(cases / "hml_joints_only", tmp_path / "store", mirror=False)
    for split in ("train", "val", "test"):
        listed = (cases / "hml_joints_only" / f"{split}.txt").read_text().split()
        known = {clip.id for clip in store.clips if clip.split == split}
        assert known == set(listed) - {clip["id"] for clip in store.manifest["skipped"]}
    assert sum(bool(clip.captions) for clip in store.clips) == len(store) - 1  # one text is empty
