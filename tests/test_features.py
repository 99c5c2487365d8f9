"""Motion features: round trips, invariances, degenerate bodies, bad input (parity is tested with golden vectors)."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ShapeError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.kit import KIT
from exuvia.features.normaliser import Normaliser, groups
from exuvia.features.representation import FrameBatch
from exuvia.motion.skeleton import SMPL22
from lab.parity.rotation import qrot


def body(frames: int, seed: int) -> np.ndarray:
    """A body with the target's bone lengths that turns, sways and walks."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((frames, 22, 3), np.float32)
    time = np.arange(frames)[:, None] / 20
    sway = 0.3 * np.sin(time * rng.uniform(1, 4, 22) + rng.uniform(0, 6, 22))
    for chain in SMPL22.chains:
        for parent, child in pairwise(chain):
            direction = np.asarray(SMPL22.directions[child], np.float32) + np.stack(
                (sway[:, child], 0.3 * sway[:, parent], 0.5 * sway[:, child]), axis=-1
            )
            direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
            joints[:, child] = joints[:, parent] + SMPL22.lengths_m[child] * direction
    yaw = 0.4 * time[:, 0]
    turn = np.stack((np.cos(yaw / 2), 0 * yaw, np.sin(yaw / 2), 0 * yaw), -1).astype(np.float32)
    joints = qrot(turn[:, None], joints).astype(np.float32)
    joints[..., 0] += 0.8 * time.astype(np.float32)
    joints[..., 1] += 1.0
    return joints


def canonical(joints: np.ndarray) -> np.ndarray:
    """A clip with the target's bone lengths, on the floor, starting at the origin and facing +z."""
    batch = FrameBatch([joints], HUMANML3D)
    batch.retarget(np.linalg.norm(SMPL22.rest_offsets, axis=-1))
    batch.stand_at_origin()
    return np.moveaxis(batch.points, 0, -1)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(2, 90), seed=st.integers(0, 10**6))
def test_recovered_joints_are_the_canonical_motion(frames: int, seed: int) -> None:
    joints = body(frames, seed)
    features = HUMANML3D.encode([joints])[0]
    assert features.shape == (frames - 1, 263)
    assert np.allclose(HUMANML3D.recover(features), canonical(joints)[:-1], atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), yaw=st.floats(-3, 3), x=st.floats(-5, 5), z=st.floats(-5, 5), y=st.floats(-2, 2))
def test_features_do_not_depend_on_place_or_heading(seed: int, yaw: float, x: float, z: float, y: float) -> None:
    joints = body(30, seed)
    turn = np.asarray([np.cos(yaw / 2), 0, np.sin(yaw / 2), 0], np.float32)
    moved = qrot(turn, joints) + np.asarray([x, y, z], np.float32)
    assert np.allclose(HUMANML3D.encode([joints])[0], HUMANML3D.encode([moved.astype(np.float32)])[0], atol=2e-3)


def test_batch_equals_single_clips() -> None:
    clips = [body(n, n) for n in (2, 17, 196, 40, 9000)]
    together = HUMANML3D.encode(clips)
    assert all(np.array_equal(a, HUMANML3D.encode([clip])[0]) for a, clip in zip(together, clips, strict=True))


def test_retargeting_gives_the_target_bones_and_keeps_directions() -> None:
    joints = body(20, 3) * 1.3
    standing = canonical(joints)
    parents = list(SMPL22.parents)
    bones = np.linalg.norm(standing[:, 1:] - standing[:, parents[1:]], axis=-1)
    assert np.allclose(bones, SMPL22.lengths_m[1:], atol=1e-5)
    assert standing[..., 1].min() == pytest.approx(0, abs=1e-6)
    assert np.allclose(standing[0, 0, [0, 2]], 0)


@pytest.mark.parametrize("kind", ["zero bone", "opposite bone", "point body", "three frames", "heading straight back"])
def test_degenerate_bodies_give_finite_features(kind: str) -> None:
    joints = body(40, 1)
    if kind == "zero bone":
        joints[:, 13] = joints[:, 9]
    if kind == "opposite bone":
        joints[5:, 20] = joints[5:, 18] + np.asarray([0, 0.27, 0], np.float32)
    if kind == "point body":
        joints[:] = 1.0
    if kind == "three frames":
        joints = joints[:3]
    if kind == "heading straight back":
        joints = joints * np.asarray([-1, 1, -1], np.float32)
    features = HUMANML3D.encode([joints])[0]
    assert np.isfinite(features).all()
    assert np.isfinite(HUMANML3D.recover(features)).all()


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((5, 21, 3), np.float32), r"\(5, 21, 3\)"),
        (np.zeros((1, 22, 3), np.float32), "1 frame"),
        (np.full((5, 22, 3), np.nan, np.float32), "NaN"),
    ],
)
def test_bad_joints_are_named(joints: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        HUMANML3D.encode([joints])


def test_wrong_channel_count_is_named() -> None:
    with pytest.raises(ShapeError, match=r"251.*263"):
        HUMANML3D.recover(np.zeros((4, 251), np.float32))


def test_kit_has_251_channels_and_needs_offsets() -> None:
    assert KIT.dim == 251
    with pytest.raises(ShapeError, match="offsets"):
        KIT.encode([np.zeros((5, 21, 3), np.float32)])


def test_evaluator_statistics_are_std_over_25_on_root_and_contacts() -> None:
    rng = np.random.default_rng(0)
    normaliser = Normaliser.fit([rng.normal(size=(50, 263)).astype(np.float32)], 22)
    ratio = normaliser.std / normaliser.evaluator().std
    assert np.allclose(ratio[[0, 1, 2, 3, 259, 260, 261, 262]], 25)
    assert np.allclose(ratio[4:259], 1)
    for low, high in groups(22):
        assert np.ptp(normaliser.std[low:high]) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_denormalising_inverts_normalising(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(30, 263)) * rng.uniform(0.1, 9, 263)).astype(np.float32)
    normaliser = Normaliser.fit([x], 22)
    assert np.allclose(normaliser.denormalise(normaliser.normalise(x)), x, atol=1e-3)


def test_statistics_leave_non_finite_clips_out() -> None:
    good = np.random.default_rng(0).normal(size=(40, 263)).astype(np.float32)
    bad = np.full((3, 263), np.nan, np.float32)
    assert np.array_equal(Normaliser.fit([good, bad], 22).mean, Normaliser.fit([good], 22).mean)
    with pytest.raises(ShapeError, match="no finite clip"):
        Normaliser.fit([bad], 22)


def test_all_real_clips_get_finite_features(shared_data: Path) -> None:
    archive = np.load(shared_data / "mocap" / "clips.npz")
    joints, offsets = archive["joints"], archive["offsets"]
    count = len((shared_data / "mocap" / "clips.jsonl").read_text().splitlines())
    clips = [joints[a:b] for a, b in pairwise(offsets)]
    assert len(clips) == count
    features = HUMANML3D.encode(clips)
    assert all(np.isfinite(f).all() for f in features)
    assert json.dumps(sum(map(len, features))) == str(len(joints) - count)
