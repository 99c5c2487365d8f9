"""Rigid bodies: bones of constant length, the nearest pose, feet on the floor, the same in any company, exact files."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import exuvia
from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import foot_skate_rate, mean_jerk_m_per_s3
from exuvia.motion.rigid import RigidStream, fit_body, pose_body, rigid_clip
from exuvia.motion.skeleton import SMPL22
from exuvia.pipeline.stream import Scene
from lab.experiments.formats import bone_spread_m, free_turns, glb_joints, slides
from made_mocap import body
from tiny import tiny_pipeline

PARENTS = list(SMPL22.parents[1:])
GROUPS = [[SMPL22.index(name) for name in names] for names in (
    ("left_hip", "right_hip", "spine1"), ("left_collar", "right_collar", "neck"),
)]  # fmt: skip


def tumbling(frames: int, seed: int, noise_m: float = 0.0) -> np.ndarray:
    """A rigid body with random smooth rotations of all bones and of the whole body, also upside down."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 3, frames)[:, None]
    spine, rest = SMPL22.rest_offsets.astype(np.float64), np.zeros((frames, 22, 3))
    turns = [Rotation.from_rotvec(np.sin(time * rng.uniform(0.5, 2) + rng.uniform(0, 6)) * rng.normal(0, 1, 3))
             for _ in range(22)]  # fmt: skip
    world = [turns[0]] * 22
    for chain in SMPL22.chains:
        for start, joint in itertools.pairwise(chain):
            rest[:, joint] = rest[:, start] + world[start].apply(spine[joint])
            world[joint] = world[start] * turns[joint]
    return rest + np.array([0.0, 1.0, 0.0]) + rng.normal(0, noise_m, rest.shape)


def distances(joints: np.ndarray, group: list[int]) -> np.ndarray:
    """Distances between the ends of three bones [F, 3]."""
    return np.linalg.norm(joints[:, group] - joints[:, np.roll(group, -1)], axis=-1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.2), frames=st.integers(2, 60))
def test_bones_and_girdles_are_constant_and_above_the_floor(seed: int, noise: float, frames: int) -> None:
    clip = rigid_clip(Clip(tumbling(frames, seed, noise).astype(np.float32)))
    assert bone_spread_m(clip.joints) < 1e-6
    for group in GROUPS:
        assert distances(clip.joints.astype(np.float64), group).std(0).max() < 1e-6
    assert clip.joints[..., 1].min() >= -1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_rigid_motion_is_its_own_projection(seed: int) -> None:
    joints = tumbling(12, seed)
    posed = pose_body(joints, fit_body(joints))
    np.testing.assert_allclose(posed, joints, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0.01, 0.1))
def test_the_pose_is_a_least_squares_one(seed: int, noise: float) -> None:
    joints = tumbling(6, seed, noise)
    shape = fit_body(joints)
    posed = pose_body(joints, shape)
    error = ((posed - joints) ** 2).sum((1, 2))
    rng = np.random.default_rng(seed)
    for joint in range(22):  # turning everything beyond a joint a little brings nothing nearer
        beyond = [joint]
        for child in range(22):
            if SMPL22.parents[child] in beyond:
                beyond.append(child)
        turn = Rotation.from_rotvec(rng.normal(0, 0.02, 3))
        other = posed.copy()
        pivot = posed[:, joint, None]
        other[:, beyond] = pivot + turn.apply((posed[:, beyond] - pivot).reshape(-1, 3)).reshape(6, -1, 3)
        assert (((other - joints) ** 2).sum((1, 2)) >= error * (1 - 0.02)).all()


def test_a_frame_has_the_same_pose_in_any_clip() -> None:
    joints = tumbling(30, 1, 0.05)
    shape = fit_body(joints)
    together = pose_body(joints, shape)
    assert pose_body(joints[7:9], shape).tobytes() == together[7:9].tobytes()


def test_girdles_keep_their_side_of_depth() -> None:
    joints = tumbling(20, 4)
    for group in GROUPS:  # move the upward bone, with all beyond it, out of the plane of the other two
        start = SMPL22.parents[group[0]]
        left, up = (joints[:, end] - joints[:, start] for end in (group[0], group[2]))
        depth = np.cross(left, up)
        beyond = [group[2]]
        for child, parent in enumerate(SMPL22.parents):
            if parent in beyond:
                beyond.append(child)
        joints[:, beyond] += (0.05 * depth / np.linalg.norm(depth, axis=1, keepdims=True))[:, None]
    for motion in (joints, joints * (-1.0, 1.0, 1.0)):
        np.testing.assert_allclose(pose_body(motion, fit_body(motion)), motion, atol=1e-6)


@pytest.fixture(scope="module")
def walks() -> list[tuple[Clip, Clip]]:
    """Motions of the shipped generator as decoded and as returned."""
    pipe = exuvia.MotionPipeline.from_pretrained("base")
    prompts = ["a person walks in a circle", "a person walks backwards", "a person runs forward"]
    raw, made = (pipe(prompts, seed=0, frames=80, raw=flag) for flag in (True, False))
    return list(zip(raw, made, strict=True))


def test_feet_of_generated_walks_stand(walks: list[tuple[Clip, Clip]]) -> None:
    before, after = (np.mean([slides(pair[n].joints, 20.0) for pair in walks]) for n in (0, 1))
    assert before > 0.3
    assert after < 0.1
    assert np.mean([foot_skate_rate(clip.joints, clip.fps) for _, clip in walks]) < 0.05
    jerks = [[mean_jerk_m_per_s3(clip.joints, clip.fps) for clip in pair] for pair in walks]
    assert np.mean(jerks, axis=0)[1] <= 1.02 * np.mean(jerks, axis=0)[0]
    for raw, clip in walks:
        posed = pose_body(raw.joints, fit_body(raw.joints.astype(np.float64)))
        assert np.linalg.norm(clip.joints - posed, axis=-1).mean() < 0.02
        assert (raw.caption, raw.meta, raw.frames) == (clip.caption, clip.meta, clip.frames)


def test_files_hold_the_clip(walks: list[tuple[Clip, Clip]], tmp_path: Path) -> None:
    for _, clip in walks:
        again = exuvia.load_clip(clip.save(tmp_path / "walk.bvh"), None)
        assert np.linalg.norm(again.joints - clip.joints, axis=-1).mean() < 1e-4
        places = glb_joints(clip.save(tmp_path / "walk.glb"))
        assert np.linalg.norm(places - clip.joints, axis=-1).mean() < 1e-4
        assert free_turns((tmp_path / "walk.bvh").read_text(encoding="utf-8")) < 0.01


def test_a_stream_is_one_body_without_seams() -> None:
    pieces = np.split(body(300, 2), [90, 130, 131, 260])
    stream = RigidStream(20.0)
    given = [stream.add(piece) for piece in pieces]
    assert [len(part) for part in given] == [50, 40, 1, 129, 40]
    joints = np.concatenate([*given, stream.add(pieces[0][:0], last=True)])
    assert len(joints) == 300
    assert bone_spread_m(joints) < 1e-6
    assert np.linalg.norm(joints - np.concatenate(pieces), axis=-1).mean() < 0.1
    steps = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1).max(1)
    joins = np.cumsum([len(part) for part in given])
    assert steps[joins - 1].max() <= np.quantile(steps, 0.99) * 1.5


def test_streams_are_rigid_or_raw() -> None:
    pipe = tiny_pipeline()
    scenes = [Scene("a man walks", 120), Scene("a man sits down", 60)]
    raw, made = (list(pipe.stream(scenes, seed=1, raw=flag)) for flag in (True, False))
    assert sum(clip.frames for clip in raw) == sum(clip.frames for clip in made) == 180
    assert bone_spread_m(np.concatenate([clip.joints for clip in raw])) > 1e-4
    assert bone_spread_m(np.concatenate([clip.joints for clip in made])) < 1e-5
    assert [clip.caption for clip in made][-1] == "a man sits down"
