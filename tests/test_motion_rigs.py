"""Rigs of any tool: joints are found by names and geometry, unit and axis by the body, doubts are said."""

import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.__main__ import main
from exuvia.errors import DataError
from exuvia.motion.clip import Clip
from exuvia.motion.load import explain, load_clip
from exuvia.motion.rigs import bare_names, canonical, parse_name
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source
from lab.made_rigs import RIGS, Names, bvh_of


def read(folder: Path, text: str, **facts: object) -> Clip:
    path = folder / "a.bvh"
    path.write_text(text)
    return load_clip(path, None, source=Source(**facts))  # type: ignore[arg-type]


def error_mm(clip: Clip, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest distance of each joint from the truth after start and heading are aligned, in millimetres."""
    names = list(truth)
    theirs = np.stack([truth[name] for name in names], 1)
    ours = clip.joints[:, [SMPL22.index(name) for name in names]].astype(float)
    theirs, ours = theirs - theirs[:1, :1], ours - ours[:1, :1]
    flat = [points[..., 0] + 1j * points[..., 2] for points in (ours, theirs)]
    turn = (flat[1] * flat[0].conj()).sum()
    level = flat[0] * turn / abs(turn) - flat[1]
    off = 1000 * np.hypot(abs(level), ours[..., 1] - theirs[..., 1]).max(0)
    return dict(zip(names, off, strict=True))


@pytest.mark.parametrize("name", RIGS)
def test_rigs_of_many_tools_meet_their_true_joints(name: str, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS[name], unit_m=0.01)
    clip = read(tmp_path, text)
    if len(RIGS[name].spine) == 1:
        del truth["spine1"]  # one joint of the spine may be any of the three
    off = error_mm(clip, truth)
    assert max(off.values()) < 0.1, off
    assert not clip.meta["doubts"]
    assert (clip.meta["up"], clip.meta["unit_m"]) == ("y", 0.01)


@pytest.mark.parametrize("name", ["mixamo", "unreal5", "rigify", "unity", "biped"])
def test_blender_files_stand_up(name: str, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS[name], z_up=True, walk_m=1.0)
    clip = read(tmp_path, text)
    assert max(error_mm(clip, truth).values()) < 0.1
    assert clip.meta["up"] == "z"


WORDS = st.text(string.ascii_letters, min_size=2, max_size=9)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(set(RIGS) - {"mixamo"})), before=WORDS, join=st.sampled_from(["_", ":", " ", "-", "."]),
    after=st.sampled_from(["", "_jnt", "_JNT", ".bone", "_01"]),
)  # fmt: skip
def test_names_may_share_a_beginning_and_an_end(
    name: str, before: str, join: str, after: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text, truth = bvh_of(RIGS[name].renamed(before + join, after), unit_m=0.01)
    if len(RIGS[name].spine) == 1:
        del truth["spine1"]
    assert max(error_mm(read(tmp_path_factory.mktemp("rig"), text), truth).values()) < 0.1


@pytest.mark.parametrize("before", ["Actor1", "ABC", "abc", "Rig|", "take_03:", "Hips_"])
def test_a_beginning_may_touch_the_name(before: str, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS["lafan1"].renamed(before))
    assert max(error_mm(read(tmp_path, text), truth).values()) < 0.1


_SIDES = [("Left", "Right"), ("L", "R"), ("l", "r"), ("left", "right"), ("LEFT", "RIGHT")]
_FORMS = ["{}_WORD", "WORD_{}", "WORD.{}", "{} WORD", "bone_{}_WORD", "WORD.{}.001", "{}.WORD"]
_WORDS = [
    "Thigh Shin Foot Toe Clavicle UpperArm Forearm Hand",
    "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand",
    "Hip Knee Ankle Foot Collar Shoulder Elbow Wrist",
    "upper_leg lower_leg foot toes shoulder upper_arm lower_arm hand",
]


@settings(max_examples=60, deadline=None)
@given(sides=st.sampled_from(_SIDES), form=st.sampled_from(_FORMS), words=st.sampled_from(_WORDS),
       spines=st.integers(1, 6), necks=st.integers(0, 2), toes=st.booleans(), collars=st.booleans())  # fmt: skip
def test_sides_stand_anywhere_and_joints_may_be_missing(
    sides: tuple[str, str], form: str, words: str, spines: int, necks: int, toes: bool, collars: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    limbs = [form.replace("WORD", word) for word in words.split()]
    limbs = [name if (k != 3 or toes) and (k != 4 or collars) else "" for k, name in enumerate(limbs)]
    rig = Names("Hips", tuple(f"Spine{k or ''}" for k in range(spines)), tuple(f"Neck{k or ''}" for k in range(necks)),
                "Head", tuple(limbs), sides)  # fmt: skip
    text, truth = bvh_of(rig)
    if spines == 1:
        del truth["spine1"]  # one joint of the spine may be any of the three
    clip = read(tmp_path_factory.mktemp("rig"), text)
    assert max(error_mm(clip, truth).values()) < 0.1
    at = {joint: clip.joints[:, k] for k, joint in enumerate(SMPL22.joints)}
    assert (at["spine3"][:, 1] < at["neck"][:, 1]).all()
    assert (at["neck"][:, 1] < at["head"][:, 1]).all()
    for side in ("left", "right"):
        foot = np.linalg.norm(at[f"{side}_foot"] - at[f"{side}_ankle"], axis=-1)
        assert ((foot > 0.08) & (foot < 0.3)).all()


def test_a_foot_without_toes_or_an_end_points_forward(tmp_path: Path) -> None:
    clip = read(tmp_path, bvh_of(RIGS["slimevr"], ends=False)[0])
    ahead = clip.joints[:, [10, 11], 2] - clip.joints[:, [7, 8], 2]
    assert (ahead > 0.05).all()
    assert "left_foot" not in clip.meta["joints"]


def test_a_thorax_named_neck_is_the_upper_spine(tmp_path: Path) -> None:
    """CMU's conversions: both arms begin at the joint named Neck, and Neck1 is the neck."""
    text, _ = bvh_of(RIGS["beat"])
    shoulders = text.replace("OFFSET 0.040000 0.100000 0.000000", "OFFSET 0.000000 0.160000 -0.010000")
    shoulders = shoulders.replace("OFFSET -0.040000 0.100000 0.000000", "OFFSET 0.000000 0.160000 -0.010000")
    assert shoulders != text
    joints = {name: read(tmp_path, form).meta["joints"] for name, form in (("beat", text), ("cmu", shoulders))}
    assert [joints["beat"][j] for j in ("spine3", "neck", "head")] == ["Spine3", "Neck", "Head"]
    assert [joints["cmu"][j] for j in ("spine3", "neck", "head")] == ["Neck", "Neck1", "Head_end"]


def test_thighs_that_hang_from_the_spine_keep_the_pelvis(tmp_path: Path) -> None:
    """3ds Max Biped links its thighs to the first joint of the spine."""
    text, truth = bvh_of(replace(RIGS["biped"], legs_at="s0"))
    clip = read(tmp_path, text)
    assert clip.meta["joints"]["pelvis"] == "Bip01 Pelvis"
    assert max(error_mm(clip, truth).values()) < 0.1


def test_a_pelvis_below_the_thighs_is_lifted(tmp_path: Path) -> None:
    """The hip of Daz lies below the thigh joints; SMPL's pelvis lies above them."""
    text, _ = bvh_of(RIGS["bandai"])
    low = text.replace("OFFSET 0.090000 -0.060000", "OFFSET 0.090000 0.026000")
    low = low.replace("OFFSET -0.090000 -0.060000", "OFFSET -0.090000 0.026000")
    clip = read(tmp_path, low)
    above = clip.joints[:, 0, 1] - clip.joints[:, 1:3, 1].mean(1)
    assert ((above > 0.03) & (above < 0.12)).all()


# --- unit and upward axis


UNITS = {1.0: "m", 0.01: "cm", 0.001: "mm", 0.0254: "inch", 0.1: "dm"}


@pytest.mark.parametrize("unit_m", UNITS, ids=UNITS.get)
@pytest.mark.parametrize("height_m", [0.9, 1.1, 1.35, 1.7, 2.1])
@pytest.mark.parametrize("z_up", [False, True])
def test_units_and_axes_of_bodies_of_all_sizes(unit_m: float, height_m: float, z_up: bool, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS["lafan1"], unit_m=unit_m, size=height_m / 1.72, z_up=z_up)
    clip = read(tmp_path, text)
    assert (clip.meta["up"], clip.meta["unit_m"]) == ("z" if z_up else "y", unit_m)
    assert max(error_mm(clip, truth).values()) < 1
    assert not clip.meta["doubts"]


def test_a_doubtful_unit_is_said_and_names_the_switch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "giant.bvh").write_text(bvh_of(RIGS["lafan1"], size=1.7)[0])
    assert main(f"convert {tmp_path}/giant.bvh {tmp_path}/a.npy".split()) == 0
    assert "read as metres; if not, give --source-unit-m" in caplog.text
    caplog.clear()
    assert main(f"convert {tmp_path}/giant.bvh {tmp_path}/b.npy --source-unit-m 1".split()) == 0
    assert not caplog.text
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_prepare_and_import_take_the_same_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "feet.bvh").write_text(bvh_of(RIGS["lafan1"], unit_m=0.3048, frames=40)[0])
    for command in ("prepare {0}/feet.bvh {0}/store", "import motion {0}/feet.bvh --out {0}/b.npy"):
        words = command.format(tmp_path).split()
        assert main(words) == 2
        told = capsys.readouterr()
        assert "--source-unit-m" in told.err
        assert "Source(" not in told.err
        assert main([*words, "--source-unit-m", "0.3048"]) == 0
    joints, legs = np.load(tmp_path / "b.npy"), [[4, 1], [7, 4]]
    assert sum(np.linalg.norm(joints[0, a] - joints[0, b]) for a, b in legs) == pytest.approx(0.80, abs=0.02)


def test_who_lies_the_whole_time_is_not_stood_up(tmp_path: Path) -> None:
    text, _ = bvh_of(RIGS["lafan1"], z_up=True)
    clip = read(tmp_path, text)
    lying = clip.joints[..., [0, 2, 1]] * np.float32([-1, 1, 1])
    lying = lying - [0, lying[..., 1].min(), -2.0]  # on the floor, the head towards +z, away from the origin
    np.save(tmp_path / "lying.npy", lying)
    still = load_clip(tmp_path / "lying.npy")
    assert still.meta["up"] == "y"
    assert "stands along z" in still.meta["doubts"][0]
    assert load_clip(tmp_path / "lying.npy", source=Source(up="z")).meta["up"] == "z"


def test_a_crawl_keeps_its_axis_without_a_doubt(tmp_path: Path) -> None:
    joints = np.repeat(read(tmp_path, bvh_of(RIGS["lafan1"])[0]).joints[:1], 12, 0)
    trunk = [0, 3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    bent = joints[:, trunk] - joints[:, :1]
    joints[:, trunk] = joints[:, :1] + bent[..., [0, 2, 1]] * np.float32(
        [1, -1, 1]
    )  # the trunk is level, thighs upright
    np.save(tmp_path / "crawl.npy", joints)
    clip = load_clip(tmp_path / "crawl.npy")
    assert (clip.meta["up"], clip.meta["doubts"]) == ("y", [])


# --- own names and explanations


def test_a_file_of_names_serves_any_rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {name: f"b{k}" for k, name in enumerate(SMPL22.joints)}
    plain = RIGS["mixamo"]
    text, truth = bvh_of(replace(plain, extra=()), unit_m=0.01)
    known = read(tmp_path, text).meta["joints"]
    for joint, name in sorted(known.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(f" {name}\n", f" {odd[joint]}\n")
    (tmp_path / "odd.bvh").write_text(text)
    assert main(f"convert {tmp_path}/odd.bvh {tmp_path}/a.npy".split()) == 2
    assert "--names" in capsys.readouterr().err
    table = tmp_path / "names.toml"
    table.write_text("".join(f'{joint} = "{name}"\n' for joint, name in odd.items()))
    assert main(f"convert {tmp_path}/odd.bvh {tmp_path}/a.npy --names {table}".split()) == 0
    assert max(error_mm(load_clip(tmp_path / "a.npy"), truth).values()) < 0.1
    for wrong, message in (
        ('tail = "b0"', "says tail"),
        ('pelvis = "b77"', "'b77'"),
        ('pelvis = "b0"', "no line for left_hip"),
    ):
        table.write_text(wrong)
        with pytest.raises(DataError, match=message):
            load_clip(tmp_path / "odd.bvh", source=Source(names=table))


def test_explain_says_what_was_taken_for_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.bvh").write_text(bvh_of(RIGS["neuron"], unit_m=0.01, z_up=True)[0])
    assert main(["convert", "--explain", str(tmp_path / "a.bvh")]) == 0
    told = capsys.readouterr().out
    for part in ("12 frames at 20 a second", "centimetres", "up        z", "LeftFoot_end", "no doubt"):
        assert part in told
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]
    np.save(tmp_path / "b.npy", load_clip(tmp_path / "a.bvh").joints)
    assert "(assumed)" in explain(load_clip(tmp_path / "b.npy"))
    assert main(["convert", str(tmp_path / "a.bvh")]) == 2
    assert "no TARGET" in capsys.readouterr().err


# --- names


def test_names_are_read_as_side_and_word() -> None:
    for name in ("LeftUpLeg", "left_up_leg", "UpLeg_L", "l.UpLeg", "lUpLeg", "LUpLeg", "L UpLeg.001", "upleg_left"):
        assert parse_name(name) == ("left", "upleg")
    assert parse_name("rshin") == ("right", "shin")
    assert parse_name("LeftHandThumb1") == ("", "lefthandthumb")
    assert parse_name("Collar") == ("", "collar")
    for name in ("mixamorig:LeftUpLeg", "mixamorig1_LeftUpLeg", "Left_Up_Leg", "Character1_LeftUpLeg", "left up leg"):
        assert canonical(name) == "leftupleg"
    assert bare_names(["Robot_Hips", "Robot_Spine", "Robot_Head"]) == ["Hips", "Spine", "Head"]


def test_an_unknown_rig_is_refused_with_its_missing_joints(tmp_path: Path) -> None:
    text, _ = bvh_of(RIGS["unity"])
    with pytest.raises(DataError, match="right_elbow"):
        read(tmp_path, text.replace("RightLowerArm", "Tentacle"))
    with pytest.raises(DataError, match="left_hip"):
        read(tmp_path, text.replace("Left", "Bone").replace("Right", "Stick"))
