"""The rig: named control channels (angles, foot targets) -> joint positions, by forward and inverse kinematics.

Angles are in degrees. `pitch` leans forward, `roll` leans to the left, `yaw` and `heading` turn to the left. An arm or
a free leg is posed by the elevation `el` of its first bone (-90 hangs down, 0 is level, 90 points up, below -90 points
back), its azimuth `az` (0 ahead, 90 to the side), the bend of elbow or knee, and the `swivel` of that bend about the
first bone. A foot that is not free is posed by the position of its ball, so a planted foot cannot slide.
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
ARM_FOLLOWS_TORSO = 0.35
"""Share of the torso's lean that the arms follow; otherwise they hang."""
CLEARANCE_M = 0.05
"""Distance that a free leg keeps its foot above the floor."""


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
    """Directions [F, 3] of the first and second bone; from hanging, an elbow bends forward and a knee backward."""
    e, a, b, s = np.deg2rad(el), np.deg2rad(az), np.deg2rad(bend), np.deg2rad(swivel) * sign
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


def solve(channels: Channels, body: Body) -> Joints:
    """Joint positions [F, 22, 3] in metres, y up, of a body with all `CHANNELS` given, [F] each."""
    c = channels
    offsets = body.offsets.astype(np.float64)
    joints = np.zeros((len(c["x"]), SMPL22.num_joints, 3))
    heading = rotation(c["heading"] + c["pelvis_yaw"], np.zeros_like(c["x"]), np.zeros_like(c["x"]))
    pelvis = rotation(c["heading"] + c["pelvis_yaw"], c["pelvis_pitch"], c["pelvis_roll"])
    hips = {side: turn(pelvis, offsets[SMPL22.index(f"{side}_hip")]) for side in SIDES}
    feet = {side: _Foot(c, side, body) for side in SIDES}
    joints[:, 0, 0], joints[:, 0, 2] = c["x"], c["z"]
    joints[:, 0, 1] = _pelvis_height(c, body, joints[:, 0], hips, feet)
    for side in SIDES:
        _solve_leg(c, side, body, joints, joints[:, 0] + hips[side], feet[side], heading)
    _solve_torso(c, offsets, joints, pelvis)
    return joints.astype(np.float32)


class _Foot:
    """Position of the ankle of a foot whose ball is given."""

    def __init__(self, c: Channels, side: str, body: Body) -> None:
        matrix = rotation(c[f"{side}_foot_yaw"], c[f"{side}_foot_pitch"], np.zeros_like(c["x"]))
        self.vector = turn(matrix, body.offsets[SMPL22.index("left_foot")].astype(np.float64))
        ball = np.stack([c[f"{side}_foot_{axis}"] for axis in "xyz"], axis=-1)
        self.ankle = ball - self.vector


def _pelvis_height(c: Channels, body: Body, root: Array, hips: dict[str, Array], feet: dict[str, _Foot]) -> Array:
    """Requested height, smoothly lowered until both planted feet are within reach, which makes walking bob."""
    limits = [c["height"] * body.pelvis_m]
    for side in SIDES:
        gap = feet[side].ankle - root - hips[side]
        room = (STANDING_REACH * body.leg_m) ** 2 - gap[:, 0] ** 2 - gap[:, 2] ** 2
        top = feet[side].ankle[:, 1] - hips[side][:, 1] + np.sqrt(np.maximum(room, 1e-4))
        limits.append(top + 0.5 * (1.0 - np.clip(c[f"{side}_plant"], 0.0, 1.0)))
    sharpness = 0.005
    return -sharpness * np.logaddexp.reduce([-limit / sharpness for limit in limits], axis=0)


def _solve_leg(c: Channels, side: str, body: Body, joints: Array, hip: Array, foot: _Foot, heading: Array) -> None:
    """Set knee, ankle and ball of one leg: by angles if it is free, otherwise by two-bone inverse kinematics."""
    sign, thigh_m, shin_m = SIGN[side], body.bone_m("left_knee"), body.bone_m("left_ankle")
    el, az, bend, swivel = (c[f"{side}_{name}"] for name in ("thigh_el", "thigh_az", "knee", "thigh_swivel"))
    first, second = (turn(heading, bone) for bone in limb(el, az, bend, swivel, sign, False))
    free = np.clip(c[f"{side}_free"], 0.0, 1.0)[:, None]
    target = foot.ankle * (1 - free) + (hip + first * thigh_m + second * shin_m) * free
    out = rotation(0.5 * c[f"{side}_foot_yaw"] + 0.5 * (c["heading"] + c["pelvis_yaw"]), 0 * free[:, 0], 0 * free[:, 0])
    spread = np.deg2rad(4.0 + c[f"{side}_knee_out"])
    pole = turn(out, np.stack((sign * np.sin(spread), 0 * spread + 0.15, np.cos(spread)), axis=-1))
    bent = unit(first - second * 0.999)
    pole = pole * (1 - free) + bent * free
    point = np.deg2rad(c[f"{side}_toe"] + 25.0)[:, None]
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


def _solve_torso(c: Channels, offsets: Array, joints: Array, pelvis: Array) -> None:
    """Set spine, neck, head, collars and arms."""
    yaw, pitch, roll = c["spine_yaw"], c["spine_pitch"], c["spine_roll"]
    bends = [pelvis @ rotation(yaw * share, pitch * share, roll * share) for share in (0.34, 0.7, 1.0)]
    chest = bends[2]
    joints[:, 3] = joints[:, 0] + turn(pelvis, offsets[3])
    joints[:, 6] = joints[:, 3] + turn(bends[0], offsets[6])
    joints[:, 9] = joints[:, 6] + turn(bends[1], offsets[9])
    joints[:, 12] = joints[:, 9] + turn(chest, offsets[12])
    nod = rotation(c["head_yaw"], c["head_pitch"] - 0.4 * (pitch + c["pelvis_pitch"]), c["head_roll"])
    joints[:, 15] = joints[:, 12] + turn(chest @ nod, offsets[15])
    ahead, aside = (ARM_FOLLOWS_TORSO * lean for lean in (pitch + c["pelvis_pitch"], roll + c["pelvis_roll"]))
    arms = rotation(c["heading"] + c["pelvis_yaw"] + yaw, ahead, aside)
    for side in SIDES:
        _solve_arm(c, side, offsets, joints, chest, arms)


def _solve_arm(c: Channels, side: str, offsets: Array, joints: Array, chest: Array, frame: Array) -> None:
    """Set collar, shoulder, elbow and wrist; the shoulder girdle rises with the arm and follows its reach."""
    sign = SIGN[side]
    collar, shoulder, elbow, wrist = (SMPL22.index(f"{side}_{part}") for part in "collar shoulder elbow wrist".split())
    el = c[f"{side}_el"]
    raised = np.clip((el + 40.0) / 130.0, 0.0, 1.0)
    raised = raised * raised * (3 - 2 * raised)
    girdle = rotation(-sign * c[f"{side}_protract"], 0 * el, -sign * (24.0 * raised + c[f"{side}_shrug"]))
    joints[:, collar] = joints[:, 9] + turn(chest, offsets[collar])
    joints[:, shoulder] = joints[:, collar] + turn(chest @ girdle, offsets[shoulder])
    first, second = limb(el, c[f"{side}_az"], c[f"{side}_elbow"], c[f"{side}_swivel"], sign, True)
    out = frame @ rotation(0 * el, 0 * el, -sign * c[f"{side}_spread"])
    joints[:, elbow] = joints[:, shoulder] + turn(out, first) * np.linalg.norm(offsets[elbow])
    joints[:, wrist] = joints[:, elbow] + turn(out, second) * np.linalg.norm(offsets[wrist])
