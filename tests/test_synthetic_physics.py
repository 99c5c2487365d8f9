"""Synthetic motion is plausible: bones, floor, contacts that do not slide, flights by gravity, knees, roughness."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.motion.chain import unit
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from exuvia.synthetic.actor import GRAVITY, Part
from exuvia.synthetic.catalogue import ACTION
from exuvia.synthetic.dataset import perform, synthesise
from exuvia.synthetic.rig import balance_point
from exuvia.synthetic.style import STYLE

SIDES = ("left", "right")


def joint(joints: Joints, name: str) -> Joints:
    """One joint by name, [F, 3]."""
    return joints[:, SMPL22.index(name)]


def check_body(joints: Joints) -> None:
    """Bones keep their length, nothing is under the floor or faster than a fast kick, and knees bend one way."""
    assert np.isfinite(joints).all()
    bones = [
        np.linalg.norm(joints[:, k].astype(np.float64) - joints[:, parent], axis=-1)
        for k, parent in enumerate(SMPL22.parents)
        if parent >= 0
    ]
    assert all(np.ptp(bone) < 1e-4 * bone.mean() for bone in bones)
    assert -0.005 <= joints[..., 1].min() <= 0.01
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * 20.0
    assert speed.max() < 15.0
    for slide in slides(joints):
        assert slide < 0.02
    for side in SIDES:
        assert not bent_backwards(joints, side).any()


def slides(joints: Joints) -> Iterator[float]:
    """Distance that the ball of the foot slides over the floor in each stance, in metres."""
    for side in SIDES:
        ball = joint(joints, f"{side}_foot")
        down = np.concatenate(([False], ball[:, 1] < 0.012, [False]))
        for start, end in zip(*(np.flatnonzero(np.diff(down.astype(int)) == way) for way in (1, -1)), strict=True):
            stance = ball[start + 1 : end - 1, [0, 2]]
            if len(stance) >= 2:
                yield float(np.linalg.norm(stance - stance[len(stance) // 2], axis=-1).max())


def bent_backwards(joints: Joints, side: str) -> np.ndarray:
    """Whether the knee is clearly bent against the direction in which the foot points, [F]."""
    hip, knee, ankle, foot = (joint(joints, f"{side}_{name}") for name in ("hip", "knee", "ankle", "foot"))
    thigh, shin = unit(knee - hip), unit(ankle - knee)
    toes = (foot - ankle) - shin * ((foot - ankle) * shin).sum(-1, keepdims=True)
    out = (unit(knee - (hip + ankle) / 2) * unit(toes)).sum(-1)
    return ((thigh * shin).sum(-1) < np.cos(np.deg2rad(15.0))) & (out < -0.3)


def skating(joints: Joints) -> Iterator[float]:
    """Mean speed over the floor of each ball, hand and knee while it is down, in m/s."""
    for name, low, high in (("foot", -0.01, 0.012), ("wrist", 0.03, 0.045), ("knee", 0.03, 0.065)):
        for side in SIDES:
            place = joint(joints, f"{side}_{name}").astype(np.float64)
            still = np.abs(np.gradient(place[:, 1])) < 0.002
            down = (place[:, 1] > low) & (place[:, 1] < high) & still
            speed = np.linalg.norm(np.diff(place[:, [0, 2]], axis=0), axis=-1) * 20.0
            if (both := down[1:] & down[:-1]).sum() >= 4:
                yield float(speed[both].mean())


def falls(joints: Joints) -> np.ndarray:
    """Downward acceleration of the centre of mass over gravity in the middle of flights, in m/s²."""
    lowest = joints[:, [10, 11]][..., 1].min(1)
    aloft = (lowest > 0.025) & (joints[:, [0, 4, 5, 20, 21], 1].min(1) > 0.15)
    inside = aloft[:-4] & aloft[1:-3] & aloft[2:-2] & aloft[3:-1] & aloft[4:]
    return -np.diff(balance_point(joints)[:, 1], n=2)[1:-1][inside] * 400.0


def jerk(joints: Joints) -> np.ndarray:
    """Third derivative of all joints, [F - 3, 22] in m/s³."""
    return np.linalg.norm(np.diff(joints.astype(np.float64), n=3, axis=0), axis=-1) * 20.0**3


@pytest.mark.parametrize("action", ACTION)
def test_every_action_is_physically_plausible(action: str) -> None:
    rough = []
    for clip in synthesise(5, seed=21, actions=[action], compositions=0.0):
        joints = clip.clip.joints
        check_body(joints)
        assert max(skating(joints), default=0.0) < 0.05
        if ACTION[action].label != "stairs":  # whose feet stand above the lowest floor
            np.testing.assert_allclose(falls(joints), GRAVITY, rtol=0.15)
        rough.append(np.median(jerk(joints)))
    assert 2.5 < np.median(rough) < 140.0  # 80 % of real optical clips are between 3 and 138


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 10**6))
def test_any_clip_of_any_seed_is_physically_plausible(seed: int, number: int) -> None:
    (clip,) = synthesise(1, seed, compositions=0.7, start=number)
    check_body(clip.clip.joints)


@pytest.mark.parametrize("style", STYLE)
def test_every_style_suits_walking_and_kicking(style: str) -> None:
    for part in (Part("walk", "", 5), Part("kick_roundhouse", "left", 2, "high"), Part("sit_down")):
        check_body(perform([part], STYLE[style], (5,))[0])
