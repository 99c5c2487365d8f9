"""`Clip`: one motion, as joints in metres at a frame rate."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import ShapeError
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import MAX_FRAMES
from exuvia.registry import EXPORTER, resolve
from exuvia.shapes import Joints

FAR_M = 1e6
"""Distance from the origin beyond which float32 cannot separate the joints of a body."""


@dataclass(frozen=True)
class Clip:
    """A motion of the 22 SMPL joints: y up, right-handed, the left side at +x for a body that faces +z."""

    joints: Joints
    """Joint positions [F, 22, 3], metres, float32, finite."""
    fps: float = 20.0
    """Frames a second."""
    caption: str | None = None
    """Description of the motion, if known."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Origin of the motion: source file, original rate, joint mapping, seed."""

    def __post_init__(self) -> None:
        joints = np.ascontiguousarray(self.joints, dtype=np.float32)
        if joints.ndim != 3 or joints.shape[1:] != (SMPL22.num_joints, 3):
            raise ShapeError(f"found joints of shape {tuple(np.shape(self.joints))}, expected (frames, 22, 3)")
        if len(joints) < 2:
            raise ShapeError(f"found a motion of {len(joints)} frame(s), expected at least 2")
        if not np.isfinite(joints).all():
            bad = int((~np.isfinite(joints).all(axis=(1, 2))).sum())
            raise ShapeError(f"found NaN or infinite joints in {bad} of {len(joints)} frames, expected finite metres")
        if not (np.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise ShapeError(f"found {self.fps} frames a second, expected a rate above 0 and up to 1000")
        object.__setattr__(self, "joints", joints)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.joints)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.fps

    def resampled(self, fps: float = 20.0) -> "Clip":
        """The clip at another rate: every n-th frame if the rates divide, otherwise linear interpolation in time.

        HumanML3D takes every int(rate / 20)-th frame of its sources, which is the same if the rate is a multiple of 20.
        Raises ShapeError if the result would have more than `MAX_FRAMES` frames.
        """
        ratio = self.fps / fps
        if abs(ratio - 1.0) < 1e-6:
            return self
        if not (np.isfinite(ratio) and 0 < self.duration_s * fps <= MAX_FRAMES):
            raise ShapeError(
                f"found {self.frames} frames at {self.fps:g} a second, which would be over {MAX_FRAMES} at {fps:g}; "
                "check both rates"
            )
        if ratio > 0.5 and abs(ratio - round(ratio)) < 1e-6:
            return replace(self, joints=self.joints[:: round(ratio)], fps=fps)
        times = np.arange(int(np.floor((self.frames - 1) / ratio + 1e-9)) + 1) * ratio
        low = np.minimum(times.astype(np.int64), self.frames - 2)
        weight = (times - low).astype(np.float32)[:, None, None]
        joints = self.joints[low] * (1.0 - weight) + self.joints[low + 1] * weight
        return replace(self, joints=joints, fps=fps)

    def mirrored(self) -> "Clip":
        """The clip with left and right exchanged: x negated, paired joints swapped. The caption is unchanged."""
        joints = self.joints[:, list(SMPL22.mirror)] * np.asarray([-1.0, 1.0, 1.0], np.float32)
        return replace(self, joints=joints)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the clip in the format of the path's suffix (.npy .npz .bvh .glb .mp4 .gif .png .html).

        Raises ConfigError for an unknown suffix, ShapeError if a joint is farther than `FAR_M` from the origin or all
        joints coincide, and OutputError if the file cannot be written; no partial file remains.
        """
        target, far_m = Path(path), float(np.abs(self.joints).max())
        if far_m > FAR_M:
            raise ShapeError(f"found joints {far_m:.3g} m from the origin, expected at most {FAR_M:g}; check the unit")
        resolve(EXPORTER, target.suffix.lower(), "motion format")(self, target, **options)
        return target
