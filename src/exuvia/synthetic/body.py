"""Bodies for parametric motion: bone vectors of a symmetric rest pose, with varied proportions."""

from dataclasses import dataclass

import numpy as np

from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Floats

_REST_DIRECTIONS = {
    "left_hip": (0.66, -0.74, -0.05),
    "left_knee": (0.0, -1.0, 0.0),
    "left_ankle": (0.0, -1.0, 0.0),
    "left_foot": (0.0, -0.42, 0.91),
    "spine1": (0.0, 0.97, -0.20),
    "spine2": (0.0, 0.99, 0.10),
    "spine3": (0.0, 0.98, 0.20),
    "neck": (0.0, 0.99, -0.14),
    "head": (0.0, 0.86, 0.50),
    "left_collar": (0.52, 0.84, -0.12),
    "left_shoulder": (0.93, 0.34, -0.14),
    "left_elbow": (0.0, -1.0, 0.0),
    "left_wrist": (0.0, -1.0, 0.0),
}
"""Bone directions of an upright human in the joint layout of SMPL; the right side mirrors the left."""


@dataclass(frozen=True)
class Body:
    """One person: bone vectors from parent to joint."""

    offsets: Floats
    """Bone vectors [22, 3] in metres of the rest pose, facing +z with the left side at +x."""

    def bone_m(self, joint: str) -> float:
        """Length of the bone that ends at a joint of the left side or the middle."""
        return float(np.linalg.norm(self.offsets[SMPL22.index(joint)]))

    @property
    def leg_m(self) -> float:
        """Length of thigh and shin."""
        return self.bone_m("left_knee") + self.bone_m("left_ankle")

    @property
    def arm_m(self) -> float:
        """Length of upper arm and forearm."""
        return self.bone_m("left_elbow") + self.bone_m("left_wrist")

    @property
    def ankle_m(self) -> float:
        """Height of the ankle above the ball of a flat foot."""
        return float(-self.offsets[SMPL22.index("left_foot"), 1])

    @property
    def hip_half_m(self) -> float:
        """Half the distance between the hips."""
        return float(self.offsets[SMPL22.index("left_hip"), 0])

    @property
    def shoulder_half_m(self) -> float:
        """Half the distance between the shoulders."""
        return float(self.offsets[SMPL22.index("left_collar"), 0] + self.offsets[SMPL22.index("left_shoulder"), 0])

    @property
    def pelvis_m(self) -> float:
        """Height of the pelvis of a body that stands with almost straight legs."""
        return self.ankle_m + STANDING_REACH * self.leg_m - float(self.offsets[SMPL22.index("left_hip"), 1])


STANDING_REACH = 0.997
"""Share of the leg's length to which a standing or stepping leg stretches, so that knees stay slightly bent."""


def body(scale: float = 1.0, legs: float = 1.0, arms: float = 1.0, torso: float = 1.0, width: float = 1.0) -> Body:
    """A body with HumanML3D's mean bone lengths times factors, overall and per part.   Sec. 3 [guo2022humanml3d]"""
    part = {
        "left_knee": legs, "left_ankle": legs, "left_elbow": arms, "left_wrist": arms, "spine1": torso,
        "spine2": torso, "spine3": torso, "neck": torso, "left_collar": width, "left_shoulder": width,
    }  # fmt: skip
    offsets = np.zeros((SMPL22.num_joints, 3))
    for name, direction in _REST_DIRECTIONS.items():
        joint = SMPL22.index(name)
        twin = SMPL22.mirror[joint]
        length = (SMPL22.lengths_m[joint] + SMPL22.lengths_m[twin]) / 2 * scale * part.get(name, 1.0)
        vector = np.asarray(direction) / np.linalg.norm(direction) * length
        offsets[joint] = vector
        offsets[twin] = vector * ((-1, 1, 1) if twin != joint else (1, 1, 1))
    return Body(offsets.astype(np.float32))


def random_body(rng: np.random.Generator) -> Body:
    """Draw a body near the mean: ±8 % overall, ±3 % per part."""
    scale = float(np.clip(1.0 + 0.04 * rng.standard_normal(), 0.92, 1.08))
    legs, arms, torso, width = np.clip(1.0 + 0.015 * rng.standard_normal(4), 0.97, 1.03)
    return body(scale, float(legs), float(arms), float(torso), float(width))
