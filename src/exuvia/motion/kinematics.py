"""Physical measures of a motion: speed, jerk, foot contact and skate, floor penetration, freezing.

Joints are [F, 22, 3] in metres, y up, with the floor at y = 0 by default. All rates are per second, so clips of
different frame rates are comparable.
"""

from dataclasses import dataclass

import numpy as np

from exuvia.errors import ConfigError, ShapeError
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array, Mask

FEET = tuple(SMPL22.index(name) for name in ("left_ankle", "left_foot", "right_ankle", "right_foot"))
"""The joints of HumanML3D's contact labels, in their order."""
TOES = (SMPL22.index("left_foot"), SMPL22.index("right_foot"))
CONTACT_SPEED_M_PER_S = 20.0 * 0.002**0.5
"""HumanML3D's label: less than 0.002 m² squared displacement a frame at 20 fps, about 0.89 m/s."""

_LIMBS = (
    ("shoulder", "elbow", 0.028, 0.436), ("elbow", "wrist", 0.022, 0.682), ("hip", "knee", 0.1, 0.433),
    ("knee", "ankle", 0.0465, 0.433), ("ankle", "foot", 0.0145, 0.5),
)  # fmt: skip
_SEGMENTS = [("pelvis", "neck", 0.497, 0.5), ("neck", "head", 0.081, 1.0)] + [
    (f"{side}_{start}", f"{side}_{end}", mass, at) for side in ("left", "right") for start, end, mass, at in _LIMBS
]
"""Both ends of a segment, its share of the mass, and where its centre is between them: Table 4.1 of Winter,
Biomechanics and Motor Control of Human Movement (4th ed., 2009)."""


@dataclass(frozen=True)
class Kinematics:
    """The measures of one clip: the results of the functions of the same names.

    `contact_rate` is the share of time with at least one foot joint in contact (HumanML3D's label).
    """

    mean_joint_speed_m_per_s: float
    mean_jerk_m_per_s3: float
    contact_rate: float
    foot_skate_rate: float
    foot_skate_m_per_s: float
    floor_penetration_m: float
    freeze_rate: float
    range_m: float


def _checked(joints: Array, fps: float, order: int) -> Array:
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (SMPL22.num_joints, 3):
        raise ShapeError(f"found joints of shape {joints.shape}, expected (frames, 22, 3)")
    if len(joints) <= order:
        raise ShapeError(f"found {len(joints)} frame(s), expected at least {order + 1} for this measure")
    if not (np.isfinite(fps) and fps > 0):
        raise ConfigError(f"found {fps} frames a second, expected a positive rate")
    return joints


def joint_speed_m_per_s(joints: Array, fps: float) -> Array:
    """Speed of every joint between frames, [F-1, 22]. Raises ShapeError unless joints are [F ≥ 2, 22, 3]."""
    return np.linalg.norm(np.diff(_checked(joints, fps, 1), axis=0), axis=-1) * fps


def mean_joint_speed_m_per_s(joints: Array, fps: float) -> float:
    """Speed averaged over joints and frames."""
    return float(joint_speed_m_per_s(joints, fps).mean())


def mean_jerk_m_per_s3(joints: Array, fps: float) -> float:
    """Mean length of the third difference times fps³. Raises ShapeError for fewer than four frames."""
    third = np.diff(_checked(joints, fps, 3), n=3, axis=0)
    return float(np.linalg.norm(third, axis=-1).mean() * fps**3)


def centre_of_mass(joints: Array) -> Array:
    """Centre of mass [F, 3] of joints [F, 22, 3]."""
    total = np.zeros((len(joints), 3))
    for start, end, mass, at in _SEGMENTS:
        total += mass * ((1 - at) * joints[:, SMPL22.index(start)] + at * joints[:, SMPL22.index(end)])
    return total / sum(mass for _, _, mass, _ in _SEGMENTS)


def foot_contacts(joints: Array, fps: float, speed_m_per_s: float = CONTACT_SPEED_M_PER_S) -> Mask:
    """Contact of left ankle, left foot, right ankle, right foot between frames, [F-1, 4].

    Speed alone decides, as in HumanML3D's features, where a height factor is defined but not used.
    """
    return joint_speed_m_per_s(joints, fps)[:, list(FEET)] < speed_m_per_s


def _toes(joints: Array, fps: float, floor_m: float, height_m: float) -> tuple[Array, Mask]:
    """Horizontal speed of the toes between frames [F-1, 2], and whether they stay within `height_m` of the floor."""
    joints = _checked(joints, fps, 1)[:, list(TOES)]
    low = joints[..., 1] - floor_m < height_m
    return np.linalg.norm(np.diff(joints[..., [0, 2]], axis=0), axis=-1) * fps, low[1:] & low[:-1]


def foot_skate_rate(
    joints: Array, fps: float, floor_m: float = 0.0, height_m: float = 0.05, slide_m_per_s: float = 0.5
) -> float:
    """Share of frame steps in which a foot within `height_m` of the floor slides faster than `slide_m_per_s`.

    The defaults are the published 5 cm, and 2.5 cm a frame at 20 fps.   [karunratanakul2023gmd], foot skating ratio
    """
    slide, planted = _toes(joints, fps, floor_m, height_m)
    return float((planted & (slide > slide_m_per_s)).any(-1).mean())


def foot_skate_m_per_s(joints: Array, fps: float, floor_m: float = 0.0, height_m: float = 0.05) -> float:
    """Mean horizontal speed of the feet while they are within `height_m` of the floor; 0 if they never are."""
    slide, planted = _toes(joints, fps, floor_m, height_m)
    return float(slide[planted].mean()) if planted.any() else 0.0


def floor_penetration_m(joints: Array, floor_m: float = 0.0, tolerance_m: float = 0.005) -> float:
    """Mean depth of the lowest joint below the floor; a depth of up to `tolerance_m` counts as 0.

    Follows "penetrate" of [yuan2023physdiff], with joints instead of mesh vertices.
    """
    joints = _checked(joints, 1.0, 0)
    depth = floor_m - joints[..., 1].min(-1)
    return float(np.where(depth > tolerance_m, depth, 0.0).mean())


def freeze_rate(joints: Array, fps: float, speed_m_per_s: float = 0.03, at_least_s: float = 0.5) -> float:
    """Share of frame steps in a standstill: mean joint speed below `speed_m_per_s` for `at_least_s` or longer.

    A clip shorter than `at_least_s` counts as frozen if it stands still throughout.
    """
    still = joint_speed_m_per_s(joints, fps).mean(-1) < speed_m_per_s
    edges = np.flatnonzero(np.diff(np.concatenate(([False], still, [False])).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    needed = min(max(1, round(at_least_s * fps)), len(still))
    return float(runs[runs >= needed].sum() / len(still))


def range_m(joints: Array) -> float:
    """Diagonal of the bounding box of a joint's positions relative to the pelvis, averaged over the other joints."""
    joints = _checked(joints, 1.0, 0)
    relative = joints[:, 1:] - joints[:, :1]
    return float(np.linalg.norm(relative.max(0) - relative.min(0), axis=-1).mean())


def measure(joints: Array, fps: float, floor_m: float = 0.0) -> Kinematics:
    """All measures of one clip [F, 22, 3]. Raises ShapeError for another shape, or fewer than four frames."""
    return Kinematics(
        mean_joint_speed_m_per_s=mean_joint_speed_m_per_s(joints, fps),
        mean_jerk_m_per_s3=mean_jerk_m_per_s3(joints, fps),
        contact_rate=float(foot_contacts(joints, fps).any(-1).mean()),
        foot_skate_rate=foot_skate_rate(joints, fps, floor_m),
        foot_skate_m_per_s=foot_skate_m_per_s(joints, fps, floor_m),
        floor_penetration_m=floor_penetration_m(joints, floor_m),
        freeze_rate=freeze_rate(joints, fps),
        range_m=range_m(joints),
    )
