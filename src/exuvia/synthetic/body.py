"""Bodies for parametric motion: bone vectors of a symmetric rest pose, with varied proportions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exuvia.motion.skeleton import SMPL22
from exuvia.readers import read_toml
from exuvia.shapes import Floats

TABLES = read_toml(Path(__file__).with_name("actor.toml"))
"""Bones, channels and poses of the actor, and subjects of captions."""


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
    part = {"whole": 1.0, "legs": legs, "arms": arms, "torso": torso, "width": width}
    offsets = np.zeros((SMPL22.num_joints, 3))
    for name, bone in TABLES["rest"].items():
        joint = SMPL22.index(name)
        twin = SMPL22.mirror[joint]
        length = (SMPL22.lengths_m[joint] + SMPL22.lengths_m[twin]) / 2 * scale * part[bone["part"]]
        vector = np.asarray(bone["direction"]) / np.linalg.norm(bone["direction"]) * length
        offsets[joint] = vector
        offsets[twin] = vector * ((-1, 1, 1) if twin != joint else (1, 1, 1))
    return Body(offsets.astype(np.float32))


def random_body(rng: np.random.Generator) -> Body:
    """Draw a body near the mean: ±8 % overall, ±3 % per part."""
    scale = float(np.clip(1.0 + 0.04 * rng.standard_normal(), 0.92, 1.08))
    legs, arms, torso, width = np.clip(1.0 + 0.015 * rng.standard_normal(4), 0.97, 1.03)
    return body(scale, float(legs), float(arms), float(torso), float(width))
