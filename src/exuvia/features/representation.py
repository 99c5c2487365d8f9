"""Rotation-invariant motion features: joints -> [F-1, C], for any skeleton (HumanML3D 263-d, KIT 251-d).

The layout, with J joints and rows t made from frames t and t+1 (Sec. 3 [guo2022humanml3d]; HumanML3D,
motion_representation.ipynb):

    [0]            yaw velocity, arcsin of the quaternion's y: HALF the yaw step, rad a frame
    [1:3]          root x, z velocity in the heading frame of t+1, metres a frame
    [3]            root height, metres
    4 + 3(J-1)     joints 1..J-1, root-centred in x and z, turned to the heading of t, metres
    + 6(J-1)       6-D rotations of joints 1..J-1
    + 3J           velocities of all joints in the heading frame of t, metres a frame
    + 4            contacts: left ankle, left toe, right ankle, right toe

Internal arrays are component-first ([3, N, J] with all frames of many clips), so that each step is one pass over
contiguous memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ShapeError
from exuvia.features.recover import recover_joints, yawed
from exuvia.motion.skeleton import Skeleton
from exuvia.shapes import Features, Floats, Joints

SMOOTHING_FRAMES = 20.0
"""Standard deviation of the Gaussian that smooths the heading."""
CHUNK_FRAMES = 8192
"""Frames processed at a time, so that temporaries stay in the processor's cache."""


@dataclass(frozen=True)
class Representation:
    """A feature layout over a skeleton."""

    name: str
    skeleton: Skeleton
    fps: float
    facing: tuple[int, int, int, int]
    """Right hip, left hip, right shoulder, left shoulder."""
    leg: tuple[int, int]
    """The two bones whose lengths set the scale."""
    feet: tuple[int, int, int, int]
    """Left ankle, left toe, right ankle, right toe."""
    contact_threshold: float
    """Squared displacement per frame below which a foot is in contact (m², or mm² for KIT)."""

    @property
    def dim(self) -> int:
        """Feature channels C = 4 + 9(J-1) + 3J + 4."""
        return 12 * self.skeleton.num_joints - 1

    def encode(self, clips: Sequence[Joints], offsets: Floats | None = None, retarget: bool = True) -> list[Features]:
        """Features of several clips, one array [F-1, C] each; finite for every finite input.

        Joints are [F, J, 3] in metres, y up (KIT: millimetres). `retarget` gives every clip the lengths of the bone
        vectors `offsets` [J, 3] (None: the skeleton's), which is the published pre-processing. Raises ShapeError for a
        wrong joint count, fewer than 2 frames, or values that are not finite.
        """
        lengths = self._target_lengths(offsets) if retarget else None
        for number, clip in enumerate(clips):
            self._check(clip, number)
        encoded: list[Features] = []
        for part in _chunks(clips):
            batch = FrameBatch(part, self)
            if lengths is not None:
                batch.retarget(lengths)
            batch.stand_at_origin()
            encoded += batch.features()
        return encoded

    def recover(self, features: Features) -> Joints:
        """Joints [..., F, J, 3] from features [..., F, C]. Raises ShapeError if the number of channels is wrong."""
        if features.shape[-1] != self.dim:
            raise ShapeError(f"found {features.shape[-1]} feature channels, expected {self.dim} for {self.name}")
        return recover_joints(features, self.skeleton.num_joints)

    def _check(self, clip: Joints, number: int) -> None:
        wanted = (self.skeleton.num_joints, 3)
        if clip.ndim != 3 or clip.shape[1:] != wanted:
            raise ShapeError(f"clip {number}: found shape {clip.shape}, expected (frames, {wanted[0]}, 3)")
        if len(clip) < 2:
            raise ShapeError(f"clip {number}: found {len(clip)} frame(s), expected at least 2")
        if not np.isfinite(clip).all():
            raise ShapeError(f"clip {number}: found NaN or infinite joints, expected finite positions")

    def _target_lengths(self, offsets: Floats | None) -> Floats:
        if offsets is None:
            if not self.skeleton.lengths_m:
                raise ShapeError(f"{self.name} has no built-in bone lengths; pass offsets [J, 3]")
            offsets = self.skeleton.rest_offsets
        return np.linalg.norm(np.asarray(offsets, np.float32), axis=-1)


def _chunks(clips: Sequence[Joints]) -> Iterator[list[Joints]]:
    batch: list[Joints] = []
    frames = 0
    for clip in clips:
        if batch and frames + len(clip) > CHUNK_FRAMES:
            yield batch
            batch, frames = [], 0
        batch.append(clip)
        frames += len(clip)
    if batch:
        yield batch


class FrameBatch:
    """All frames of several clips, component-first, and the steps from joints to features."""

    def __init__(self, clips: Sequence[Joints], layout: Representation) -> None:
        self.layout = layout
        self.counts = np.asarray([len(clip) for clip in clips])
        self.starts = np.concatenate(([0], np.cumsum(self.counts)[:-1]))
        joined = np.concatenate([np.asarray(clip, np.float32) for clip in clips])
        self.points = np.ascontiguousarray(np.moveaxis(joined, -1, 0))  # [3, N, J]

    def _per_frame(self, per_clip: NDArray) -> NDArray:
        return np.repeat(per_clip, self.counts, axis=-1)

    def _directions(self) -> Floats:
        """Unit bone directions [3, N, J]; a bone of length 0 points as in the rest pose.

        For a bone of length 0 the published code divides 0 by 0. These bones, and bones exactly opposite to their rest
        direction (see `_bone_rotations`), are the reason why some published features are not finite.
        """
        parents = np.maximum(np.asarray(self.layout.skeleton.parents), 0)
        bones = self.points - self.points[:, :, parents]
        norm = np.sqrt((bones * bones).sum(0))
        rest = np.asarray(self.layout.skeleton.directions, np.float32).T[:, None, :]
        return np.where(norm > 0, bones / np.where(norm > 0, norm, 1), rest)

    def retarget(self, lengths: Floats) -> None:
        """Give every clip the target's bone lengths, and scale its path by the ratio of the leg lengths.

        The published code runs inverse and then forward kinematics. Along a chain the rotations cancel, so each bone
        simply keeps its direction and takes the target's length.
        """
        a, b = self.layout.leg
        parents = self.layout.skeleton.parents
        first = self.points[:, self.starts]  # [3, clips, J]
        source = sum(np.linalg.norm(first[:, :, j] - first[:, :, parents[j]], axis=0) for j in (a, b))
        scale = np.where(source > 0, (lengths[a] + lengths[b]) / np.where(source > 0, source, 1), 1)
        directions = self._directions()
        new = np.empty_like(self.points)
        new[:, :, 0] = self.points[:, :, 0] * self._per_frame(scale.astype(np.float32))
        for chain in self.layout.skeleton.chains:
            for parent, child in pairwise(chain):
                new[:, :, child] = new[:, :, parent] + lengths[child] * directions[:, :, child]
        self.points = new

    def stand_at_origin(self) -> None:
        """Move every clip to lowest joint at y = 0, first root at x = z = 0, first frame facing +z."""
        floor = np.minimum.reduceat(self.points[1].min(-1), self.starts)
        self.points[1] -= self._per_frame(floor)[:, None]
        for axis in (0, 2):
            self.points[axis] -= self._per_frame(self.points[axis, self.starts, 0])[:, None]
        right_hip, left_hip, right_shoulder, left_shoulder = self.layout.facing
        first = self.points[:, self.starts].astype(np.float64)
        hips = first[:, :, right_hip] - first[:, :, left_hip]
        shoulders = first[:, :, right_shoulder] - first[:, :, left_shoulder]
        across = hips + shoulders
        w, y = _half_turn_to_z(*_unit(across[2], -across[0]))
        cosine, sine = (self._per_frame(part).astype(np.float32)[:, None] for part in (1 - 2 * y * y, 2 * w * y))
        self.points[0], self.points[2] = yawed(self.points[0], self.points[2], cosine, sine)

    def heading(self) -> tuple[Floats, Floats]:
        """w and y of the root quaternion of every frame (x = z = 0).

        Quirks of the published code are kept because they define the features. Hips and shoulders have opposite signs
        (the inverse kinematics receives the hips swapped: HumanML3D issues 131, 137). The rotation of frame 0 is reset
        to the identity after smoothing, so row 0 may hold a yaw jump. And since w is never negative, the yaw velocity
        has the wrong sign in the frame that passes 180°.
        """
        from scipy.ndimage import gaussian_filter1d  # slow to load, and generating does not need it

        right_hip, left_hip, right_shoulder, left_shoulder = self.layout.facing
        p = self.points
        across = (p[:, :, left_hip] - p[:, :, right_hip]) + (p[:, :, right_shoulder] - p[:, :, left_shoulder])
        size = np.sqrt((across.astype(np.float64) ** 2).sum(0))
        # shorter than 1 if the body tilts sideways
        forward = np.stack((across[2], -across[0])) / np.where(size > 0, size, 1)
        smooth = np.empty_like(forward)
        for start, count in zip(self.starts, self.counts, strict=True):
            part = slice(start, start + count)
            smooth[:, part] = gaussian_filter1d(forward[:, part], SMOOTHING_FRAMES, axis=1, mode="nearest")
        w, y = _half_turn_to_z(*smooth)
        w[self.starts], y[self.starts] = 1.0, 0.0
        return w.astype(np.float32), y.astype(np.float32)

    def _bone_rotations(self, w: Floats, y: Floats) -> Floats:
        """6-D rotation of joints 1..J-1 relative to the previous joint of the chain, [N, J-1, 6].

        The global rotation of a bone is the shortest arc from its rest direction. Every chain starts from the root's
        rotation, even an arm, which is attached to the chest (a published quirk). A bone exactly opposite to its rest
        direction has no shortest arc (0/0 and NaN in the published code); here it takes half a turn.
        """
        directions = self._directions()
        rest = np.asarray(self.layout.skeleton.directions, np.float32).T[:, None, :]
        world = _shortest_arc(rest, directions)  # [4, N, J]
        before = np.empty_like(world)
        for chain in self.layout.skeleton.chains:
            before[0, :, chain[1]], before[2, :, chain[1]] = w, y
            before[1, :, chain[1]] = before[3, :, chain[1]] = 0
            for parent, child in pairwise(chain[1:]):
                before[:, :, child] = world[:, :, parent]
        return _sixd_of_relative(before[:, :, 1:], world[:, :, 1:])

    def features(self) -> list[Features]:
        """Feature rows of every clip."""
        w, y = self.heading()
        cosine, sine = 1 - 2 * y * y, 2 * w * y
        x, h, z = self.points
        rows = len(x) - 1
        ahead, here = slice(1, None), slice(0, rows)
        joints = self.layout.skeleton.num_joints
        out = np.empty((rows, self.layout.dim), np.float32)
        out[:, 0] = np.arcsin(np.clip(y[ahead] * w[here] - w[ahead] * y[here], -1, 1))
        step = self.points[:, ahead] - self.points[:, here]
        out[:, 1], out[:, 2] = yawed(step[0, :, 0], step[2, :, 0], cosine[ahead], sine[ahead])
        out[:, 3] = h[here, 0]
        c, s = cosine[here, None], sine[here, None]
        end = 4 + 3 * (joints - 1)
        local = out[:, 4:end].reshape(rows, joints - 1, 3)
        local[..., 0], local[..., 2] = yawed(x[here, 1:] - x[here, :1], z[here, 1:] - z[here, :1], c, s)
        local[..., 1] = h[here, 1:]
        out[:, 4:end] = local.reshape(rows, -1)
        start, end = end, end + 6 * (joints - 1)
        out[:, start:end] = self._bone_rotations(w, y)[here].reshape(rows, -1)
        velocity = np.empty((rows, joints, 3), np.float32)
        velocity[..., 0], velocity[..., 2] = yawed(step[0], step[2], c, s)
        velocity[..., 1] = step[1]
        out[:, end : end + 3 * joints] = velocity.reshape(rows, -1)
        feet = step[:, :, list(self.layout.feet)]
        out[:, -4:] = (feet * feet).sum(0) < self.layout.contact_threshold  # velocity alone, as published
        return [out[a : a + n - 1].copy() for a, n in zip(self.starts, self.counts, strict=True)]


def _unit(x: NDArray[np.float64], z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heading (x, z) of length 1; +z if the input is zero."""
    norm = np.hypot(x, z)
    safe = np.where(norm > 0, norm, 1)
    return np.where(norm > 0, x / safe, 0.0), np.where(norm > 0, z / safe, 1.0)


def _half_turn_to_z(x: NDArray[np.float64], z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """w and y of the shortest-arc quaternion from heading (x, z) to +z, w ≥ 0; -z gives half a turn."""
    x, z = _unit(x, z)
    w, y = 1.0 + z, -x
    size = np.hypot(w, y)
    back = size < 1e-9
    return np.where(back, 0.0, w / np.where(back, 1, size)), np.where(back, 1.0, y / np.where(back, 1, size))


def _shortest_arc(a: Floats, b: Floats) -> Floats:
    """Component-first shortest-arc quaternions [4, ...] from unit vectors a to b; opposite vectors give half a turn."""
    a = np.broadcast_to(a, b.shape)
    q = np.empty((4, *b.shape[1:]), np.float32)
    q[0] = 1.0 + (a * b).sum(0)
    q[1] = a[1] * b[2] - a[2] * b[1]
    q[2] = a[2] * b[0] - a[0] * b[2]
    q[3] = a[0] * b[1] - a[1] * b[0]
    norm = np.sqrt((q * q).sum(0))
    opposite = norm < 1e-6
    if opposite.any():
        q[:, opposite] = 0
        along_y = np.abs(a[1]) > 0.5
        q[1, opposite & along_y] = 1  # about x for a vertical bone, about y for any other
        q[2, opposite & ~along_y] = 1
        norm = np.where(opposite, 1, norm)
    return q / norm


def _sixd_of_relative(before: Floats, after: Floats) -> Floats:
    """6-D rotation before⁻¹ · after of component-first quaternions [4, N, K], [N, K, 6]."""
    w, x, y, z = before[0], -before[1], -before[2], -before[3]
    a, b, c, d = after
    r0 = w * a - x * b - y * c - z * d
    r1 = w * b + x * a + y * d - z * c
    r2 = w * c - x * d + y * a + z * b
    r3 = w * d + x * c - y * b + z * a
    sixd = np.empty((*r0.shape, 6), np.float32)
    sixd[..., 0] = 1 - 2 * (r2 * r2 + r3 * r3)
    sixd[..., 1] = 2 * (r1 * r2 + r0 * r3)
    sixd[..., 2] = 2 * (r1 * r3 - r0 * r2)
    sixd[..., 3] = 2 * (r1 * r2 - r0 * r3)
    sixd[..., 4] = 1 - 2 * (r1 * r1 + r3 * r3)
    sixd[..., 5] = 2 * (r2 * r3 + r0 * r1)
    return sixd
