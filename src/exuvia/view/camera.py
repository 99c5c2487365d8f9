"""Camera of a clip: heading of the body, floor, a shot that follows the root, and perspective."""

from dataclasses import dataclass

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Floats, Joints

FIELD_OF_VIEW_RAD = np.deg2rad(28.0)
THREE_QUARTER_RAD = np.deg2rad(42.0)
"""Angle between the camera and straight ahead, towards the body's right, so that forward runs from left to right."""
ELEVATION_RAD = np.deg2rad(11.0)
_FLOOR_TOLERANCE_M = 0.3


def facing_rad(joints: Joints) -> float:
    """Heading of the body over a clip of joints [F, 22, 3]: 0 looks along +z, pi/2 along +x.

    This is the mean direction over all frames, or the first frame's direction if the body turns too much for a mean.
    """
    left, right = ([SMPL22.index(f"{side}_{part}") for part in ("hip", "shoulder")] for side in ("left", "right"))
    across = (joints[:, left] - joints[:, right]).sum(1)
    ahead = np.stack([-across[:, 2], across[:, 0]], axis=1).astype(np.float64)  # (x, z) of left × up
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    mean = ahead.mean(axis=0)
    x, z = mean if np.linalg.norm(mean) > 0.6 else ahead[0]
    return float(np.arctan2(x, z))


def floor_height_m(joints: Joints) -> float:
    """Height of the floor: 0 as in every prepared clip, or the lowest joint of a raw clip that is far from 0."""
    lowest = float(joints[..., 1].min())
    return 0.0 if abs(lowest) < _FLOOR_TOLERANCE_M else lowest


def smooth_root(joints: Joints, fps: float, window_s: float = 0.8) -> Floats:
    """Path [F, 2] (x and z) of the root of joints [F, 22, 3], with steps and sway averaged out."""
    from scipy.ndimage import uniform_filter1d  # slow to load, and pages do not need it

    root = joints[:, 0, ::2]
    half = min(round(window_s * fps / 2), len(root) - 1)
    return uniform_filter1d(root, 2 * half + 1, axis=0, mode="nearest")


@dataclass(frozen=True)
class Shot:
    """A camera for one clip; it moves with the root and keeps its direction and distance."""

    targets: Floats
    """Point in the middle of the picture in each frame [F, 3], metres."""
    azimuth_rad: float
    """Angle of the camera around the target; 0 is at +z."""
    distance_m: float
    """Distance from the camera to the target."""
    floor_m: float
    """Height of the floor."""
    elevation_rad: float = float(ELEVATION_RAD)
    """Angle of the camera above the target."""

    @classmethod
    def of(cls, clip: Clip, aspect: float, margin: float = 0.84) -> "Shot":
        """Shot that keeps every joint within the share `margin` of a picture of width / height `aspect`."""
        joints = clip.joints
        floor = floor_height_m(joints)
        path = smooth_root(joints, clip.fps)
        middle = (max(float(joints[..., 1].max()) + 0.15, floor + 1.6) + floor) / 2
        targets = np.stack([path[:, 0], np.full(len(path), middle, np.float32), path[:, 1]], axis=1)
        shot = cls(targets, facing_rad(joints) - float(THREE_QUARTER_RAD), 0.0, floor)
        seen = (joints - targets[:, None]) @ shot.axes.T
        half = np.tan(FIELD_OF_VIEW_RAD / 2) * margin
        needed = seen[..., 2] + np.maximum(np.abs(seen[..., 0]) / (half * aspect), np.abs(seen[..., 1]) / half)
        return cls(targets, shot.azimuth_rad, max(float(needed.max()), 3.2), floor)

    @property
    def axes(self) -> Floats:
        """Unit vectors right, up and towards the camera as rows [3, 3], in world axes."""
        sin_a, cos_a = np.sin(self.azimuth_rad), np.cos(self.azimuth_rad)
        sin_e, cos_e = np.sin(self.elevation_rad), np.cos(self.elevation_rad)
        rows = [[cos_a, 0.0, -sin_a], [-sin_a * sin_e, cos_e, -cos_a * sin_e], [sin_a * cos_e, sin_e, cos_a * cos_e]]
        return np.asarray(rows, np.float32)

    def project(self, points: Floats, frame: int, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Project points [..., 3] in metres in one frame of a picture of `size` (width, height) pixels.

        Returns x (right) and y (down) [..., 2] in pixels, and pixels per metre at each point's depth [...].
        """
        seen = (np.asarray(points, np.float32) - self.targets[frame]) @ self.axes.T
        depth = np.maximum(self.distance_m - seen[..., 2], 0.1)
        scale = size[1] / (2 * np.tan(FIELD_OF_VIEW_RAD / 2)) / depth
        pixels = np.stack([size[0] / 2 + seen[..., 0] * scale, size[1] / 2 - seen[..., 1] * scale], axis=-1)
        return pixels.astype(np.float32), scale.astype(np.float32)
