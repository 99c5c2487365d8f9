"""Skeletons as data: joint names, parents, chains, bone directions and lengths of HumanML3D's and KIT's bodies.

Facts: HumanML3D repository (paramUtil.py; target skeleton of motion 000021), Sec. 3 [guo2022humanml3d].
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from exuvia.shapes import Floats


@dataclass(frozen=True)
class Skeleton:
    """A kinematic tree with named joints."""

    name: str
    joints: tuple[str, ...]
    """Joint names in index order; index 0 is the root."""
    chains: tuple[tuple[int, ...], ...]
    """Kinematic chains, each from its first joint outwards."""
    directions: tuple[tuple[int, int, int], ...]
    """Unit bone axis of every joint in the rest pose (left is +x, up is +y, forward is +z)."""
    lengths_m: tuple[float, ...] = ()
    """Target bone length of every joint to its parent (0 for the root)."""
    mirror: tuple[int, ...] = ()
    """Index of every joint's mirror image."""

    @property
    def num_joints(self) -> int:
        """Number of joints."""
        return len(self.joints)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent index of every joint; -1 for the root."""
        parents = [-1] * self.num_joints
        for chain in self.chains:
            for parent, child in pairwise(chain):
                parents[child] = parent
        return tuple(parents)

    @cached_property
    def rest_offsets(self) -> Floats:
        """Bone vectors of the target skeleton in the rest pose, [J, 3] metres."""
        return np.asarray(self.directions, np.float32) * np.asarray(self.lengths_m, np.float32)[:, None]

    def index(self, joint: str) -> int:
        """Index of a joint by name."""
        return self.joints.index(joint)


_X, _NX, _Y, _NY, _Z, _0 = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, 0)

SMPL22 = Skeleton(
    name="smpl22",
    joints=(
        "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
        "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    ),
    chains=((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20)),
    directions=(
        _0, _X, _NX, _Y, _NY, _NY, _Y, _NY, _NY, _Y, _Z, _Z, _Y, _X, _NX, _Z, _NY, _NY, _NY, _NY, _NY, _NY,
    ),
    lengths_m=(
        0.0, 0.103074, 0.109883, 0.131568, 0.393623, 0.390188, 0.143190, 0.432433, 0.425643, 0.057365, 0.143382,
        0.149419, 0.219360, 0.137487, 0.143383, 0.103039, 0.131614, 0.122984, 0.256840, 0.263092, 0.266012, 0.269876,
    ),
    mirror=(0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20),
)  # fmt: skip

KIT21 = Skeleton(
    name="kit21",
    joints=(
        "pelvis", "spine", "chest", "neck", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
        "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle", "right_heel", "right_toe", "left_hip",
        "left_knee", "left_ankle", "left_heel", "left_toe",
    ),
    chains=((0, 11, 12, 13, 14, 15), (0, 16, 17, 18, 19, 20), (0, 1, 2, 3, 4), (3, 5, 6, 7), (3, 8, 9, 10)),
    directions=(
        _0, _Y, _Y, _Y, _Y, _X, _NY, _NY, _NX, _NY, _NY, _X, _NY, _NY, _Z, _Z, _NX, _NY, _NY, _Z, _Z,
    ),
    mirror=(0, 1, 2, 3, 4, 8, 9, 10, 5, 6, 7, 16, 17, 18, 19, 20, 11, 12, 13, 14, 15),
)  # fmt: skip
