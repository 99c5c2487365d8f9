"""Rigid bodies: one skeleton for a whole clip, posed like its joints in the least-squares sense.

A body has a vector for each bone and, at pelvis and upper spine, fixed angles between three bones. Poses are found by
block coordinate descent: each bone in turn gets the direction that brings the joints beyond it nearest to their
targets. Every step has a closed form and none increases the distance, so the solver also converges on cartwheels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.flights import free_fall
from exuvia.motion.foot_lock import locked
from exuvia.motion.kinematics import FEET, mean_jerk_m_per_s3
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.smoothing import SHORTEST_CURVE, smoothed, smoothed_between
from exuvia.shapes import Array

PARENTS = np.asarray(SMPL22.parents)
SWEEPS = 20
"""Number of passes over all bones."""
TRUST_M = 0.05
"""Mean distance of the body from a frame's joints at which the frame counts half in smoothing."""
CALMS_S = ((0.015, 0.05), (0.03, 0.05), (0.045, 0.06), (0.06, 0.08))
"""Smoothing of the joints, and of the toes' paths: the pairs to try."""
LOOK_S = 2.0
"""Time before and after a frame of a stream that decides on its feet."""
LIFT_S = 0.15
"""Smoothing of the height by which a body is lifted."""


def _beyond(joint: int) -> list[int]:
    return [joint, *(far for child in np.flatnonzero(PARENTS == joint) for far in _beyond(int(child)))]


ORDER = np.asarray(_beyond(0))
"""The joints depth first: a joint is followed by all that it carries."""
_PLACE = np.argsort(ORDER)
_ENDS = [place + len(_beyond(int(joint))) for place, joint in enumerate(ORDER)]
_GROUPS = [(joint, np.flatnonzero(PARENTS == joint)) for joint in ORDER[::-1] if (PARENTS == joint).any()]
"""Each joint with the ends of its bones, from the limbs inwards."""


def fit_body(joints: Array) -> Array:
    """Bone vectors [22, 3] in metres of the body that a clip's joints [F, 22, 3] show, each in the axes of its start.

    Bones have their median lengths over time, and the bones of pelvis and upper spine their median angles.
    """
    bones = joints - joints[:, np.maximum(PARENTS, 0)]
    sizes = np.linalg.norm(bones, axis=-1)
    lengths = np.median(sizes, axis=0)
    body = lengths[:, None] * (1.0, 0.0, 0.0)
    for _, ends in _GROUPS:
        if len(ends) > 1:
            units = bones[:, ends] / np.maximum(sizes[:, ends, None], 1e-9)
            cosines = np.median(units @ np.swapaxes(units, 1, 2), axis=0)
            values, axes = np.linalg.eigh(cosines)
            shape = axes * np.sqrt(np.maximum(values, 0))
            if np.median(np.linalg.det(units)) * np.linalg.det(shape) < 0:
                shape[:, 0] *= -1
            body[ends] = shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-9) * lengths[ends, None]
    return body


def pose_body(joints: Array, body: Array) -> Array:
    """Joints [F, 22, 3] of a body [22, 3] (`fit_body`), as near to the given ones as its bones allow.

    Each frame is solved by itself: a frame gives the same pose in any clip.
    """
    target = np.ascontiguousarray(np.moveaxis(joints[:, ORDER], 1, 0), np.float64)
    posed, off = target.copy(), np.zeros_like(target)  # off: from a joint to its target
    for _ in range(SWEEPS):
        for joint, ends in _GROUPS:
            bones = [posed[place] - posed[_PLACE[joint]] for place in _PLACE[ends]]
            parts = [slice(place, _ENDS[place]) for place in _PLACE[ends]]
            aims = [(p.stop - p.start) * bone + off[p].sum(0) for p, bone in zip(parts, bones, strict=True)]
            for part, bone, turned in zip(parts, bones, _turned(body[ends], aims), strict=True):
                posed[part] += turned - bone
                off[part] -= turned - bone
        shift = off.mean(0)
        posed += shift
        off -= shift
    return np.moveaxis(posed[_PLACE], 0, 1).copy()


def _turned(rest: Array, aims: Sequence[Array]) -> Sequence[Array]:
    """Bones [F, 3] along the aims: one by itself, several as a group of fixed shape (Kabsch's rotation)."""
    if len(aims) == 1:
        size = np.linalg.norm(aims[0], axis=1, keepdims=True)
        return [aims[0] * (np.linalg.norm(rest) / np.maximum(size, 1e-12))]
    u, _, vt = np.linalg.svd(np.einsum("kfi,kj->fij", np.stack(aims), rest))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return np.moveaxis(np.einsum("fij,kj->fki", u @ vt, rest), 1, 0)


def rigid_clip(clip: Clip, floor_m: float = 0.0) -> Clip:
    """The clip with a rigid body that stands on the floor (`stand`); its bones are fitted to the whole clip."""
    joints = clip.joints.astype(np.float64)
    return replace(clip, joints=stand(joints, clip.fps, fit_body(joints), floor_m).astype(np.float32))


def stand(joints: Array, fps: float, body: Array, floor_m: float = 0.0) -> Array:
    """Joints [F, 22, 3] of a body [22, 3] that is posed like the given ones, with locked feet, not below the floor.

    Joints are smoothed by as little as keeps their jerk at or below that of the given ones, and more in frames that
    the body cannot follow.
    """
    joints = joints.astype(np.float64)
    posed = pose_body(joints, body)
    if len(joints) < SHORTEST_CURVE:
        return _above(posed, floor_m, fps)
    trust = 1 / (1 + np.minimum(np.linalg.norm(posed - joints, axis=-1).mean(1) / TRUST_M, 10) ** 2)
    jerk = mean_jerk_m_per_s3(joints, fps)
    for calm_s, path_s in CALMS_S:
        calm = smoothed(posed.reshape(len(posed), -1), calm_s * fps, trust).reshape(posed.shape)
        calm[..., 1] = np.maximum(calm[..., 1], floor_m)
        moved = _above(pose_body(calm, body), floor_m, fps, spared=FEET)
        moved = free_fall(moved, fps, floor_m)
        moved = _above(locked(moved, fps, floor_m, path_s), floor_m, fps)
        if mean_jerk_m_per_s3(moved, fps) <= jerk:
            break
    return moved


def _above(joints: Array, floor_m: float, fps: float, spared: Sequence[int] = ()) -> Array:
    """Joints lifted, smoothly in time, so that none but the spared ones is below the floor."""
    need = floor_m - np.delete(joints, list(spared), axis=1)[..., 1].min(1)
    if not (need > 0).any():
        return joints
    lift = np.maximum(need, 0)
    if len(joints) >= SHORTEST_CURVE:
        lift = smoothed_between(lift, lift, np.full(len(lift), np.inf), LIFT_S * fps)
    return joints + lift[:, None, None] * (0.0, 1.0, 0.0)


class RigidStream:
    """Makes consecutive pieces of one motion rigid. All pieces have the body that the first two seconds show.

    The feet of a frame depend on later frames. Pieces are therefore returned with a delay; a frame that was returned
    does not change.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self.look = fps, round(LOOK_S * fps)
        self.body: Array | None = None
        self.joints: Array = np.zeros((0, SMPL22.num_joints, 3))
        self.solved: Array = self.joints
        self.past = 0
        """Number of the held frames that were already returned."""

    def add(self, joints: Array, last: bool = False) -> Array:
        """Frames [n, 22, 3] that are ready after the next ones [F, 22, 3]; none after the last are held back."""
        self.joints = np.concatenate((self.joints, joints.astype(np.float64)))
        ready = len(self.joints) - (0 if last else self.look)
        if ready <= self.past:
            return np.zeros((0, SMPL22.num_joints, 3), np.float32)
        if self.body is None:
            self.body = fit_body(self.joints)
        posed = stand(self.joints, self.fps, self.body)
        both = slice(self.past, len(self.solved))
        if both.start < both.stop:  # the last solution turns into the new one
            share = np.linspace(0, 1, both.stop - both.start + 2)[1:-1, None, None]
            mixed = pose_body((1 - share) * self.solved[both] + share * posed[both], self.body)
            posed[both] = _above(mixed, 0.0, self.fps)
        given = posed[self.past : ready].astype(np.float32)
        drop = max(0, ready - self.look)
        self.joints, self.solved, self.past = self.joints[drop:], posed[drop:], ready - drop
        return given
