"""Strips and videos: recognisable pictures, complete files, exact frame counts."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exuvia.errors import ConfigError, OutputError
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.view.frame import (
    FIELD_OF_VIEW_RAD,
    LEFT,
    RIGHT,
    Shot,
    draw_frame,
    facing_rad,
    fit_text,
    floor_height_m,
    font,
    smooth_root,
)
from exuvia.view.video import pose_indices, write_strip, write_video


def standing(frames: int = 12, heading_rad: float = 0.0, speed_m_s: float = 0.0) -> Clip:
    """A body in its rest pose that faces, and perhaps glides along, a heading."""
    pose = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + SMPL22.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    sin, cos = np.sin(heading_rad), np.cos(heading_rad)
    turn = np.asarray([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    joints = np.repeat((pose @ turn.T)[None], frames, axis=0)
    joints[..., 0] += (sin * speed_m_s / 20 * np.arange(frames))[:, None]
    joints[..., 2] += (cos * speed_m_s / 20 * np.arange(frames))[:, None]
    return Clip(joints, caption="a person stands")


def kick(side: str, frames: int = 12) -> Clip:
    """A straight leg raised to the front and lowered again."""
    joints = standing(frames).joints.copy()
    hip = joints[:, SMPL22.index(f"{side}_hip")].copy()
    angle = 1.5 * np.sin(np.linspace(0, np.pi, frames))
    for part in ("knee", "ankle", "foot"):
        joint = SMPL22.index(f"{side}_{part}")
        y, z = (joints[:, joint] - hip)[:, 1:].T
        joints[:, joint, 1] = hip[:, 1] + np.cos(angle) * y + np.sin(angle) * z
        joints[:, joint, 2] = hip[:, 2] - np.sin(angle) * y + np.cos(angle) * z
    return Clip(joints, caption=f"a person kicks with the {side} leg")


def share_of(image: Image.Image, colour: tuple[int, int, int]) -> float:
    """Share of a picture's pixels within a small distance of a colour."""
    distance = np.abs(np.asarray(image, np.int32) - np.asarray(colour)).max(axis=-1)
    return float((distance < 40).mean())


@given(st.floats(-3.1, 3.1))
@settings(max_examples=25, deadline=None)
def test_facing_is_the_heading_of_the_body(heading: float) -> None:
    assert facing_rad(standing(heading_rad=heading).joints) == pytest.approx(heading, abs=1e-4)


def test_floor_is_zero_unless_a_raw_clip_is_far_from_it() -> None:
    joints = standing().joints
    assert floor_height_m(joints - np.asarray([0, 0.05, 0], np.float32)) == 0.0
    assert floor_height_m(joints + np.asarray([0, 1.0, 0], np.float32)) == pytest.approx(1.0, abs=1e-5)


def test_smooth_root_keeps_the_length_and_removes_steps() -> None:
    joints = standing(60, speed_m_s=1.0).joints.copy()
    joints[:, :, 0] += (0.05 * (-1.0) ** np.arange(60))[:, None].astype(np.float32)
    path = smooth_root(joints, 20.0)
    assert path.shape == (60, 2)
    assert np.abs(path[:, 0]).max() < 0.05
    assert np.abs(np.diff(path[10:-10, 1]) - 0.05).max() < 1e-3


@given(st.floats(-3.1, 3.1), st.sampled_from([0.4, 1.0, 2.0]), st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_shot_keeps_every_joint_in_the_picture(heading: float, aspect: float, speed: float) -> None:
    clip = standing(30, heading, speed)
    shot = Shot.of(clip, aspect)
    size = (round(400 * aspect), 400)
    for frame in (0, 15, 29):
        pixels, scale = shot.project(clip.joints[frame], frame, size)
        assert (pixels >= 0).all()
        assert (pixels <= size).all()
        assert (scale > 0).all()


def test_forward_runs_from_left_to_right_and_nearer_is_larger() -> None:
    clip = standing(heading_rad=1.0)
    shot = Shot.of(clip, 1.0)
    ahead = clip.joints[0, 0] + np.asarray([np.sin(1.0), 0, np.cos(1.0)], np.float32)
    pixels, scale = shot.project(np.stack([clip.joints[0, 0], ahead]), 0, (400, 400))
    assert pixels[1, 0] > pixels[0, 0] + 20
    assert scale[1] > scale[0]
    middle, scale = shot.project(shot.targets[0], 0, (400, 300))
    assert middle.tolist() == pytest.approx([200, 150])
    assert float(scale) == pytest.approx(150 / np.tan(FIELD_OF_VIEW_RAD / 2) / shot.distance_m, rel=1e-5)


@pytest.mark.parametrize(("side", "colour", "other"), [("left", LEFT, RIGHT), ("right", RIGHT, LEFT)])
def test_the_kicking_leg_has_the_colour_of_its_side(
    side: str, colour: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    clip = kick(side)
    size = (300, 300)
    shot = Shot.of(clip, 1.0)
    foot, scale = shot.project(clip.joints[6, SMPL22.index(f"{side}_foot")], 6, size)
    reach = float(scale) * 0.1
    x, y = (float(value) for value in foot)
    there = draw_frame(clip, 6, size, shot=shot).crop(
        (round(x - reach), round(y - reach), round(x + reach), round(y + reach))
    )
    assert share_of(there, colour) > 0.15
    assert share_of(there, other) == 0


@given(st.integers(2, 400), st.integers(1, 64))
def test_poses_are_ordered_distinct_and_include_both_ends(count: int, frames: int) -> None:
    chosen = pose_indices(count, frames)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, frames)
    assert frames == 1 or (chosen[0], chosen[-1]) == (0, count - 1)


def test_a_strip_has_a_tile_for_every_pose(tmp_path: Path) -> None:
    write_strip(kick("left"), tmp_path / "one.png", frames=6, size=(100, 140))
    with Image.open(tmp_path / "one.png") as image:
        assert image.width >= 600
        assert image.height > 140
        assert share_of(image.convert("RGB"), LEFT) > 0.003
        assert np.asarray(image.convert("RGB")).std() > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png"]


def test_clip_save_writes_strips_and_videos_by_suffix(tmp_path: Path) -> None:
    kick("left").save(tmp_path / "a.png", frames=3, size=(64, 80))
    kick("left").save(tmp_path / "a.gif", size=(96, 96))
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".gif"}


@pytest.mark.parametrize("options", [{"frames": 0}, {"frames": 65}, {"size": (10, 100)}, {"size": (100, 9000)}])
def test_strip_refuses_absurd_settings(tmp_path: Path, options: dict) -> None:
    with pytest.raises(ConfigError, match="expected"):
        write_strip(standing(), tmp_path / "x.png", **options)
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=200), st.integers(40, 300))
@settings(max_examples=40, deadline=None)
def test_text_never_exceeds_its_width(text: str, width: int) -> None:
    assert font(14).getlength(fit_text(text, width, 14)) <= width


def test_gif_has_every_frame_and_the_clips_length(tmp_path: Path) -> None:
    write_video(Clip(kick("left", 15).joints, fps=30.0), tmp_path / "k.gif", size=(96, 96))
    with Image.open(tmp_path / "k.gif") as gif:
        assert gif.n_frames == 15
        assert gif.info["loop"] == 0
        total = 0
        for frame in range(gif.n_frames):
            gif.seek(frame)
            total += gif.info["duration"]
    assert total == 500


def test_fast_clip_becomes_a_gif_of_fifty_frames_a_second(tmp_path: Path) -> None:
    write_video(Clip(kick("left", 41).joints, fps=100.0), tmp_path / "k.gif", size=(64, 64))
    with Image.open(tmp_path / "k.gif") as gif:
        assert gif.n_frames == 21
        assert gif.info["duration"] == 20


def test_mp4_has_every_frame_at_the_clips_rate(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    write_video(kick("left", 17), tmp_path / "k.mp4", size=(128, 96))
    with av.open(str(tmp_path / "k.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (128, 96, 20)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 17
    assert np.abs(pictures[0].astype(int) - pictures[8]).max() > 60


def test_mp4_without_pyav_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"exuvia\[video\]"):
        write_video(standing(), tmp_path / "k.mp4")
    assert not list(tmp_path.iterdir())


def test_video_refuses_odd_sizes_and_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="even"):
        write_video(standing(), tmp_path / "k.mp4", size=(101, 100))
    with pytest.raises(ConfigError, match=r"\.mp4 or \.gif"):
        write_video(standing(), tmp_path / "k.avi")


def test_older_picture_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "k.png"
    target.write_bytes(b"older")

    def full_disk(self: Image.Image, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_strip(standing(), target)
    assert target.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["k.png"]
