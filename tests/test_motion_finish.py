"""Motion in place, and motion that loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.finish import in_place, looped
from exuvia.motion.skeleton import SMPL22
from made_mocap import body

PARENTS = [max(parent, 0) for parent in SMPL22.parents]


def lengths(joints: np.ndarray) -> np.ndarray:
    """Bone lengths [F, 22]."""
    return np.linalg.norm(joints - joints[:, PARENTS], axis=-1)


def test_a_motion_in_place_keeps_heights_and_limbs() -> None:
    clip = Clip(body(30, 1))
    still = in_place(clip)
    assert np.abs(still.joints[:, 0, [0, 2]]).max() == 0
    np.testing.assert_array_equal(still.joints[..., 1], clip.joints[..., 1])
    np.testing.assert_allclose(lengths(still.joints), lengths(clip.joints), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(4, 80), fps=st.sampled_from([20.0, 30.0, 120.0]))
def test_a_loop_meets_its_start_without_a_jump(seed: int, frames: int, fps: float) -> None:
    clip = Clip(body(frames, seed), fps=fps)
    loop = looped(clip)
    ground = np.asarray((1, 0, 1), np.float32)
    ends = loop.joints[[0, -1]] - loop.joints[[0, -1], :1] * ground
    first, last = (np.arctan2(pose[2, 2] - pose[1, 2], pose[1, 0] - pose[2, 0]) for pose in ends)
    cos, sin = np.cos(last - first), np.sin(last - first)
    kept = ends[0] @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    np.testing.assert_allclose(ends[1], kept, atol=1e-4)
    turn = abs((last - first + np.pi) % (2 * np.pi) - np.pi)
    assert turn < 1e-4 or turn > np.pi / 4 - 1e-4
    before, after = lengths(clip.joints), lengths(loop.joints)
    assert (after.min(0) > before.min(0) - 1e-4).all()
    assert (after.max(0) < before.max(0) + 1e-4).all()
    if frames > 30:
        usual = np.abs(np.diff(clip.joints, axis=0)).max()
        difference = np.abs(clip.joints[-1] - clip.joints[0]).max()
        assert np.abs(np.diff(loop.joints, axis=0)).max() < 3 * usual + difference / 2


def test_a_turn_of_the_body_is_kept() -> None:
    joints = body(60, 0).astype(np.float64)
    angle = np.linspace(0, np.pi / 2, 60)
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros(60)
    spin = np.stack([cos, zero, sin, zero, zero + 1, zero, -sin, zero, cos], axis=1).reshape(60, 3, 3)
    loop = looped(Clip(np.einsum("frc,fjc->fjr", spin, joints).astype(np.float32)))
    across = loop.joints[:, SMPL22.index("left_hip")] - loop.joints[:, SMPL22.index("right_hip")]
    heading = np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))
    assert heading[-1] - heading[0] > np.pi / 3
    assert (np.diff(heading) > -0.1).all()


def test_a_motion_of_three_frames_cannot_loop() -> None:
    with pytest.raises(ShapeError, match="at least 4"):
        looped(Clip(body(3, 0)))
