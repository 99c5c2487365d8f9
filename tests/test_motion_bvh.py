"""BVH: any hierarchy is read, damaged text is refused, and a written clip reads back as the same motion."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, DataError, ShapeError
from exuvia.motion.bvh import hold_easing, parse_bvh, pose, rate_from_frame_time, read_bvh
from exuvia.motion.bvh_writer import bvh_text, write_bvh
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source


def moving_body(frames: int = 30, seed: int = 0) -> np.ndarray:
    """Joints [F, 22, 3] of a body with rigid bones, whose joints rotate smoothly and independently."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((frames, 22, 3))
    joints[:, 0] = np.cumsum(rng.normal(0, 0.01, (frames, 3)), 0) + np.asarray((0, 0.95, 0))
    time = np.linspace(0, 2, frames)[:, None]
    for joint in range(1, 22):
        bone = SMPL22.rest_offsets[joint].astype(np.float64)
        bend = 0.4 * np.sin(time * rng.uniform(1, 4, 3) + rng.uniform(0, 6, 3)) * np.linalg.norm(bone)
        turned = bone + bend
        turned *= np.linalg.norm(bone) / np.linalg.norm(turned, axis=-1, keepdims=True)
        joints[:, joint] = joints[:, SMPL22.parents[joint]] + turned
    return joints


SMALL = bvh_text(Clip(moving_body(3).astype(np.float32)))


def test_a_written_clip_reads_back(tmp_path: Path) -> None:
    clip = Clip(moving_body().astype(np.float32), fps=20.0)
    clip.save(tmp_path / "walk.bvh")
    back = load_clip(tmp_path / "walk.bvh")
    assert (back.fps, back.frames) == (20.0, clip.frames)
    assert np.abs(back.joints - clip.joints).max() < 1e-3


@pytest.mark.parametrize("fps", [12.5, 20.0, 23.976, 30.0, 120.0])
@pytest.mark.parametrize("unit_m", [1.0, 0.01])
def test_rate_and_unit_survive(tmp_path: Path, fps: float, unit_m: float) -> None:
    clip = Clip(moving_body().astype(np.float32), fps=fps)
    write_bvh(clip, tmp_path / "walk.bvh", unit_m=unit_m)
    back = read_bvh(tmp_path / "walk.bvh")
    assert back.fps == pytest.approx(fps, rel=1e-6)
    assert np.abs(back.joints - clip.joints).max() < 1e-3
    with pytest.raises(ConfigError, match="unit_m"):
        bvh_text(clip, unit_m=0)


def test_error_of_elastic_bones_is_at_most_their_variation(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.003, (30, 22, 3))
    clip = Clip((moving_body() + noise).astype(np.float32))
    clip.save(tmp_path / "a.bvh")
    error = np.linalg.norm(load_clip(tmp_path / "a.bvh").joints - clip.joints, axis=-1)
    assert error.mean() < 0.015


def test_written_angles_do_not_jump(tmp_path: Path) -> None:
    bvh = parse_bvh(bvh_text(Clip(moving_body(60).astype(np.float32))))
    assert np.abs(np.diff(bvh.motion[:, 3:], axis=0)).max() < 90
    assert set(SMPL22.joints) <= set(bvh.names)


def test_degenerate_bodies_are_written(tmp_path: Path) -> None:
    joints = moving_body().astype(np.float32)
    joints[:, SMPL22.index("head")] = joints[:, SMPL22.index("neck")]
    upper = [j for j in range(22) if j not in (0, 1, 2, 4, 5, 7, 8, 10, 11)]
    joints[:, upper] -= joints[:, 3:4] - joints[:, :1]  # the first bone of the spine has no length
    Clip(joints).save(tmp_path / "a.bvh")
    assert np.abs(load_clip(tmp_path / "a.bvh").joints - joints).max() < 1e-3


def _rig_text(offset_child: str = "0 2 0", channels: str = "3 Xrotation Yrotation Zrotation", values: str = "") -> str:
    return (
        "HIERARCHY\nROOT a\n{\nOFFSET 1 1 1\nCHANNELS 6 Zposition Xposition Yposition Zrotation Xrotation Yrotation\n"
        f"JOINT b\n{{\nOFFSET {offset_child}\nCHANNELS {channels}\nEnd Site\n{{\nOFFSET 0 0 1\n}}\n}}\n}}\n"
        f"MOTION\nFrames: 2\nFrame Time: 0.05\n{values}\n{values}\n"
    )


def test_channels_apply_in_the_order_listed() -> None:
    # root at (2, 3, 1), rotated by 90 degrees about z: up becomes -x; the child's end moves from +z to -y, then to +x
    bvh = parse_bvh(_rig_text(values="1 2 3  90 0 0  90 0 0"))
    np.testing.assert_allclose(pose(bvh)[0], [[2, 3, 1], [0, 3, 1], [1, 3, 1]], atol=1e-12)
    # Zr then Xr: the rotation about x is applied first, in the frame rotated about z
    bvh = parse_bvh(_rig_text(values="0 0 0  90 90 0  0 0 0"))
    np.testing.assert_allclose(pose(bvh)[0, 1], [0, 0, 2], atol=1e-12)


def test_position_channels_of_any_joint_replace_its_offset() -> None:
    text = _rig_text(channels="4 Yposition Xrotation Yrotation Zrotation", values="0 0 0 0 0 0  5 0 0 0")
    np.testing.assert_allclose(pose(parse_bvh(text))[0, 1], [0, 5, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("printed", "fps"),
    [(".0083333", 120), ("0.00833333", 120), ("0.0083", 120), ("0.0333333", 30), ("0.033", 30), ("0.05", 20),
     ("0.0416667", 24), ("0.08", 12.5), ("0.033367", 1 / 0.033367), ("0.01", 100), ("5e-2", 20)],
)  # fmt: skip
def test_printed_frame_times_give_the_rate_that_was_rounded(printed: str, fps: float) -> None:
    assert rate_from_frame_time(printed) == pytest.approx(fps, rel=1e-9)


def _refused(tmp_path: Path, text: str | bytes, match: str) -> None:
    path = tmp_path / "x.bvh"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((DataError, ShapeError), match=match) as caught:
        load_clip(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x.bvh: ")


def test_text_that_is_not_bvh_is_refused_in_one_sentence(tmp_path: Path) -> None:
    _refused(tmp_path, "Dear all, please find the motion below.", "HIERARCHY")
    _refused(tmp_path, "", "empty")
    _refused(tmp_path, bytes(range(256)) * 4, "HIERARCHY")
    _refused(tmp_path, SMALL[: SMALL.index("MOTION")], "MOTION")
    _refused(tmp_path, SMALL[:-200], "truncated")
    _refused(tmp_path, SMALL.replace("0.05000000", "0"), "frame time")
    _refused(tmp_path, SMALL.replace("Zrotation", "Wrotation"), "Wrotation")
    _refused(tmp_path, SMALL.replace("CHANNELS 3", "CHANNELS 300000000"), "channel")
    _refused(tmp_path, SMALL.replace("left_knee\n", "tail\n"), "left_knee")
    _refused(tmp_path, SMALL.replace("{", "", 1), "hierarchy")


_SPELLINGS = {
    "lower case": lambda text: text.lower(),
    "upper case": lambda text: text.upper(),
    "MOTION in lower case": lambda text: text.replace("MOTION", "motion"),
    "glued braces": lambda text: re.sub(r"\s*\n\s*\{", "{", text),
    "glued braces on both sides": lambda text: re.sub(r"\s*\n\s*([{}])", r" \1", text),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "Windows lines": lambda text: text.replace("\n", "\r\n"),
    "old Macintosh lines": lambda text: text.replace("\n", "\r"),
    "tabs": lambda text: text.replace("  ", "\t"),
    "wide spaces": lambda text: text.replace(" ", "   "),
    "spaces at the ends of lines": lambda text: text.replace("\n", " \t\n"),
    "no indentation": lambda text: re.sub(r"\n[ \t]+", "\n", text),
    "Frames :": lambda text: text.replace("Frames:", "Frames :"),
    "Frame  Time :": lambda text: text.replace("Frame Time:", "Frame  Time :"),
    "FrameTime:": lambda text: text.replace("Frame Time:", "FrameTime:"),
    "a comment before": lambda text: "# made by a tool\n" + text,
    "a comment within": lambda text: text.replace("MOTION", "# prompt: a MOTION of a man\nMOTION"),
    "a byte-order mark": lambda text: "\ufeff" + text,
    "control-Z": lambda text: text + "\x1a",
    "a zero byte": lambda text: text + "\x00\n",
    "no last newline": lambda text: text.rstrip(),
    "frames broken over lines": lambda text: re.sub(r"(\n-?\d\S* \S+ \S+) ", r"\1\n", text),
    "names of several words": lambda text: re.sub(r"(JOINT|ROOT) (\w+?)_(\w+)", r"\1 \2 \3", text),
    "names with tabs": lambda text: re.sub(r"(JOINT|ROOT) (\w+)", "\\1\t \\2\t", text),
    "a joint named after a keyword": lambda text: text.replace("JOINT head", "JOINT head\n").replace(
        "_base", " motion"
    ),
    "ends without a word": lambda text: text.replace("End Site", "End"),
    "ends with names": lambda text: text.replace("End Site", "End Site tip of it"),
    "channels in the line of the offset": lambda text: re.sub(r"\n\s*CHANNELS", " CHANNELS", text),
}


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_harmless_spellings_are_read(spelling: str, tmp_path: Path) -> None:
    text = _SPELLINGS[spelling](SMALL)
    assert text != SMALL
    (tmp_path / "a.bvh").write_text(SMALL)
    (tmp_path / "b.bvh").write_bytes(text.encode())
    plain, other = load_clip(tmp_path / "a.bvh"), load_clip(tmp_path / "b.bvh")
    np.testing.assert_array_equal(other.joints, plain.joints)
    assert other.meta["doubts"] == []


@pytest.mark.parametrize("count", [0, 1, 2, 4, 400, 3000000])
def test_a_count_that_disagrees_with_whole_frames_is_a_warning(
    count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.bvh").write_text(SMALL)
    (tmp_path / "b.bvh").write_text(SMALL.replace("Frames: 3", f"Frames: {count}"))
    np.testing.assert_array_equal(load_clip(tmp_path / "b.bvh").joints, load_clip(tmp_path / "a.bvh").joints)
    assert f"found 3 whole frames though the header says {count}" in caplog.text
    _refused(tmp_path, SMALL.replace("Frames: 3", f"Frames: {count}").rstrip().rpartition(" ")[0], "truncated")


def test_frames_that_ease_out_of_a_t_pose_take_the_limbs_of_the_first_real_one() -> None:
    walk = moving_body(40)
    assert hold_easing(walk.copy()) == 0
    eased = walk.copy()
    for frame, share in enumerate((0.9, 0.6, 0.3, 0.1)):
        eased[frame, [20, 21], 1] += 0.5 * share
    path = eased[:, 0].copy()
    assert hold_easing(eased) == 4
    np.testing.assert_array_equal(eased[4:], walk[4:])
    np.testing.assert_array_equal(eased[:, 0], path)
    np.testing.assert_allclose(eased[:4] - eased[:4, :1], np.repeat(walk[4:5] - walk[4:5, :1], 4, 0), atol=1e-12)


def test_a_frame_time_of_zero_needs_a_rate(tmp_path: Path) -> None:
    text = SMALL.replace("0.05000000", "0")
    _refused(tmp_path, text, "fps")
    (tmp_path / "a.bvh").write_text(text)
    assert load_clip(tmp_path / "a.bvh", None, source=Source(fps=30)).fps == 30


def test_nan_single_frames_and_giants_are_refused(tmp_path: Path) -> None:
    head, _, rows = SMALL.partition("0.05000000\n")
    lines = rows.splitlines()
    nan = "\n".join([lines[0], "nan " + lines[1].partition(" ")[2], lines[2]])
    _refused(tmp_path, f"{head}0.05\n{nan}\n", "NaN")
    _refused(tmp_path, f"{head.replace('Frames: 3', 'Frames: 1')}0.05\n{lines[0]}\n", "1 frame")
    _refused(tmp_path, f"{head}0.05\n", "0 frame")
    clip = Clip(moving_body(4).astype(np.float32) * 1e5)
    _refused(tmp_path, bvh_text(clip), "unit_m")


def test_unit_given_by_the_caller_wins(tmp_path: Path) -> None:
    (tmp_path / "x.bvh").write_text(SMALL)
    doubled = load_clip(tmp_path / "x.bvh", source=Source(unit_m=2.0)).joints
    np.testing.assert_allclose(doubled, 2 * load_clip(tmp_path / "x.bvh").joints, atol=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    cut=st.integers(0, len(SMALL)),
    junk=st.sampled_from(["", "\n", "}", " 1e999", " nan", "End", "\x00", "CHANNELS -1"]),
)
def test_truncated_text_gives_a_clip_or_an_exuvia_error(
    cut: int, junk: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.bvh"
    path.write_text(SMALL[:cut] + junk)
    with suppress(DataError, ShapeError):
        assert isinstance(load_clip(path), Clip)


@settings(max_examples=100, deadline=None)
@given(
    at=st.integers(0, len(SMALL) - 1),
    size=st.integers(1, 60),
    new=st.text("0123456789.-+eE{} \nXYZrojnti", max_size=20),
)
def test_damaged_text_gives_a_clip_or_an_exuvia_error(
    at: int, size: int, new: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.bvh"
    path.write_text(SMALL[:at] + new + SMALL[at + size :])
    with suppress(DataError, ShapeError):
        assert isinstance(load_clip(path), Clip)


def test_missing_files_folders_and_suffixes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_clip(tmp_path / "no.bvh")
    (tmp_path / "folder.bvh").mkdir()
    with pytest.raises(DataError, match="is not a file"):
        load_clip(tmp_path / "folder.bvh")
    with pytest.raises(ConfigError, match="may run code"):
        load_clip(tmp_path / "dance.pkl")
    with pytest.raises(ConfigError, match="fps = 0"):
        load_clip(tmp_path / "no.bvh", fps=0)
