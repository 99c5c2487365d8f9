"""Skeletons of HumanML3D and KIT, read from skeletons.toml: names, parents, chains, bone directions and lengths.

Source: Sec. 3 [guo2022humanml3d]
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from exuvia.readers import read_table
from exuvia.shapes import Floats


@dataclass(frozen=True)
class Skeleton:
    """A kinematic tree with named joints; skeletons.toml explains the fields."""

    name: str
    joints: tuple[str, ...]
    chains: tuple[tuple[int, ...], ...]
    directions: tuple[tuple[int, int, int], ...]
    lengths_m: tuple[float, ...] = ()
    mirror: tuple[int, ...] = ()

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


_SKELETONS = read_table(__file__, "skeletons.toml", Skeleton)
SMPL22, KIT21 = _SKELETONS["smpl22"], _SKELETONS["kit21"]
