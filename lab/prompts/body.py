"""Parts of a body and its axes: what the checks measure on."""

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Array

JOINT = {name: number for number, name in enumerate(SMPL22.joints)}
JOINT |= {"chest": JOINT["spine3"], "left_hand": JOINT["left_wrist"], "right_hand": JOINT["right_wrist"]}
ALL = {
    "hands": ("left_hand", "right_hand"), "trunk": ("pelvis", "chest", "head"),
    "lower_foot": ("left_ankle", "left_foot", "right_ankle", "right_foot"),
}  # fmt: skip
"""Groups of which every joint must meet a condition."""
ANY = {"a_hand": ALL["hands"], "a_knee": ("left_knee", "right_knee"), "a_foot": ("left_foot", "right_foot")}
"""Groups of which one joint must meet it."""
FLAT = 0.3
"""Share of the width of shoulders and hips that must be horizontal for the body to face somewhere."""


def members(part: str) -> list[int]:
    """Joints of a part: a joint's name, or a group. Raises KeyError for an unknown one."""
    return [JOINT[name] for name in ALL.get(part) or ANY.get(part) or (part,)]


def joined(values: Array, part: str, above: bool) -> Array:
    """Values [F, K] of a part's joints as one [F]: of the joint that decides whether the part is above a threshold,
    or else below it."""
    return values.max(-1) if above == (part in ANY) else values.min(-1)


def heading_rad(clip: Clip) -> Array:
    """Direction [F] in which hips and shoulders face: 0 is +z, pi/2 is +x, to the left of it. Turns add up.

    While hips and shoulders stand on end, the direction of the last other frame counts.
    """
    sides = [clip.joints[:, [JOINT[f"{side}_hip"], JOINT[f"{side}_shoulder"]]].sum(1) for side in ("left", "right")]
    across = (sides[0] - sides[1]).astype(np.float64)
    known = np.flatnonzero(np.linalg.norm(across[:, [0, 2]], axis=1) > FLAT * np.linalg.norm(across, axis=1))
    if not len(known):
        return np.zeros(clip.frames)
    angles = np.unwrap(np.arctan2(-across[known, 2], across[known, 0]))
    return angles[np.maximum(np.searchsorted(known, np.arange(clip.frames), side="right") - 1, 0)]


def turned(vectors: Array, heading: Array) -> Array:
    """Vectors [F, ..., 3] in axes left, up, ahead of a body with the headings [F]."""
    sine, cosine = (f(heading).reshape(-1, *[1] * (vectors.ndim - 2)) for f in (np.sin, np.cos))
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack((x * cosine - z * sine, y, x * sine + z * cosine), axis=-1)


def own(clip: Clip) -> Array:
    """Joints [F, 22, 3] from the pelvis, in axes left, up, ahead of the body in each frame."""
    return turned(clip.joints - clip.joints[:, :1], heading_rad(clip))
