"""Foot locking: feet stand still, bones keep their length, jerk does not increase, and other clips do not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.motion.clip import Clip
from exuvia.motion.foot_lock import LEGS, LIFT_M, lock_feet, locked, place_foot, stances, toe_path
from exuvia.motion.kinematics import foot_skate_m_per_s, mean_jerk_m_per_s3
from exuvia.motion.skeleton import SMPL22
from made_mocap import body

FPS = 20.0


def bones(joints: np.ndarray) -> np.ndarray:
    """Bone lengths [F, 21]."""
    return np.linalg.norm(joints[:, 1:] - joints[:, list(SMPL22.parents[1:])], axis=-1)


def sliding(frames: int = 60, speed: float = 0.3, noise: float = 0.0, seed: int = 0) -> Clip:
    """A body with bent knees that glides over the floor without a step."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + SMPL22.rest_offsets[joint]
    down, ahead = np.cos(0.4), np.sin(0.4)
    for leg in LEGS:
        for start, end, way in zip(
            leg, leg[1:], ((0, -down, ahead), (0, -down, -ahead), (0, -ahead, down)), strict=False
        ):
            pose[end] = pose[start] + np.multiply(way, SMPL22.lengths_m[end])
    pose[:, 1] -= pose[:, 1].min()
    way = np.zeros((frames, 1, 3))
    way[:, 0, 2] = 0.04 * np.sin(np.arange(frames) / FPS * speed / 0.04)
    return Clip((pose + way + rng.normal(0, noise, (frames, 22, 3))).astype(np.float32), fps=FPS)


def test_gliding_feet_are_locked() -> None:
    clip = sliding()
    lock = lock_feet(clip)
    assert lock.skate_before_m_per_s > 0.15
    assert lock.skate_after_m_per_s < 0.1 * lock.skate_before_m_per_s
    assert lock.jerk_after_m_per_s3 <= lock.jerk_before_m_per_s3
    np.testing.assert_array_equal(lock.clip.joints[:, :1], clip.joints[:, :1])
    upper = [j for j in range(22) if j not in {j for leg in LEGS for j in leg[1:]}]
    np.testing.assert_array_equal(lock.clip.joints[:, upper], clip.joints[:, upper])


@settings(max_examples=25)
@given(seed=st.integers(0, 999), speed=st.floats(0.05, 1.5), noise=st.floats(0, 0.02), frames=st.integers(4, 80))
def test_bones_stay_and_nothing_jerks_or_skates_more(seed: int, speed: float, noise: float, frames: int) -> None:
    for clip in (sliding(frames, speed, noise, seed), Clip(body(frames, seed))):
        lock = lock_feet(clip)
        np.testing.assert_allclose(bones(lock.clip.joints), bones(clip.joints), atol=1e-4)
        floor = float(clip.joints[..., 1].min(1).mean())
        before, after = (foot_skate_m_per_s(moving.joints, moving.fps, floor) for moving in (clip, lock.clip))
        assert after <= before + 1e-6
        assert mean_jerk_m_per_s3(lock.clip.joints, FPS) <= mean_jerk_m_per_s3(clip.joints, FPS) * (1 + 1e-6)
        assert lock.clip.fps == clip.fps


def test_standing_feet_do_not_change() -> None:
    joints = np.tile(sliding().joints[:1], (50, 1, 1))
    joints[:, 20, 1] += 0.3 * np.sin(np.arange(50) / 5)
    clip = Clip(joints)
    assert lock_feet(clip).clip is clip


def test_short_clips_are_returned_unchanged() -> None:
    clip = sliding(3)
    assert lock_feet(clip).clip is clip


def walk(frames: int, slow_m_per_s: float = 0.1) -> np.ndarray:
    """Path of a toe that stands for half a second, sliding, and swings low over the floor for half a second."""
    stands = np.arange(frames) // 10 % 2 == 0
    path = np.zeros((frames, 3))
    path[:, 2] = np.cumsum(np.where(stands, slow_m_per_s, 1.5)) / FPS
    path[:, 1] = np.where(stands, 0.01, 0.03)
    return path


def test_time_is_split_where_the_toe_is_slow() -> None:
    toe = walk(60)
    held = stances(toe, FPS, np.zeros(60), np.zeros(60))
    assert (held[:59] == (np.arange(59) // 10 % 2 == 0)).mean() > 0.9
    assert not stances(toe + np.array([0.0, 0.3, 0.0]), FPS, np.zeros(60), np.zeros(60)).any(), "high above the floor"
    assert stances(toe * (1, 1, 0), FPS, np.zeros(60), np.zeros(60)).all(), "a toe that never moves"


def test_a_toe_stands_still_or_swings_high() -> None:
    toe, held = walk(60), np.arange(60) // 10 % 2 == 0
    path = toe_path(toe, held, 1.0)
    speed = np.linalg.norm(np.diff(path[:, [0, 2]], axis=0), axis=1) * FPS
    assert speed[held[1:] & held[:-1]].max() < 0.01
    assert path[~held, 1].min() >= LIFT_M
    assert np.abs(path[:, 2] - toe[:, 2]).max() < 0.1


def test_one_foot_stays_on_the_floor() -> None:
    joints = np.tile(sliding(2).joints[:1].astype(np.float64), (80, 1, 1))
    joints[..., 2] += np.arange(80)[:, None] / FPS  # both feet are dragged at 1 m/s
    moved = locked(joints, FPS)
    toes = moved[:, [leg[3] for leg in LEGS]]
    assert (toes[..., 1].min(1) < 0.05).mean() > 0.85
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1) * FPS
    assert (speed[toes[1:, :, 1] < 0.05] > 0.5).mean() < 0.1
    np.testing.assert_allclose(bones(moved), bones(joints), atol=1e-9)


@pytest.mark.parametrize("far", [0.02, 5.0])
def test_foot_moves_as_far_as_its_leg_reaches(far: float) -> None:
    joints = sliding(5).joints.astype(np.float64)
    moved, leg = joints.copy(), LEGS[0]
    path = joints[:, leg[3]] + (0.0, 0.0, far)
    place_foot(moved, leg, path)
    np.testing.assert_allclose(bones(moved), bones(joints), atol=1e-9)
    missed = np.linalg.norm(moved[:, leg[3]] - path, axis=1)
    if far < 1:
        assert missed.max() < 1e-9
    else:
        assert (moved[:, leg[3], 2] - joints[:, leg[3], 2] > 0.3).all()
        assert (missed > 3).all()


def test_straight_knees_bend_forward() -> None:
    pose = np.zeros((1, 22, 3))
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            pose[:, joint] = pose[:, parent] + SMPL22.rest_offsets[joint]
    moved, leg = pose.copy(), LEGS[1]
    place_foot(moved, leg, pose[:, leg[3]] + (0.0, 0.05, 0.0))
    assert moved[0, leg[1], 2] > pose[0, leg[1], 2] + 0.02
    np.testing.assert_allclose(bones(moved), bones(pose), atol=1e-9)


def test_a_heel_rises_before_the_toe_leaves_its_place() -> None:
    joints = sliding(2).joints[:1].astype(np.float64)
    moved, leg = joints.copy(), LEGS[0]
    path = joints[:, leg[3]] - (0.0, 0.0, 0.35)
    place_foot(moved, leg, path)
    np.testing.assert_allclose(moved[:, leg[3]], path, atol=1e-9)
    assert moved[0, leg[2], 1] > joints[0, leg[2], 1] + 0.01
    np.testing.assert_allclose(bones(moved), bones(joints), atol=1e-9)
