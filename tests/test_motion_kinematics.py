"""Kinematic measures: known results on generated motion, independence of the rate, plausible values on real motion."""

import json
from pathlib import Path

import numpy as np
import pytest

from exuvia.errors import ConfigError, ShapeError
from exuvia.motion import kinematics as k
from exuvia.motion.skeleton import SMPL22


def body(frames: int = 41) -> np.ndarray:
    joints = np.zeros((22, 3))
    for joint in range(1, 22):
        joints[joint] = joints[SMPL22.parents[joint]] + SMPL22.rest_offsets[joint]
    joints[:, 1] -= joints[:, 1].min()
    return np.repeat(joints[None], frames, 0)


def test_a_body_at_rest() -> None:
    got = k.measure(body(), 20.0)
    assert got == k.Kinematics(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("fps", [20.0, 40.0])
def test_a_body_that_slides_at_one_metre_a_second(fps: float) -> None:
    joints = body(int(2 * fps) + 1)
    joints[..., 0] += (np.arange(len(joints)) / fps)[:, None]
    got = k.measure(joints, fps)
    assert got.mean_joint_speed_m_per_s == pytest.approx(1.0)
    assert got.foot_skate_m_per_s == pytest.approx(1.0)
    assert (got.foot_skate_rate, got.freeze_rate, got.contact_rate) == (1.0, 0.0, 0.0)
    assert got.mean_jerk_m_per_s3 == pytest.approx(0.0, abs=1e-6)


def test_jerk_of_a_cubic_is_its_third_derivative() -> None:
    time = np.arange(60) / 30.0
    joints = body(60)
    joints[..., 1] += (2.0 * time**3)[:, None]
    assert k.mean_jerk_m_per_s3(joints, 30.0) == pytest.approx(12.0)


def test_feet_in_the_air_do_not_skate() -> None:
    joints = body()
    joints[..., 0] += np.arange(41)[:, None] / 10
    joints[..., 1] += 0.2
    assert k.foot_skate_rate(joints, 20.0) == 0.0
    assert k.foot_skate_m_per_s(joints, 20.0) == 0.0
    assert k.foot_skate_rate(joints, 20.0, floor_m=0.2) == 1.0


def test_penetration_is_depth_over_time() -> None:
    joints = body(40)
    joints[:10, :, 1] -= 0.08
    joints[10:20, :, 1] -= 0.004
    assert k.floor_penetration_m(joints) == pytest.approx(0.02)


def test_only_long_standstills_are_frozen() -> None:
    joints = body(61)
    moving = np.ones(60, bool)
    moving[5:10] = False  # a quarter of a second
    moving[20:50] = False
    joints[1:, :, 2] += np.cumsum(np.where(moving, 0.05, 0.0))[:, None]
    assert k.freeze_rate(joints, 20.0) == pytest.approx(0.5)
    assert k.freeze_rate(body(4), 20.0) == 1.0


def test_contacts_are_humanml3d_labels() -> None:
    rng = np.random.default_rng(0)
    joints = body(80) + np.cumsum(rng.normal(0, 0.03, (80, 22, 3)), 0)
    squared = (np.diff(joints[:, [7, 10, 8, 11]], axis=0) ** 2).sum(-1)
    np.testing.assert_array_equal(k.foot_contacts(joints, 20.0), squared < 0.002)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ShapeError, match="22, 3"):
        k.mean_joint_speed_m_per_s(np.zeros((9, 21, 3)), 20.0)
    with pytest.raises(ShapeError, match="at least 4"):
        k.measure(body(3), 20.0)
    with pytest.raises(ConfigError, match="positive rate"):
        k.freeze_rate(body(), 0.0)


def test_real_motion_is_plausible(shared_data: Path) -> None:
    archive = np.load(shared_data / "mocap" / "clips.npz")
    joints, offsets = archive["joints"], archive["offsets"]
    rows = [json.loads(line) for line in (shared_data / "mocap" / "clips.jsonl").read_text().splitlines()]
    walks = [i for i, row in enumerate(rows) if row["sensor"] == "optical" and "walk" in str(row["label"])][:20]
    got = [k.measure(joints[offsets[i] : offsets[i + 1]], 20.0) for i in walks]
    assert 0.3 < np.median([g.mean_joint_speed_m_per_s for g in got]) < 2.0
    assert np.median([g.freeze_rate for g in got]) == 0.0
    assert np.median([g.foot_skate_rate for g in got]) < 0.2
    assert max(g.floor_penetration_m for g in got) == 0.0


def test_range_is_the_box_of_a_joint_relative_to_the_pelvis() -> None:
    joints = body()
    moved = joints + np.linspace(0, 1, len(joints))[:, None, None]  # the whole body drifts: no range
    assert k.range_m(moved) == pytest.approx(0, abs=1e-6)
    moved[:, 20] += np.linspace(0, 1, len(joints))[:, None] * np.asarray([0.3, 0.4, 0.0])  # one wrist, by 0.5 m
    assert k.range_m(moved) == pytest.approx(0.5 / 21, abs=1e-6)
