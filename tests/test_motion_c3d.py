"""C3D in: joints within centimetres of the true ones from both marker sets, gaps, units and axes, damaged files."""

import itertools
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.__main__ import main
from exuvia.errors import ConfigError, DataError, ExuviaError, ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.load import explain, load_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source
from made_markers import CMU, walk, write_c3d

pytest.importorskip("c3d", reason="the library c3d is not installed: pip install 'exuvia[c3d]'")
WALK, MARKERS = walk()


def off_mm(clip: Clip, truth: np.ndarray = WALK) -> np.ndarray:
    """Largest distance of each joint from the truth over time, [22] millimetres."""
    return 1000 * np.linalg.norm(clip.joints - truth, axis=-1).max(0)


def cmu(marker: str) -> str:
    """CMU's name of a Plug-in Gait marker."""
    return marker[:1] + CMU.get(marker[1:], marker[1:]) if marker[1:] in CMU else marker


@pytest.mark.parametrize("name", [str, cmu], ids=["plug-in gait", "cmu"])
@pytest.mark.parametrize(("unit", "unit_m"), [("mm", 0.001), ("m", 1.0), ("cm", 0.01), ("in", 0.0254)])
@pytest.mark.parametrize("up", ["y", "z"])
def test_joints_are_near_the_true_ones(name: object, unit: str, unit_m: float, up: str, tmp_path: Path) -> None:
    clip = load_clip(write_c3d(tmp_path / "a.c3d", MARKERS, unit=unit, up=up, name=name), None)  # type: ignore[arg-type]
    about = clip.meta
    assert (clip.frames, clip.fps, about["unit_m"], about["up"], about["doubts"]) == (240, 120, unit_m, up, [])
    assert off_mm(clip).max() < 25


@pytest.mark.parametrize("seed", range(4))
def test_other_bodies_and_placements_stay_within_four_centimetres(seed: int, tmp_path: Path) -> None:
    size = (0.75, 0.95, 1.1, 1.15)[seed]
    joints, markers = walk(seed=seed + 1, turn=90.0 * seed)
    file = write_c3d(tmp_path / "a.c3d", {name: size * track for name, track in markers.items()}, scale=0.15)
    assert off_mm(load_clip(file, None), size * joints).max() < 40


def test_left_is_left_and_feet_are_below(tmp_path: Path) -> None:
    joints = load_clip(write_c3d(tmp_path / "a.c3d", MARKERS)).joints
    place = {name: joints[:, number] for number, name in enumerate(SMPL22.joints)}
    ahead = np.cross(place["left_hip"] - place["right_hip"], [0, 1, 0])
    for part in ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", "collar"):
        across = place[f"left_{part}"] - place[f"right_{part}"]
        assert (np.cross(across, [0, 1, 0]) * ahead).sum(-1).min() > 0, part
    for high, low in itertools.pairwise(("head", "neck", "spine3", "spine2", "spine1", "pelvis")):
        assert (place[high] - place[low])[:, 1].min() > 0.02
    for side in ("left", "right"):
        assert (place["pelvis"] - place[f"{side}_hip"])[:, 1].min() > 0.04
        assert ((place[f"{side}_foot"] - place[f"{side}_ankle"]) * ahead).sum(-1).mean() > 0


def test_a_straight_limb_has_its_joints_inside(tmp_path: Path) -> None:
    still = {name: np.repeat(track[:1], 30, 0) for name, track in walk(1)[1].items()}
    for mark, sign in (("L", 1), ("R", -1)):
        hip = np.add(still[f"{mark}ASI"], (0, -0.1, -0.05))
        for name, drop, out in (("KNE", 0.42, 0.05), ("ANK", 0.85, 0.04), ("HEE", 0.89, 0.0), ("TOE", 0.89, 0.0)):
            still[mark + name] = hip + np.array(
                (sign * (out - 0.03), -drop, {"HEE": -0.05, "TOE": 0.13}.get(name, 0.0))
            )
    clip = load_clip(write_c3d(tmp_path / "a.c3d", still), None)
    knees, ankles = clip.joints[0, [4, 5]], clip.joints[0, [7, 8]]
    assert np.ptp(np.stack((knees, ankles))[..., 2]) < 0.03
    assert 0.08 < knees[0, 0] - knees[1, 0] < still["LKNE"][0, 0] - still["RKNE"][0, 0] - 0.07


def test_inner_markers_and_one_sacral_marker_are_used(tmp_path: Path) -> None:
    markers = {name: track for name, track in MARKERS.items() if name not in ("LPSI", "RPSI")}
    markers["SACR"] = 0.5 * (MARKERS["LPSI"] + MARKERS["RPSI"])
    for mark, side in (("L", 0), ("R", 1)):
        for outer, inner, joint in (("KNE", "KNM", 4), ("ANK", "MED", 7), ("ELB", "ELBIN", 18)):
            markers[mark + inner] = 2 * WALK[:, joint + side] - markers[mark + outer]
    off = off_mm(load_clip(write_c3d(tmp_path / "a.c3d", markers), None))
    assert off[[4, 5, 7, 8, 18, 19]].max() < 0.1
    assert off.max() < 25


def test_joint_centres_in_a_file_are_taken_as_they_are(tmp_path: Path) -> None:
    centres = {"HJC": 1, "KJC": 4, "AJC": 7, "SJC": 16, "EJC": 18, "WJC": 20}
    points = {mark + name: WALK[:, joint + side] for name, joint in centres.items() for side, mark in enumerate("LR")}
    clip = load_clip(write_c3d(tmp_path / "a.c3d", points, prefix="Bob:"), None)
    limbs = [joint + side for joint in centres.values() for side in (0, 1)]
    assert off_mm(clip)[limbs].max() < 0.1
    assert off_mm(clip)[[0, 12, 15]].max() < 150  # derived: markers of the trunk are missing
    both = load_clip(write_c3d(tmp_path / "b.c3d", points | MARKERS), None)
    assert off_mm(both)[limbs].max() < 0.1
    assert off_mm(both).max() < 35
    assert "left_hip        LHJC" in explain(both)
    assert "head            (estimated from markers)" in explain(both)


def test_other_names_come_from_a_file(tmp_path: Path) -> None:
    odd = {joint: f"p{number}" for number, joint in enumerate(SMPL22.joints) if "spine" not in joint}
    points = {name: WALK[:, SMPL22.index(joint)] for joint, name in odd.items()}
    names = tmp_path / "names.toml"
    names.write_text("".join(f'{joint} = "{name}"\n' for joint, name in odd.items()))
    file = write_c3d(tmp_path / "a.c3d", points, gaps={"p4": slice(10, 20)})
    clip = load_clip(file, None, source=Source(names=names))
    assert np.delete(off_mm(clip), [3, 6, 9]).max() < 20
    lost = write_c3d(tmp_path / "b.c3d", points, fps=20, gaps={"p4": slice(10, 80)})
    with pytest.raises(DataError, match=r"left_knee \(not seen for 3.5 s\)"):
        load_clip(lost, None, source=Source(names=names))


def test_prefixes_other_points_and_other_people(tmp_path: Path) -> None:
    crowd = {f"Bob:{name}": track for name, track in MARKERS.items()}
    crowd |= {f"Ann:{name}": np.add(track, (0, 0, 1)) for name, track in MARKERS.items() if name != "C7"}
    crowd |= {f"Bob:{angle}": np.full((240, 3), 40.0) for angle in ("LHipAngles", "LKneeForce", "*110")}
    clip = load_clip(write_c3d(tmp_path / "a.c3d", crowd), None)
    assert off_mm(clip).max() < 25
    assert clip.meta["doubts"] == ["the markers of Ann are left out"]


@pytest.mark.parametrize(
    ("marker", "gap", "doubts"),
    [
        ("LKNE", slice(30, 45), []),
        ("RASI", slice(0, 12), []),
        ("LELB", slice(30, 54), []),
        ("LWRA", slice(20, 60), ["left_WRA (not seen for 0.3 s)"]),
        ("T10", slice(0, 240), []),
    ],
)
def test_gaps_are_filled_or_said(marker: str, gap: slice, doubts: list[str], tmp_path: Path) -> None:
    clip = load_clip(write_c3d(tmp_path / "a.c3d", MARKERS, gaps={marker: gap}), None)
    assert [doubt for doubt in clip.meta["doubts"] if not doubt.startswith("T10")] == doubts
    assert np.delete(off_mm(clip), [3, 6, 9, 12, 13, 14, 15] if marker == "T10" else []).max() < 40


def test_a_marker_out_of_sight_for_long_is_named(tmp_path: Path) -> None:
    joints, markers = walk(200)
    file = write_c3d(tmp_path / "a.c3d", markers, fps=50, gaps={"LKNE": slice(40, 160), "C7": slice(20, 180)})
    with pytest.raises(DataError, match=r"markers left_KNE \(not seen for 2.4 s\); name joint centres"):
        load_clip(file)
    zeros = {
        name: track * (np.arange(200) % 40 > 5)[:, None] if name == "RELB" else track for name, track in markers.items()
    }
    assert off_mm(load_clip(write_c3d(tmp_path / "b.c3d", zeros, fps=50), None), joints).max() < 60


def test_ends_without_the_body_are_left_out(tmp_path: Path) -> None:
    late = dict.fromkeys([name for name in MARKERS if name not in ("LFIN", "RFIN")], slice(0, 40))
    clip = load_clip(write_c3d(tmp_path / "a.c3d", MARKERS, gaps=late), None)
    assert (clip.frames, clip.meta["doubts"]) == (200, [])
    assert off_mm(clip, WALK[40:]).max() < 25


def test_units_that_make_no_body_are_doubted(tmp_path: Path) -> None:
    file = write_c3d(tmp_path / "a.c3d", {name: 0.001 * track for name, track in MARKERS.items()}, unit="mm")
    clip = load_clip(file, None)
    assert clip.meta["unit_m"] == 1.0
    assert "found legs of 0.000854 m in the unit of the file" in clip.meta["doubts"][0]
    assert off_mm(clip).max() < 25
    assert load_clip(file, None, source=Source(unit_m=0.5)).meta["unit_m"] == 0.5
    assert load_clip(file, None, source=Source(up="y", fps=60)).fps == 60


def test_headers_with_another_rate_are_read(tmp_path: Path) -> None:
    file = write_c3d(tmp_path / "a.c3d", MARKERS, fps=119.88)
    data = bytearray(file.read_bytes())
    data[20:24] = np.float32(120).tobytes()  # the header's rate; POINT:RATE stays
    file.write_bytes(data)
    clip = load_clip(file, None)
    assert clip.fps == pytest.approx(119.88)
    assert off_mm(clip).max() < 25


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            {"markers": ["LKNE", "RANK", "SACR", "LPSI"]},
            "without the markers SACR, left_KNE, right_ANK; name joint centres",
        ),
        ({"markers": list(MARKERS)}, "found 1 points .* without the markers SACR, left_ASI"),
    ],
)
def test_missing_markers_are_named(lines: dict[str, list[str]], message: str, tmp_path: Path) -> None:
    left = {name: track for name, track in MARKERS.items() if name not in lines["markers"]} or {"ball": MARKERS["C7"]}
    with pytest.raises(DataError, match=message) as caught:
        load_clip(write_c3d(tmp_path / "a.c3d", left))
    assert "export .bvh" in str(caught.value)
    odd = write_c3d(tmp_path / "b.c3d", {"a\nb\x1b": MARKERS["C7"], "u": MARKERS["T10"]})
    with pytest.raises(DataError, match=r"found 2 points \(ab, "):
        load_clip(odd)


def test_short_and_long_and_cut_files(tmp_path: Path) -> None:
    file = write_c3d(tmp_path / "a.c3d", MARKERS)
    with pytest.raises(DataError, match="found 240 frames of 28 joints, expected at most 50; split the file"):
        load_clip(file, max_frames=50)
    data = file.read_bytes()
    for size in range(0, len(data) - 600, 2500):
        file.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"not a readable C3D file|expected all"):
            load_clip(file)
    with pytest.raises((DataError, ShapeError), match="found 1 of 1 frames"):
        load_clip(write_c3d(tmp_path / "b.c3d", {name: track[:1] for name, track in MARKERS.items()}))
    with pytest.raises(DataError, match="at 5000 a second"):
        load_clip(write_c3d(tmp_path / "c.c3d", MARKERS, fps=5000))


@settings(max_examples=80, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4), cut=st.floats(0, 1))
def test_damaged_files_give_a_clip_or_an_exuvia_error(
    places: list[tuple[float, int]], cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = write_c3d(tmp_path_factory.mktemp("c3d") / "a.c3d", {name: track[:6] for name, track in MARKERS.items()})
    data = bytearray(file.read_bytes())
    for place, value in places:
        data[int(place**3 * (len(data) - 1))] = value
    file.write_bytes(data[: int(len(data) * (1 - cut**6))])
    with suppress(ExuviaError):
        assert isinstance(load_clip(file), Clip)


def test_commands_find_c3d_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "trials"
    folder.mkdir()
    write_c3d(folder / "walk.c3d", MARKERS)
    assert main(["convert", str(folder), str(tmp_path / "out"), "--to", "bvh"]) == 0
    assert load_clip(tmp_path / "out" / "walk.bvh").fps == 20
    assert main(["import", "motion", str(folder / "walk.c3d"), "--out", str(tmp_path / "walk.npy")]) == 0
    assert main(["prepare", str(folder), str(tmp_path / "store")]) == 0
    write_c3d(folder / "lame.c3d", {"ball": MARKERS["C7"]})
    capsys.readouterr()
    assert main(["convert", str(folder / "lame.c3d"), str(tmp_path / "lame.bvh")]) == 2
    assert "name joint centres with --names" in capsys.readouterr().err


def test_without_the_library_the_message_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['c3d'] = None; from exuvia.motion.load import load_clip; load_clip(sys.argv[1])"
    (tmp_path / "a.c3d").write_bytes(b"\x02P")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.c3d"], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith(
        'a.c3d: .c3d files need the library c3d; run: pip install "exuvia[c3d]"'
    )
    assert issubclass(ConfigError, ExuviaError)
