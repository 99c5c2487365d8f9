"""Foot locking: feet stand still, bones keep their length, jerk does not increase, and other clips do not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.motion.clip import Clip
from exuvia.motion.foot_lock import LEGS, lock_feet, move_foot, stances
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
    for leg in LEGS:
        move_foot(pose[None], leg, np.array([[0.0, 0.08, 0.0]]))
    assert np.allclose(bones(pose[None]), np.asarray(SMPL22.lengths_m[1:]), atol=1e-6), "straight knees bend"
    pose[:, 1] -= pose[:, 1].min()
    way = np.zeros((frames, 1, 3))
    way[:, 0, 2] = 0.1 * np.sin(np.arange(frames) / FPS * speed / 0.1)
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


def test_stances_begin_by_strict_and_last_by_wider_limits() -> None:
    height = np.array([0.2, 0.04, 0.06, 0.06, 0.04, 0.2, 0.04, 0.2, 0.06, 0.06, 0.06])
    speed = np.array([2.0, 0.1, 0.7, 0.7, 0.1, 2.0, 0.1, 2.0, 0.1, 0.1, 0.1])
    assert stances(height, speed, FPS, (0.4, 0.9)) == [(1, 5)], "one frame is too short, and 6 cm begins nothing"
    assert stances(height, speed, FPS, (0.4, 0.5)) == []


@pytest.mark.parametrize("far", [0.02, 5.0])
def test_foot_moves_as_far_as_its_leg_reaches(far: float) -> None:
    joints = sliding(5).joints.astype(np.float64)
    moved, leg = joints.copy(), LEGS[0]
    shift = np.tile([0.0, 0.0, far], (5, 1))
    move_foot(moved, leg, shift)
    np.testing.assert_allclose(bones(moved), bones(joints), atol=1e-9)
    way = moved[:, leg[2]] - joints[:, leg[2]]
    np.testing.assert_allclose(moved[:, leg[3]] - joints[:, leg[3]], way, atol=1e-12)
    if far < 1:
        np.testing.assert_allclose(way, shift, atol=1e-9)
    else:
        assert (way[:, 2] > 0.3).all()
        assert (way[:, 2] < 1).all()
