"""The rig: named control channels (angles, foot targets) -> joint positions, by forward and inverse kinematics.

Angles are in degrees. `pitch` leans forward, `roll` leans to the left, `yaw` and `heading` turn to the left. An arm or
a free leg is posed by the elevation `el` of its first bone (-90 hangs down, 0 is level, 90 points up, below -90 points
back), its azimuth `az` (0 ahead, 90 to the side), the bend of elbow or knee, and the `swivel` of that bend about the
first bone; `arms_follow` and `legs_follow` say how far these angles turn with the trunk. A foot that is not free is
posed by the position of its ball, and a hand with `hand` 1 by that of its wrist, so that planted ones cannot slide.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from exuvia.motion.chain import unit
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from exuvia.synthetic.body import STANDING_REACH, TABLES, Body

Array = NDArray[np.float64]
Channels = Mapping[str, Array]

SIDES = ("left", "right")
SIGN = {"left": 1.0, "right": -1.0}

ARM_REST: dict[str, float] = TABLES["arm"]
CHANNELS: dict[str, float] = TABLES["middle"] | {
    f"{side}_{name}": value for side in SIDES for name, value in (ARM_REST | TABLES["leg"]).items()
}
"""All control channels with their values in a neutral stance; positions are in metres."""
CLEARANCE_M = 0.05
"""Distance that a free leg keeps its foot above the floor."""
_STRETCHED_DEG = 2.0
HEAD_SHARE = 0.4
"""Share of the trunk's lean from which the head turns back."""
KNEE_M, WRIST_M, SEAT_M = 0.055, 0.035, 0.1
"""Heights of the centres of a knee on which a body kneels, of the wrist of a hand on the floor, and of the pelvis of a
body that sits on the floor."""


def rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotation matrices [F, 3, 3] of angles in degrees [F]: yaw about y after pitch about x after roll about -z."""
    a, b, c = np.deg2rad(yaw), np.deg2rad(pitch), -np.deg2rad(roll)
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    matrix = np.empty((*np.shape(a), 3, 3))
    matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2] = ca * cc + sa * sb * sc, sa * sb * cc - ca * sc, sa * cb
    matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2] = cb * sc, cb * cc, -sb
    matrix[..., 2, 0], matrix[..., 2, 1], matrix[..., 2, 2] = ca * sb * sc - sa * cc, sa * sc + ca * sb * cc, ca * cb
    return matrix


def turn(matrix: Array, vector: Array) -> Array:
    """Vectors [F, 3] or [3] rotated by matrices [F, 3, 3]."""
    return np.einsum("fij,...fj->...fi", matrix, np.broadcast_to(vector, matrix.shape[:-1]))


def limb(el: Array, az: Array, bend: Array, swivel: Array, sign: float, forward_bend: bool) -> tuple[Array, Array]:
    """Directions [F, 3] of the first and second bone; from hanging, an elbow bends forward and a knee backward.

    Neither bends the other way: the bend is at least that of a stretched limb.
    """
    e, a, b, s = np.deg2rad(el), np.deg2rad(az), np.deg2rad(np.maximum(bend, _STRETCHED_DEG)), np.deg2rad(swivel) * sign
    ce, se, ca, sa = np.cos(e), np.sin(e), np.cos(a), sign * np.sin(a)
    first = np.stack((sa * ce, se, ca * ce), axis=-1)
    up = np.stack((-sa * se, ce, -ca * se), axis=-1) * (1.0 if forward_bend else -1.0)
    aside = up * np.cos(s)[..., None] + np.cross(first, up) * np.sin(s)[..., None]
    return first, first * np.cos(b)[..., None] + aside * np.sin(b)[..., None]


def reach(x: float, y: float, z: float, *, elbow_out: float = 0.0) -> dict[str, float]:
    """Arm channels that place a wrist at (out, up, ahead) of its shoulder, in arm lengths.

    The elbow is rotated outwards by `elbow_out` degrees about the line from shoulder to wrist.
    """
    target = np.asarray((x, y, z), np.float64)
    distance = float(np.clip(np.linalg.norm(target), 0.18, 0.999))
    along = target / max(float(np.linalg.norm(target)), 1e-9)
    down = np.asarray((0.0, -1.0, -0.35)) - along * (along @ np.asarray((0.0, -1.0, -0.35)))
    down = down / np.linalg.norm(down)
    out = np.deg2rad(elbow_out)
    side = np.cross(along, down)
    side = side if side[0] > 0 else -side
    pole = down * np.cos(out) + side * np.sin(out)
    first = unit(along * (distance / 2) + pole * np.sqrt(max(0.25 - distance**2 / 4, 0.0)))
    second = unit(along * distance - first / 2)
    el = np.arcsin(np.clip(first[1], -1, 1))
    az = np.arctan2(first[0], first[2])
    up = np.asarray((-np.sin(az) * np.sin(el), np.cos(el), -np.cos(az) * np.sin(el)))
    swivel = np.arctan2(second @ np.cross(first, up), second @ up)
    elbow = np.arccos(np.clip(first @ second, -1, 1))
    values = np.rad2deg((el, az, elbow, swivel))
    return dict(zip(("el", "az", "elbow", "swivel"), values.tolist(), strict=True)) | {"spread": 0.0}


def solve(channels: Channels, body: Body, times: Array | None = None) -> Joints:
    """Joint positions [F, 22, 3] in metres, y up, of a body with all `CHANNELS` given, [F] each.

    With the times [F] of the poses in seconds, the height of the pelvis has no kinks where the weight changes the leg.
    """
    c = channels
    offsets = body.offsets.astype(np.float64)
    joints = np.zeros((len(c["x"]), SMPL22.num_joints, 3))
    yaw = c["heading"] + c["pelvis_yaw"]
    pelvis = rotation(yaw, c["pelvis_pitch"], c["pelvis_roll"])
    follow = c["legs_follow"]
    legs = rotation(yaw, follow * c["pelvis_pitch"], follow * c["pelvis_roll"])
    hips = {side: turn(pelvis, offsets[SMPL22.index(f"{side}_hip")]) for side in SIDES}
    feet = {side: _Foot(c, side, body) for side in SIDES}
    chest = _solve_torso(c, offsets, joints, pelvis)
    root = np.stack((c["x"], 0.0 * c["x"], c["z"]), axis=-1)
    height = _pelvis_height(c, body, root, hips, feet, joints)
    root[:, 1] = height if times is None else _without_kinks(times, height)
    joints += root[:, None]
    for side in SIDES:
        _solve_leg(c, side, body, joints, root + hips[side], feet[side], legs)
        _solve_arm(c, side, offsets, joints, chest)
    return joints.astype(np.float32)


class _Foot:
    """Position of the ankle of a foot whose ball is given."""

    def __init__(self, c: Channels, side: str, body: Body) -> None:
        matrix = rotation(c[f"{side}_foot_yaw"], c[f"{side}_foot_pitch"], np.zeros_like(c["x"]))
        self.vector = turn(matrix, body.offsets[SMPL22.index("left_foot")].astype(np.float64))
        ball = np.stack([c[f"{side}_foot_{axis}"] for axis in "xyz"], axis=-1)
        self.ankle = ball - self.vector


def _pelvis_height(
    c: Channels, body: Body, root: Array, hips: dict[str, Array], feet: dict[str, _Foot], torso: Array
) -> Array:
    """Requested height, smoothly lowered until planted feet and hands are within reach, which makes walking bob, and
    raised until no knee of a planted leg is under the floor, which makes kneeling rest on the knees."""
    sharpness = 0.005
    tops, bottoms = [c["height"] * body.pelvis_m + c["ground"]], [c["ground"] + SEAT_M]

    def above(start: Array, end: Array, length_m: float, least: float = 1e-4) -> Array:
        gap = end - root - start
        room = np.maximum(length_m**2 - gap[:, 0] ** 2 - gap[:, 2] ** 2, least)
        return end[:, 1] - start[:, 1] + np.sign(room) * np.sqrt(np.abs(room))

    for side in SIDES:
        loose = 0.5 * (1.0 - np.clip(c[f"{side}_plant"], 0.0, 1.0)) + 2.0 * np.clip(c[f"{side}_free"], 0.0, 1.0)
        tops.append(above(hips[side], feet[side].ankle, STANDING_REACH * body.leg_m) + loose)
        ahead = np.deg2rad(c[f"{side}_foot_yaw"])
        knee = feet[side].ankle + body.bone_m("left_ankle") * np.stack((np.sin(ahead), 0 * ahead, np.cos(ahead)), -1)
        knee[:, 1] = c["ground"] + KNEE_M
        bottoms.append(above(hips[side], knee, body.bone_m("left_knee"), -1.0) - 3.0 * loose)
        if c[f"{side}_hand"].any():
            shoulder = torso[:, SMPL22.index(f"{side}_shoulder")]
            hand = _hand(c, side)
            slack = 2.0 * (1.0 - np.clip(c[f"{side}_hand"], 0.0, 1.0)) + 4.0 * np.maximum(hand[:, 1] - 0.2, 0.0)
            tops.append(above(shoulder, hand, 0.99 * body.arm_m) + slack)
    top = -sharpness * np.logaddexp.reduce([-limit / sharpness for limit in tops], axis=0)
    return sharpness * np.logaddexp.reduce([limit / sharpness for limit in (top, *bottoms)], axis=0)


def _without_kinks(times: Array, height: Array) -> Array:
    """Heights [F] smoothed over time, and lowered where they would exceed the reach of the legs."""
    order, grid = np.argsort(times), np.arange(-0.25, times.max() + 0.3, 0.025)
    fine = np.interp(grid, times[order], height[order])
    bell = np.exp(-0.5 * (np.arange(-8, 9) * 0.025 / 0.05) ** 2)
    bell /= bell.sum()

    def smooth(values: Array) -> Array:
        return np.convolve(np.pad(values, 8, "edge"), bell, "valid")

    excess: Array = np.maximum(smooth(fine) - fine, 0.0)
    for _ in range(3):
        excess[1:-1] = np.maximum(excess[1:-1], np.maximum(excess[:-2], excess[2:]))
    return np.interp(times, grid, smooth(fine) - smooth(excess))


def _hand(c: Channels, side: str) -> Array:
    """Position of the wrist of a planted hand, [F, 3]."""
    return np.stack([c[f"{side}_hand_{axis}"] for axis in "xyz"], axis=-1)


def _solve_leg(c: Channels, side: str, body: Body, joints: Array, hip: Array, foot: _Foot, frame: Array) -> None:
    """Set knee, ankle and ball of one leg: by angles if it is free, otherwise by two-bone inverse kinematics."""
    sign, thigh_m, shin_m = SIGN[side], body.bone_m("left_knee"), body.bone_m("left_ankle")
    el, az, bend, swivel = (c[f"{side}_{name}"] for name in ("thigh_el", "thigh_az", "knee", "thigh_swivel"))
    first, second = (turn(frame, bone) for bone in limb(el, az, bend, swivel, sign, False))
    free = np.clip(c[f"{side}_free"], 0.0, 1.0)[:, None]
    target = foot.ankle * (1 - free) + (hip + first * thigh_m + second * shin_m) * free
    toward = 0.5 * (c[f"{side}_foot_yaw"] + c["heading"] + c["pelvis_yaw"]) + sign * (4.0 + c[f"{side}_knee_out"])
    out = rotation(toward, 0 * toward, 0 * toward)
    pole = 0.3 * turn(out, np.asarray((0.0, 0.15, 1.0))) + np.cross(unit(target - hip), out[:, :, 0])
    bent = unit(first - second * 0.999)
    pole = unit(pole) * (1 - free) + bent * free
    point = np.deg2rad(c[f"{side}_toe"] + 25.0)[:, None]
    loose = (1 - free) * (1 - np.clip(c[f"{side}_plant"], 0.0, 1.0)[:, None])
    target = hip + (target - hip) * (1 - loose + loose * _soft(target - hip, thigh_m + shin_m))
    for _ in range(3):
        knee, ankle = _two_bones(hip, target, pole, thigh_m, shin_m)
        shin = unit(ankle - knee)
        front = unit(pole - shin * (pole * shin).sum(-1, keepdims=True))
        vector = unit(foot.vector) * (1 - free) + (front * np.cos(point) + shin * np.sin(point)) * free
        ball = ankle + unit(vector) * body.bone_m("left_foot")
        under = np.minimum(ball[:, 1], ankle[:, 1] - 0.02) - CLEARANCE_M * free[:, 0]
        if under.min() >= -1e-3:
            break
        target = target + np.stack((0 * under, np.maximum(2e-3 - under, 0.0), 0 * under), axis=-1)
    for name, value in (("hip", hip), ("knee", knee), ("ankle", ankle), ("foot", ball)):
        joints[:, SMPL22.index(f"{side}_{name}")] = value


def _soft(gap: Array, longest_m: float) -> Array:
    """Factors [F, 1] by which free limbs shorten a reach [F, 3] near the longest one, so that they do not snap."""
    distance, bend_m = np.linalg.norm(gap, axis=-1, keepdims=True), 0.06 * longest_m
    over = np.maximum(distance - longest_m + bend_m, 0.0)
    return (distance - over + bend_m * (1.0 - np.exp(-over / bend_m))) / np.maximum(distance, 1e-6)


def _two_bones(start: Array, target: Array, pole: Array, first_m: float, second_m: float) -> tuple[Array, Array]:
    """Middle and end [F, 3] of a two-bone chain that points at a target and bends towards a pole."""
    gap = target - start
    along = unit(gap)
    longest, shortest = 0.9995 * (first_m + second_m), 0.22 * (first_m + second_m)
    distance = np.clip(np.sqrt((gap * gap).sum(-1, keepdims=True)), shortest, longest)
    aside = unit(pole - along * (pole * along).sum(-1, keepdims=True))
    reach_m = (first_m**2 - second_m**2 + distance**2) / (2 * distance)
    middle = start + along * reach_m + aside * np.sqrt(np.maximum(first_m**2 - reach_m**2, 0.0))
    return middle, start + along * distance


def _solve_torso(c: Channels, offsets: Array, joints: Array, pelvis: Array) -> Array:
    """Set spine, neck, head, collars and shoulders relative to the pelvis; returns the rotations of the chest.

    The shoulder girdle rises with the arm and follows its reach.
    """
    yaw, pitch, roll = c["spine_yaw"], c["spine_pitch"], c["spine_roll"]
    bends = [pelvis @ rotation(yaw * share, pitch * share, roll * share) for share in (0.34, 0.7, 1.0)]
    chest = bends[2]
    joints[:, 3] = joints[:, 0] + turn(pelvis, offsets[3])
    joints[:, 6] = joints[:, 3] + turn(bends[0], offsets[6])
    joints[:, 9] = joints[:, 6] + turn(bends[1], offsets[9])
    joints[:, 12] = joints[:, 9] + turn(chest, offsets[12])
    nod = rotation(c["head_yaw"], c["head_pitch"] - HEAD_SHARE * (pitch + c["pelvis_pitch"]), c["head_roll"])
    joints[:, 15] = joints[:, 12] + turn(chest @ nod, offsets[15])
    for side in SIDES:
        sign, el = SIGN[side], c[f"{side}_el"]
        collar, shoulder = SMPL22.index(f"{side}_collar"), SMPL22.index(f"{side}_shoulder")
        raised = np.clip((el + 40.0) / 130.0, 0.0, 1.0)
        raised = raised * raised * (3 - 2 * raised)
        girdle = rotation(-sign * c[f"{side}_protract"], 0 * el, -sign * (24.0 * raised + c[f"{side}_shrug"]))
        joints[:, collar] = joints[:, 9] + turn(chest, offsets[collar])
        joints[:, shoulder] = joints[:, collar] + turn(chest @ girdle, offsets[shoulder])
    return chest


def _solve_arm(c: Channels, side: str, offsets: Array, joints: Array, chest: Array) -> None:
    """Set elbow and wrist: by angles, or by two-bone inverse kinematics as far as the hand is planted."""
    sign, follow = SIGN[side], c["arms_follow"]
    shoulder, elbow, wrist = (SMPL22.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist"))
    el, az, bend, swivel = (c[f"{side}_{name}"] for name in ("el", "az", "elbow", "swivel"))
    yaw = c["heading"] + c["pelvis_yaw"] + c["spine_yaw"]
    leans = (c[f"spine_{lean}"] + c[f"pelvis_{lean}"] for lean in ("pitch", "roll"))
    ahead, aside = (follow * ((lean + 180.0) % 360.0 - 180.0) for lean in leans)
    out = rotation(yaw, ahead, aside) @ rotation(0 * yaw, 0 * yaw, -sign * c[f"{side}_spread"])
    first, second = (turn(out, bone) for bone in limb(el, az, bend, swivel, sign, True))
    upper_m, lower_m = np.linalg.norm(offsets[elbow]), np.linalg.norm(offsets[wrist])
    joints[:, elbow] = joints[:, shoulder] + first * upper_m
    joints[:, wrist] = joints[:, elbow] + second * lower_m
    planted = np.clip(c[f"{side}_hand"], 0.0, 1.0)[:, None]
    target = joints[:, wrist] * (1 - planted) + _hand(c, side) * planted
    target[:, 1] = np.maximum(target[:, 1], WRIST_M)
    if np.any(target != joints[:, wrist]):
        pole = first - second + 0.1 * turn(chest, np.asarray((sign, 0.0, -1.0)))
        reached = _two_bones(joints[:, shoulder], target, pole, float(upper_m), float(lower_m))
        joints[:, elbow], joints[:, wrist] = reached


def balance_point(joints: Joints) -> Array:
    """Centre of mass of poses [F, 22, 3] in metres, [F, 3], from shares of segments in actor.toml."""
    weights = np.zeros(SMPL22.num_joints)
    for start, end, mass, where in TABLES["mass"]:
        weights[SMPL22.index(start)] += mass * (1.0 - where)
        weights[SMPL22.index(end)] += mass * where
    return np.einsum("fjc,j->fc", joints.astype(np.float64), weights / weights.sum())
