"""Named joints of any rig -> the 22 SMPL joints in metres: name tables, missing joints, unit of length.

The tables name the joint nearest to each SMPL joint; they map one rig to another and do not fit a body model. Joints
that a rig lacks are spaced evenly on the chain between their known neighbours.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from exuvia.errors import DataError, ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source
from exuvia.readers import read_table
from exuvia.shapes import Array

LEG_M = 0.80
"""Length of thigh + shin to which clips are scaled on request."""
UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "cmu": 0.0254 / 0.45}
"""Units that occur in motion files; CMU's unit is an inch / 0.45 (`:units length 0.45` in every .asf)."""
_SPINE = ("pelvis", "spine1", "spine2", "spine3", "neck")
_OPTIONAL = {"spine1", "spine2", "spine3", "left_collar", "right_collar"}
_PREFIX = re.compile(r"^(mixamorig\d*|character\d+|bip\d+|[mf]avg)(?=.)")


@dataclass(frozen=True)
class Rig:
    """One naming convention: canonical names for each SMPL joint, best first."""

    name: str
    joints: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...] = ()
    """Names that distinguish this convention from a similar one."""


RIGS = tuple(read_table(__file__, "rigs.toml", Rig).values())


def canonical(name: str) -> str:
    """Joint name in lower case without namespace, known prefixes and punctuation: `mixamorig:LeftArm` -> leftarm."""
    return _PREFIX.sub("", re.sub(r"[^a-z0-9]", "", name.rsplit(":", 1)[-1].lower()))


def find_rig(names: Sequence[str]) -> tuple[Rig, dict[str, int]]:
    """Naming convention of a rig, and the index of every SMPL joint that it has. Raises DataError if there is none."""
    index: dict[str, int] = {}
    for position, name in enumerate(names):
        index.setdefault(canonical(name), position)
    nearest: tuple[int, str, list[str]] | None = None
    for rig in RIGS:
        indices = {
            joint: index[at[0]] for joint, known in rig.joints.items() if (at := [n for n in known if n in index])
        }
        missing = [joint for joint in SMPL22.joints if joint not in indices and joint not in _OPTIONAL]
        if not missing and all(name in index for name in rig.needs):
            return rig, {joint: indices[joint] for joint in SMPL22.joints if joint in indices}
        if missing and (nearest is None or len(missing) < nearest[0]):
            nearest = (len(missing), rig.name, missing)
    assert nearest is not None
    known = f"(nearest: {nearest[1]!r}, without {', '.join(nearest[2][:5])})"
    raise DataError(
        f"found joints named {', '.join(list(names)[:6])}, ..., expected a known naming {known}; "
        "rename the joints, or save the motion as .npy of shape (frames, 22, 3)"
    )


def smpl22_from_rig(names: Sequence[str], pose: Callable[[list[int]], Array]) -> tuple[Array, str]:
    """The 22 SMPL joints of a posed rig [F, 22, 3], and the name of the naming convention.

    Args:
        names: joint names; the end of a leaf bone can be named "<joint>end"
        pose: returns the positions [F, K, 3] of K joints by index, in any unit, y up
    """
    rig, index = find_rig(names)
    positions = pose(list(index.values()))
    return complete({joint: positions[:, row] for row, joint in enumerate(index)}), rig.name


def complete(known: Mapping[str, Array]) -> Array:
    """All 22 joints [F, 22, 3] from the known ones [F, 3] each; missing spine joints and collars are interpolated.

    A collar in the same place as the upper spine (CMU's conversions) counts as missing. A missing collar lies 0.43 of
    the way from the chest (halfway between upper spine and neck) to the shoulder.
    """
    joints = dict(known)
    placed = [place for place, joint in enumerate(_SPINE) if joint in joints]
    for low, high in pairwise(placed):
        for place in range(low + 1, high):
            weight = (place - low) / (high - low)
            joints[_SPINE[place]] = (1 - weight) * joints[_SPINE[low]] + weight * joints[_SPINE[high]]
    for side in ("left", "right"):
        base, shoulder = joints["spine3"], joints[f"{side}_shoulder"]
        collar = joints.get(f"{side}_collar")
        reach = np.linalg.norm(shoulder - base, axis=-1)
        if collar is None or np.median(np.linalg.norm(collar - base, axis=-1)) < 0.02 * np.median(reach):
            joints[f"{side}_collar"] = 0.285 * (base + joints["neck"]) + 0.43 * shoulder
    return np.stack([joints[joint] for joint in SMPL22.joints], axis=1)


def leg_length(joints: Array) -> float:
    """Median length of thigh + shin over frames and both legs, in the unit of joints [F, 22, 3]."""
    bones = joints[:, [4, 5, 7, 8]] - joints[:, [1, 2, 4, 5]]
    return float(np.median(np.linalg.norm(bones, axis=-1), axis=0).sum() / 2)


def find_unit_m(joints: Array) -> float:
    """Metres in one unit of joints [F, 22, 3]: the known unit that brings legs closest to 0.80 m. Raises DataError."""
    leg = leg_length(joints)
    if not (np.isfinite(leg) and leg > 0):
        raise DataError(f"found legs of length {leg}, expected a human body; check the joint order and the values")
    unit_m = min(UNITS_M.values(), key=lambda unit: abs(np.log(leg * unit / LEG_M)))
    if not 0.3 <= leg * unit_m <= 1.6:
        raise DataError(
            f"found legs (thigh + shin) of {leg:.4g} units, which is not a human body in metres, centimetres, "
            "millimetres, inches or CMU's unit; give the unit with Source(unit_m=...)"
        )
    return unit_m


def clip_from_joints(joints: Array, fps: float, source: Source, meta: Mapping[str, Any]) -> Clip:
    """A Clip in metres, y up, from joints [F, 22, 3] in the source's unit, or in the likeliest one.

    Raises ShapeError for fewer than two frames or NaN, and DataError if no unit is plausible.
    """
    if len(joints) < 2:
        raise ShapeError(f"found a motion of {len(joints)} frame(s), expected at least 2")
    if not np.isfinite(joints).all():
        raise ShapeError("found NaN or infinite values in the motion, expected finite numbers; repair or drop the file")
    if source.up == "z":
        joints = joints[..., [0, 2, 1]] * np.asarray([-1.0, 1.0, 1.0])
    unit_m = source.unit_m or find_unit_m(joints)
    return Clip((joints * unit_m).astype(np.float32), float(source.fps or fps), meta={**meta, "unit_m": unit_m})


def scaled(clip: Clip, leg_m: float = LEG_M) -> Clip:
    """The clip scaled about the origin to a median thigh + shin of `leg_m` metres. Raises DataError for legs of 0."""
    leg = leg_length(clip.joints)
    if not leg > 0:
        raise DataError("found legs of length 0, expected a human body; load without normalise_scale")
    factor = leg_m / leg
    return replace(clip, joints=clip.joints * np.float32(factor), meta={**clip.meta, "scale": factor})
