"""Joints of a rig -> the 22 SMPL joints in metres, y up: missing joints, upward axis, unit of length.

One rig is mapped to another, and no body model is fitted. Unit and axis are what makes a human body of the joints; a
choice that another one comes near to is a doubt, which the clip keeps and `load_clip` reports.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from exuvia.errors import DataError, ShapeError
from exuvia.motion.chain import forward_kinematics
from exuvia.motion.clip import Clip
from exuvia.motion.rigs import Body, canonical, read_names
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import BLOCK, Source, check_size
from exuvia.shapes import Array

LEG_M = 0.80
"""Length of thigh + shin to which clips are scaled on request."""
LEGS_M = (0.40, 1.02)
"""Thigh + shin of bodies 0.9 to 2.1 m tall."""
UNITS_M = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254, "decimetres": 0.1,
           "CMU's unit": 0.0254 / 0.45}  # fmt: skip
"""Units that occur in motion files; CMU's unit is an inch / 0.45 (`:units length 0.45` in every .asf)."""
TO_Y_UP = {"y": ((0, 1, 2), (1, 1, 1)), "z": ((0, 2, 1), (-1, 1, 1))}
"""Order and signs of the axes by upward axis; "z" as HumanML3D turns AMASS: (x, y, z) -> (-x, z, y)."""
_SPINE = ("pelvis", "spine1", "spine2", "spine3", "neck")


def smpl22_from_rig(
    names: Sequence[str], parents: Sequence[int], sample: Array, pose: Callable[[list[int]], Array], source: Source
) -> tuple[Array, dict[str, Any]]:
    """The 22 SMPL joints of a posed rig [F, 22, 3], and facts for the clip's meta.

    The end of a leaf bone is named "<joint>_end"; parents precede their children and are -1 for a root; `sample` poses
    all joints in some frames [S, J, 3], and `pose` the joints with the given indices in all frames [F, K, 3].
    """
    _check_finite(sample)
    index = read_names(source.names, names) if source.names else Body(names, parents, sample).smpl_joints()
    positions = pose(list(index.values()))
    known = {joint: positions[:, row] for row, joint in enumerate(index)}
    rig = "names of a file" if source.names else "names"
    cmu = any(canonical(name) == "lhipjoint" for name in names)
    return complete(known), {"rig": rig, "joints": {joint: names[at] for joint, at in index.items()}, "cmu": cmu}


def smpl22_from_nodes(
    names: Sequence[str], bones: Sequence[int], parent: Mapping[int, int],
    local: Callable[[int, Array], tuple[Array, Array]], span: tuple[float, float], fps: float, source: Source,
) -> tuple[Array, dict[str, Any]]:  # fmt: skip
    """The 22 SMPL joints [F, 22, 3] of a tree of nodes over a span of seconds, and facts, as `smpl22_from_rig`.

    The bones (without any, all nodes) and their ancestors count. `local` gives a node's place in its parent [T, 3], and
    its rotation times scale [T, 3, 3], at times [T]; it is called for parents first.
    Raises DataError if there are too many nodes or frames, or fewer than two frames.
    """
    kept: dict[int, int] = {}
    for node in bones or range(len(names)):
        line = [node]
        while line[-1] in parent and len(line) <= len(names):
            line.append(parent[line[-1]])
        for ancestor in reversed(line):
            kept.setdefault(ancestor, len(kept))
    frames = (span[1] - span[0]) * fps + 1.01
    check_size(frames, len(kept), source)
    if frames < 2:
        raise DataError(f"found an animation of {max(int(frames), 0)} frame(s), expected at least 2")
    times = span[0] + np.arange(int(frames)) / fps
    parents = [kept[parent[node]] if node in parent else -1 for node in kept]

    def pose(chosen: Any, at: Array = times) -> Array:
        parts = []
        for block in (at[first : first + BLOCK] for first in range(0, len(at), BLOCK)):
            offsets, turns = (np.stack(part, 1) for part in zip(*(local(node, block) for node in kept), strict=True))
            parts.append(forward_kinematics(offsets, parents, turns)[0][:, chosen])
        return np.concatenate(parts)

    few = pose(slice(None), times[:: max(1, len(times) // 8)])
    return smpl22_from_rig([names[node] for node in kept], parents, few, pose, source)


def _check_finite(joints: Array) -> None:
    if not np.isfinite(joints).all():
        raise ShapeError("found NaN or infinite values in the motion, expected finite numbers; repair or drop the file")


def complete(known: Mapping[str, Array]) -> Array:
    """All 22 joints [F, 22, 3] from the known ones [F, 3] each; the others are derived from their neighbours.

    A collar in the same place as the upper spine (CMU's conversions) counts as missing. A missing collar lies 0.43 of
    the way from the chest (halfway between upper spine and neck) to the shoulder. A pelvis below the thighs (Daz) moves
    halfway to the spine.
    """
    joints = dict(known)
    _complete_trunk(joints)
    _complete_toes(joints)
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


def _complete_trunk(joints: dict[str, Array]) -> None:
    """Add neck and head, spaced as in SMPL, and lift a pelvis that lies below the thighs."""
    spine = [joint for joint in _SPINE[1:4] if joint in joints]
    chest = joints[spine[-1] if spine else "pelvis"]
    if "neck" not in joints:
        shoulders = 0.5 * (joints["left_shoulder"] + joints["right_shoulder"])
        joints["neck"] = chest + 0.65 * (joints["head"] - chest) if "head" in joints else shoulders
    if "head" not in joints:
        joints["head"] = joints["neck"] + 0.45 * (joints["neck"] - chest)
    thighs = 0.5 * (joints["left_hip"] + joints["right_hip"]) - joints["pelvis"]
    lift = np.einsum("fc,fc->f", thighs, joints["neck"] - joints["pelvis"])
    if spine and np.median(lift) > 0.01 * np.median(np.linalg.norm(joints["neck"] - joints["pelvis"], axis=-1) ** 2):
        joints["pelvis"] = 0.5 * (joints["pelvis"] + joints[spine[0]])


def _complete_toes(joints: dict[str, Array]) -> None:
    """Add feet that point forward, at right angles to the shins."""
    across = joints["left_hip"] - joints["right_hip"]
    for side in ("left", "right"):
        if f"{side}_foot" not in joints:
            shin = joints[f"{side}_ankle"] - joints[f"{side}_knee"]
            ahead = np.cross(shin, across)
            ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-12)
            length = np.linalg.norm(shin, axis=-1, keepdims=True)
            joints[f"{side}_foot"] = joints[f"{side}_ankle"] + 0.3 * length * ahead + 0.15 * shin


def leg_length(joints: Array) -> float:
    """Median length of thigh + shin over frames and both legs, in the unit of joints [F, 22, 3]."""
    bones = joints[:, [4, 5, 7, 8]] - joints[:, [1, 2, 4, 5]]
    return float(np.median(np.linalg.norm(bones, axis=-1), axis=0).sum() / 2)


def find_unit(joints: Array, cmu: bool = False) -> tuple[str, str]:
    """The unit in which joints [F, 22, 3] are those of a body 0.9 to 2.1 m tall, and a doubt or "". Raises DataError.

    Of several units, the one with legs closest to 0.80 m is taken; CMU's own unit comes first in CMU's rigs (`cmu`) and
    last in others.
    """
    leg = leg_length(joints)
    if not (np.isfinite(leg) and leg > 0):
        raise DataError(f"found legs of length {leg}, expected a human body; check the joint order and the values")

    def misfit(unit: str) -> tuple[float, bool, float]:
        leg_m = leg * UNITS_M[unit]
        outside = max(0.0, np.log(LEGS_M[0] / leg_m), np.log(leg_m / LEGS_M[1]))
        return outside, (unit == "CMU's unit") != cmu, abs(np.log(leg_m / LEG_M))

    unit = min(UNITS_M, key=misfit)
    if not 0.3 <= leg * UNITS_M[unit] <= 1.6:
        raise DataError(
            f"found legs (thigh + shin) of {leg:.4g} units, which is not a human body in {', '.join(UNITS_M)}; "
            "give the unit with Source(unit_m=...)"
        )
    sure = misfit(unit)[0] == 0 and (cmu or unit != "CMU's unit")
    return unit, "" if sure else f"found legs of {leg:.4g} units, read as {unit}; if not, give Source(unit_m=...)"


def upright(joints: Array) -> Array:
    """How far the body of joints [F, 22, 3] stands along x, y and z, -1 to 1 each: medians over frames, [3].

    The lesser of two cosines counts: of pelvis to head, and of ankles to pelvis.
    """
    parts = np.stack((joints[:, 15] - joints[:, 0], joints[:, 0] - 0.5 * (joints[:, 7] + joints[:, 8])))
    cosines = parts / np.maximum(np.linalg.norm(parts, axis=-1, keepdims=True), 1e-12)
    return np.asarray(np.median(cosines, axis=1).min(0))


def find_up(joints: Array, usual: str = "y") -> tuple[str, str]:
    """The upward axis of joints [F, 22, 3], and a doubt or "".

    The axis is the one along which both the head lies above the pelvis and the pelvis above the ankles, over the clip.
    A body that does neither along any axis (it crawls, or turns over) keeps the usual axis of its format.
    """
    stands = upright(joints)
    score = {axis: float(stands["xyz".index(axis)]) for axis in TO_Y_UP}
    other = "z" if usual == "y" else "y"
    if score[other] > max(0.5, score[usual] + 0.3) and not _lies_along(joints, "xyz".index(other)):
        return other, ""
    odd = np.abs(stands)
    doubt = score[usual] < 0.3 and odd.max() > 0.5
    where = f"found a body that stands along {'-' if stands[odd.argmax()] < 0 else ''}{'xyz'[odd.argmax()]}"
    return usual, f"{where}, read as {usual} up; if not, give Source(up=...)" if doubt else ""


def _lies_along(joints: Array, axis: int) -> bool:
    """Whether a body that stands along an axis may rather lie there: it stays in place, and not on a floor at 0."""
    bodies = joints / max(leg_length(joints), 1e-12)
    low, travel = bodies.min((0, 1)), np.ptp(bodies[:, 0], axis=0)
    floors = (low > -0.04) & (low < 0.2)
    return bool(np.delete(travel, axis).max() < 1.5 and not floors[axis] and floors.any())


def clip_from_joints(
    joints: Array, fps: float, source: Source, meta: Mapping[str, Any], usual: str = "y", unit_m: float | None = None
) -> Clip:
    """A Clip in metres, y up, from joints [F, 22, 3] in the source's unit and axes, or in the likeliest ones.

    The format has the upward axis `usual` and the unit `unit_m`; without one in which the legs are those of a human,
    the unit is what makes a human body.
    Raises ShapeError for fewer than two frames or NaN, and DataError if no unit is plausible.
    """
    if len(joints) < 2:
        raise ShapeError(f"found a motion of {len(joints)} frame(s), expected at least 2")
    _check_finite(joints)
    up, doubt = (source.up, "") if source.up else find_up(joints, usual)
    doubts = [*meta.get("doubts", ()), doubt]
    order, signs = TO_Y_UP[up]
    joints = joints[..., order] * np.asarray(signs, float)
    if unit_m and not source.unit_m and not LEGS_M[0] <= (leg_m := leg_length(joints) * unit_m) <= LEGS_M[1]:
        doubts.append(f"found legs of {leg_m:.3g} m in the unit of the file; if that is right, give Source(unit_m=...)")
        unit_m = None
    if (unit_m := source.unit_m or unit_m) is None:
        unit, doubt = find_unit(joints, bool(meta.get("cmu")))
        unit_m = UNITS_M[unit]
        doubts.append(doubt)
    facts = {"up": up, "upright": round(float(upright(joints)[1]), 2), "unit_m": unit_m}
    facts |= {"leg_m": round(leg_length(joints) * unit_m, 3), "doubts": [*filter(None, doubts)]}
    return Clip((joints * unit_m).astype(np.float32), float(source.fps or fps), meta={**meta, **facts})


def scaled(clip: Clip, leg_m: float = LEG_M) -> Clip:
    """The clip scaled about the origin to a median thigh + shin of `leg_m` metres. Raises DataError for legs of 0."""
    leg = leg_length(clip.joints)
    if not leg > 0:
        raise DataError("found legs of length 0, expected a human body; load without normalise_scale")
    factor = leg_m / leg
    return replace(clip, joints=clip.joints * np.float32(factor), meta={**clip.meta, "scale": factor})
