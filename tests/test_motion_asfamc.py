"""ASF/AMC: axes and channel order, finding the skeleton, damaged files."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import DataError, ShapeError
from exuvia.motion.asfamc import find_asf, parse_amc, parse_asf, pose
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip

BONES = {  # name: parent, direction, length in file units
    "lhipjoint": ("root", (0.66, -0.71, 0.25), 2.5), "lfemur": ("lhipjoint", (0, -1, 0), 7.3),
    "ltibia": ("lfemur", (0, -1, 0), 7.0), "lfoot": ("ltibia", (0, -0.3, 0.95), 2.2),
    "rhipjoint": ("root", (-0.66, -0.71, 0.25), 2.5), "rfemur": ("rhipjoint", (0, -1, 0), 7.3),
    "rtibia": ("rfemur", (0, -1, 0), 7.0), "rfoot": ("rtibia", (0, -0.3, 0.95), 2.2),
    "lowerback": ("root", (0, 1, 0), 2.0), "upperback": ("lowerback", (0, 1, 0), 2.0),
    "thorax": ("upperback", (0, 1, 0), 2.0), "lowerneck": ("thorax", (0, 1, 0), 1.6),
    "head": ("lowerneck", (0, 1, 0), 3.0),
    "lclavicle": ("thorax", (0.97, 0.25, 0), 3.6), "lhumerus": ("lclavicle", (1, 0, 0), 4.9),
    "lradius": ("lhumerus", (1, 0, 0), 3.3), "rclavicle": ("thorax", (-0.97, 0.25, 0), 3.6),
    "rhumerus": ("rclavicle", (-1, 0, 0), 4.9), "rradius": ("rhumerus", (-1, 0, 0), 3.3),
}  # fmt: skip


def skeleton(axis: str = "0 0 0 XYZ", dof: str = "rx ry rz") -> str:
    bones = "".join(
        f"  begin\n id {i}\n name {name}\n direction {' '.join(map(str, direction))}\n length {length}\n axis {axis}\n"
        + (f" dof {dof}\n limits (-160.0 20.0)\n (-70 70)\n (-60 70)\n" if name == "lfemur" else "")
        + "  end\n"
        for i, (name, (_, direction, length)) in enumerate(BONES.items(), 1)
    )
    tree = "".join(f"    {parent} {name}\n" for name, (parent, _, _) in BONES.items())
    return (
        "# comment\n:version 1.10\n:name VICON\n:units\n  mass 1.0\n  length 0.45\n  angle deg\n:root\n"
        "   order TX TY TZ RX RY RZ\n   axis XYZ\n   position 0 0 0\n   orientation 0 0 0\n"
        f":bonedata\n{bones}:hierarchy\n  begin\n{tree}  end\n"
    )


def motion(root: str = "0 17 0 0 0 0", thigh: str = "0 0 0", frames: int = 4) -> str:
    head = "#!OML:ASF C:\\x.ASF\n:FULLY-SPECIFIED\n:DEGREES\n"
    return head + "".join(f"{n}\nroot {root}\nlfemur {thigh}\n" for n in range(1, frames + 1))


def _ends(axis: str, dof: str, thigh: str, root: str = "0 17 0 0 0 0") -> dict[str, np.ndarray]:
    asf = parse_asf(skeleton(axis, dof))
    points = pose(asf, parse_amc(motion(root, thigh), asf))[0]
    return {bone.name: points[i] for i, bone in enumerate(asf.bones)}


def test_first_listed_rotation_is_innermost() -> None:
    # thigh along -y: about x by 90 -> along -z; then about y by 90 -> along -x
    ends = _ends("0 0 0 XYZ", "rx ry rz", "90 90 0")
    np.testing.assert_allclose(ends["lfemur"] - ends["lhipjoint"], [-7.3, 0, 0], atol=1e-9)
    # in reverse order: about y first (no effect on -y), then about x
    ends = _ends("0 0 0 XYZ", "ry rx", "90 90")
    np.testing.assert_allclose(ends["lfemur"] - ends["lhipjoint"], [0, 0, -7.3], atol=1e-9)


def test_rotations_are_about_the_axes_of_the_bone() -> None:
    # the bone's x axis is rotated by 90 about z to the world's y, and a rotation about y does not move the thigh
    ends = _ends("0 0 90 XYZ", "rx", "70")
    np.testing.assert_allclose(ends["lfemur"] - ends["lhipjoint"], [0, -7.3, 0], atol=1e-9)


def test_root_rotates_the_whole_body() -> None:
    ends = _ends("0 0 0 XYZ", "rx", "0", root="1 17 2 0 90 0")
    np.testing.assert_allclose(ends["lowerback"], [1, 19, 2], atol=1e-9)
    np.testing.assert_allclose(ends["lradius"] - ends["lhumerus"], [0, 0, -3.3], atol=1e-9)


def _write(folder: Path, asf: str, amc: str) -> Path:
    (folder / "02.asf").write_text(asf)
    (folder / "02_01.amc").write_text(amc)
    return folder / "02_01.amc"


def test_units_and_rate(tmp_path: Path) -> None:
    clip = load_clip(_write(tmp_path, skeleton(), motion(frames=25)), fps=120.0)
    assert (clip.frames, clip.fps) == (25, 120.0)
    assert np.linalg.norm(clip.joints[0, 4] - clip.joints[0, 1]) == pytest.approx(7.3 * 0.0254 / 0.45, abs=1e-5)


def test_skeleton_with_the_longest_matching_name_is_used(tmp_path: Path) -> None:
    for name in ("HDM.asf", "HDM_tr.asf", "HDM_mm.asf", "x.asf"):
        (tmp_path / name).touch()
    assert find_asf(tmp_path / "HDM_tr_kick_025_120.amc").name == "HDM_tr.asf"
    assert find_asf(tmp_path / "HDM_mm_kick.amc").name == "HDM_mm.asf"
    with pytest.raises(DataError, match=r"4 \.asf files"):
        find_asf(tmp_path / "02_01.amc")


@pytest.mark.parametrize(
    ("asf", "amc", "match"),
    [
        (skeleton(), motion(thigh="0 0"), "belong together"),
        (skeleton(), motion().replace("lfemur", "ltail"), "belong together"),
        (skeleton(), motion().replace("lfemur 0", "lfemur x", 1), "expected numbers"),
        (skeleton(), motion()[:-15], "belong together"),
        (skeleton(), motion().rpartition("lfemur")[0], "truncated"),
        (skeleton(), "no motion here", "belong together"),
        (skeleton(), ":DEGREES\n", "no frames"),
        (skeleton(), motion(frames=1), "1 frame"),
        (skeleton(), motion(thigh="nan 0 0"), "NaN"),
        ("Dear all", motion(), ":root"),
        (skeleton().partition("rradius\n  end")[0], motion(), "skeleton 02.asf"),
        (skeleton(axis="0 0"), motion(), "damaged"),
        (skeleton(dof="rx ry rq"), motion(), "rq"),
    ],
)
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, asf: str, amc: str, match: str) -> None:
    with pytest.raises((DataError, ShapeError), match=match) as caught:
        load_clip(_write(tmp_path, asf, amc), fps=120)
    assert "\n" not in str(caught.value)


@settings(max_examples=120, deadline=None)
@given(cut=st.floats(0, 1), which=st.booleans())
def test_truncated_files_give_a_clip_or_an_exuvia_error(
    cut: float, which: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asf, amc = skeleton(), motion()
    if which:
        asf = asf[: int(cut * len(asf))]
    else:
        amc = amc[: int(cut * len(amc))]
    with suppress(DataError, ShapeError):
        assert isinstance(load_clip(_write(tmp_path_factory.mktemp("cut"), asf, amc), fps=120), Clip)
