"""Picture of one pose: figure, shadow, floor and root path, drawn with Pillow."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from exuvia.errors import ConfigError
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


Colour = tuple[int, int, int]

PAPER: Colour = (250, 250, 248)
INK: Colour = (38, 44, 52)
MUTED: Colour = (112, 120, 130)
LEFT: Colour = (29, 107, 196)
RIGHT: Colour = (222, 110, 38)
TRUNK: Colour = (74, 84, 98)
PATH: Colour = (20, 140, 120)
_GRID: Colour = (205, 209, 212)
_SHADOW: Colour = (222, 223, 222)

_SMOOTH = 2  # pictures are drawn larger by this factor and then shrunk
_GRID_STEP_M, _GRID_REACH_M = 0.5, 3.0
_HEAD_RADIUS_M = 0.105
_RADIUS_M = {"hip": 0.07, "knee": 0.062, "ankle": 0.05, "foot": 0.04, "collar": 0.06, "shoulder": 0.055, "elbow": 0.045}
_RADIUS_M |= {"wrist": 0.038, "spine1": 0.085, "spine2": 0.09, "spine3": 0.09, "neck": 0.06, "head": 0.05}


def side_of(joint: str) -> str:
    """Part of the body to which a joint belongs: `left`, `right` or `trunk`."""
    side = joint.partition("_")[0]
    return side if side in ("left", "right") else "trunk"


def radius_m(joint: str) -> float:
    """Half the thickness of the limb that ends in a joint, metres."""
    return _RADIUS_M.get(joint.split("_")[-1], 0.07)


_COLOUR = {"left": LEFT, "right": RIGHT, "trunk": TRUNK}
_LIMBS = [(parent, child, name) for child, (parent, name) in enumerate(zip(SMPL22.parents, SMPL22.joints, strict=True))]
_BONES = [(parent, child, _COLOUR[side_of(joint)], radius_m(joint)) for parent, child, joint in _LIMBS if parent >= 0]


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font at a size in pixels."""
    return ImageFont.load_default(size)


def fit_text(text: str, width: float, size: int) -> str:
    """One line of text no wider than `width` pixels, shortened with an ellipsis if necessary."""
    text, face = " ".join(text.split()), font(size)
    if face.getlength(text) <= width:
        return text
    lengths = range(1, len(text) + 1)
    fitting = bisect_right(lengths, width, key=lambda length: face.getlength(text[:length].rstrip() + "…"))
    return text[:fitting].rstrip() + "…"


def check_size(size: tuple[int, int]) -> None:
    """Raise ConfigError for a picture size that is too small or too large."""
    if len(size) != 2 or not all(isinstance(n, int) and 48 <= n <= 4096 for n in size):
        raise ConfigError(f"found a picture size of {size!r}, expected (width, height), each from 48 to 4096 pixels")


def draw_frame(clip: Clip, frame: int, size: tuple[int, int], *, shot: Shot, label: str = "") -> Image.Image:
    """Draw one frame of a clip as an RGB picture of `size` (width, height) pixels.

    The camera is `Shot.of(clip, width / height)`; the label is a short text in the lower left corner, such as the time.
    """
    large = (size[0] * _SMOOTH, size[1] * _SMOOTH)
    image = Image.new("RGB", large, PAPER)
    draw = ImageDraw.Draw(image)
    _draw_floor(draw, shot, frame, large)
    _draw_path(draw, clip, shot, frame, large)
    _draw_figure(draw, clip.joints[frame], shot, frame, large)
    image = image.resize(size, Image.Resampling.BOX)
    if label:
        height = max(10, size[1] // 20)
        ImageDraw.Draw(image).text((height * 0.7, size[1] - height * 1.7), label, MUTED, font(height))
    return image


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Mixture of `colour` with a `share` (0 to 1) of `other`."""
    return tuple(round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))  # type: ignore[return-value]


def _points(pixels: Floats) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in pixels]


def _draw_floor(draw: ImageDraw.ImageDraw, shot: Shot, frame: int, size: tuple[int, int]) -> None:
    """Draw a grid that is fixed in the world and fades with the distance from the figure."""
    centre = shot.targets[frame][[0, 2]]
    first = np.ceil((centre - _GRID_REACH_M) / _GRID_STEP_M) * _GRID_STEP_M
    along = np.linspace(-_GRID_REACH_M, _GRID_REACH_M, 13)
    for axis in (0, 1):
        for value in np.arange(first[axis], centre[axis] + _GRID_REACH_M, _GRID_STEP_M):
            line = np.full((len(along), 3), shot.floor_m, np.float32)
            line[:, 0 if axis == 0 else 2] = value
            line[:, 2 if axis == 0 else 0] = centre[1 - axis] + along
            pixels, scale = shot.project(line, frame, size)
            far = np.hypot(along, value - centre[axis]) / _GRID_REACH_M
            for i in range(len(along) - 1):
                fade = (far[i] + far[i + 1]) / 2
                if fade < 1 and shot.distance_m * scale[i] > 0 and scale[i] < 40 * size[1]:  # in front
                    draw.line(_points(pixels[i : i + 2]), _mix(_GRID, PAPER, float(fade)), _SMOOTH)


def _draw_path(draw: ImageDraw.ImageDraw, clip: Clip, shot: Shot, frame: int, size: tuple[int, int]) -> None:
    """Draw the root's path over the floor: past (strong) and future (faint)."""
    path = clip.joints[:, 0].copy()
    path[:, 1] = shot.floor_m
    pixels, _ = shot.project(path, frame, size)
    width = max(_SMOOTH, size[1] // 160)
    if frame + 1 < len(path):
        draw.line(_points(pixels[frame:]), _mix(PATH, PAPER, 0.72), width, joint="curve")
    if frame > 0:
        draw.line(_points(pixels[: frame + 1]), PATH, width, joint="curve")


def _draw_capsule(draw: ImageDraw.ImageDraw, a: Floats, b: Floats, radius: float, colour: Colour) -> None:
    draw.line(_points(np.stack([a, b])), colour, max(1, round(2 * radius)))
    for x, y in (a, b):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _draw_figure(draw: ImageDraw.ImageDraw, pose: Floats, shot: Shot, frame: int, size: tuple[int, int]) -> None:
    """Draw the shadow, then bones from far to near; a rim in the background colour separates crossing limbs."""
    ground = pose.copy()
    ground[:, 1] = shot.floor_m
    flat, flat_scale = shot.project(ground, frame, size)
    for parent, child, _, radius in _BONES:
        _draw_capsule(draw, flat[parent], flat[child], radius * float(flat_scale[child]) * 0.6, _SHADOW)
    pixels, scale = shot.project(pose, frame, size)
    rim = size[1] / 160
    for parent, child, colour, radius in sorted(_BONES, key=lambda bone: float(scale[bone[0]] + scale[bone[1]])):
        thick = radius * float(scale[child])
        near = float(scale[child] / scale[0] - 1.0)
        shade = _mix(colour, PAPER, float(np.clip(0.06 - 1.2 * near, 0.0, 0.35)))
        if colour != TRUNK:
            _draw_capsule(draw, pixels[parent], pixels[child], thick + rim, PAPER)
        _draw_capsule(draw, pixels[parent], pixels[child], thick, shade)
        if SMPL22.joints[child] == "head":
            neck, head = pose[parent], pose[child]
            upward = (head - neck) / max(float(np.linalg.norm(head - neck)), 1e-6)
            (x, y), near_scale = shot.project(head + 0.05 * upward, frame, size)
            size_px = _HEAD_RADIUS_M * float(near_scale)
            for around, shade in ((size_px + rim, PAPER), (size_px, TRUNK)):
                draw.ellipse((x - around, y - around, x + around, y + around), shade)
