"""Kicks and punches of a fight, from a guard or a plain stance."""

import numpy as np

from exuvia.synthetic.actor import BALL_AHEAD_M, OTHER, Actor, Part
from exuvia.synthetic.body import TABLES
from exuvia.synthetic.rig import SIGN, reach

GUARD_YAW = 20.0
"""Angle by which the chest is turned away from the leading side in a guard, in degrees."""


def toward(x: float, y: float, z: float, away: float, elbow_out: float = 10.0) -> dict[str, float]:
    """Like `rig.reach`, but (out, up, ahead) refer to the heading of a chest that is turned `away` from the arm."""
    c, s = float(np.cos(np.deg2rad(away))), float(np.sin(np.deg2rad(away)))
    return reach(x * c + z * s, y, z * c - x * s, elbow_out=elbow_out)


FRONT_HAND = toward(-0.06, 0.06, 0.5, GUARD_YAW, elbow_out=12)
REAR_HAND = toward(-0.22, 0.04, 0.4, -GUARD_YAW, elbow_out=16)
LEVEL = {"low": -34.0, "middle": -4.0, "high": 22.0}
"""Elevation of the kicking leg by level, in degrees."""


def guard(actor: Actor, lead: str, seconds: float) -> None:
    """Raise the hands and put the feet apart, one side ahead."""
    start, end = actor.now, actor.now + seconds
    sign = SIGN[lead]
    with actor.labelled("guard"):
        actor.arm(lead, start, end, **FRONT_HAND)
        actor.arm(OTHER[lead], start, end, **REAR_HAND)
        actor.lean(start, end, height=-0.035, spine_pitch=5.0, pelvis_yaw=-0.6 * GUARD_YAW * sign)
        actor.lean(start, end, spine_yaw=-0.4 * GUARD_YAW * sign, head_yaw=14.0 * sign, head_pitch=6.0)
        actor.step(lead, start, start + 0.55 * seconds, BALL_AHEAD_M + 0.17, sign * 0.11, yaw=4.0)
        actor.step(OTHER[lead], start + 0.5 * seconds, end, BALL_AHEAD_M - 0.13, -sign * 0.13, yaw=22.0)
        actor.now = end
    actor.posture = "guard"


def _ready(actor: Actor, lead: str, chance: float) -> bool:
    """Take up a guard with some probability; returns whether the actor is in guard."""
    if actor.rng.random() < chance:
        guard(actor, lead, actor.beat(0.6))
    return actor.posture == "guard"


def relax(actor: Actor) -> None:
    """Leave the guard."""
    with actor.labelled("stand"):
        actor.settle(actor.beat(0.6))
    actor.posture = "stand"


_ARM = ("el", "az", "elbow", "swivel", "spread")
_KICKS = TABLES["kick"]


def kick(actor: Actor, part: Part) -> None:
    """Shift the weight, chamber the leg, strike, withdraw the leg and put it down; `count` times."""
    kind = part.action.removeprefix("kick_")
    in_guard = _ready(actor, OTHER[part.side], 0.65)
    with actor.labelled("kick"):
        for number in range(part.count):
            _one_kick(actor, part, kind, in_guard, again=number > 0)
    relax(actor)


def _one_kick(actor: Actor, part: Part, kind: str, in_guard: bool, again: bool) -> None:
    side, support, sign = part.side, OTHER[part.side], SIGN[part.side]
    size = 0.55 + 0.45 * actor.style.size
    ahead, left = actor.feet()[support]
    foot_ahead, foot_left = actor.feet()[side]
    shift, chamber = actor.beat(0.2 if again else 0.3), actor.beat(0.24)
    start = actor.now
    actor.sway(start, start + shift + 0.1, ahead=ahead - BALL_AHEAD_M + 0.02, left=0.85 * left)
    actor.lean(start, start + shift, pelvis_roll=2.0 * sign, height=-0.03)
    actor.leg(side, start + 0.4 * shift, start + shift, plant=0.0, foot_pitch=30.0, foot_y=0.05)
    actor.leg(side, start + 0.7 * shift, start + shift + chamber, free=1.0, foot_y=0.2, **_KICKS[kind]["chamber"])
    turned = -_KICKS[kind]["turn"] * sign
    actor.lean(start + 0.6 * shift, start + shift + chamber, pelvis_yaw=0.7 * turned, spine_yaw=-0.35 * turned)
    pivot = actor.heading + 0.75 * turned - sign * 7.0
    actor.leg(support, start + 0.7 * shift, start + shift + chamber, foot_yaw=pivot)
    _balance(actor, side, kind, in_guard, start + 0.6 * shift, start + shift + chamber, 0.6)
    actor.now = start + shift + chamber
    _strike(actor, part, kind, in_guard, turned, size)
    actor.leg(side, actor.now, actor.now + 0.3, foot_x=actor.line.value(f"{side}_foot_x"))
    if not in_guard:
        foot_ahead, foot_left = BALL_AHEAD_M + float(actor.rng.uniform(0.0, 0.12)), sign * actor.stance_m
    _set_down(actor, side, foot_ahead, foot_left)


def _strike(actor: Actor, part: Part, kind: str, in_guard: bool, turned: float, size: float) -> None:
    """Move the leg from the chamber to the target and back."""
    side, sign, level = part.side, SIGN[part.side], LEVEL[part.level or "middle"]
    out, hold, back = actor.beat(0.2 if kind == "roundhouse" else 0.17), actor.beat(0.07), actor.beat(0.22)
    start, end = actor.now, actor.now + out
    high = (level + 34.0) / 56.0
    leg = {
        "front": {"thigh_el": level + 4.0, "knee": 8.0, "toe": 10.0},
        "side": {"thigh_el": level, "thigh_az": 84.0, "knee": 6.0, "toe": -15.0},
        "roundhouse": {"thigh_el": level, "thigh_az": 86.0, "knee": 10.0, "toe": 45.0},
        "back": {"thigh_el": -180.0 - 0.6 * level + 14.0, "knee": 8.0, "toe": -15.0},
        "knee": {"thigh_el": 10.0, "knee": 118.0, "toe": 40.0},
    }[kind]
    tilt = {
        "front": {"pelvis_pitch": -8.0 - 10.0 * high, "spine_pitch": -5.0 - 6.0 * high},
        "side": {"pelvis_roll": -sign * (14.0 + 12.0 * high), "spine_roll": -sign * (14.0 + 12.0 * high)},
        "roundhouse": {"pelvis_roll": -sign * (10.0 + 12.0 * high), "spine_roll": -sign * (8.0 + 12.0 * high)},
        "back": {"pelvis_pitch": 34.0, "spine_pitch": 22.0, "head_pitch": -15.0},
        "knee": {"pelvis_pitch": -8.0, "spine_pitch": 14.0},
    }[kind]
    actor.leg(side, start, end, **leg)
    actor.lean(start - 0.05, end, height=-0.01, pelvis_yaw=turned, spine_yaw=-0.2 * turned, head_yaw=-0.7 * turned)
    actor.lean(start - 0.08, end, **{name: size * value for name, value in tilt.items()})
    actor.leg(OTHER[side], start, end, foot_pitch=8.0)
    _balance(actor, side, kind, in_guard, start, end, 1.0)
    after = end + hold
    actor.leg(side, after, after + back, **{name: _KICKS[kind]["chamber"][name] for name in leg})
    actor.lean(after, after + back + 0.1, **{name: 0.3 * value for name, value in tilt.items()})
    actor.leg(OTHER[side], after, after + back, foot_pitch=0.0)
    actor.now = after + back


def _balance(actor: Actor, side: str, kind: str, in_guard: bool, start: float, end: float, share: float) -> None:
    """Balance the kick with the arms: the hand on the kicking side swings back, the other stays up or moves forward."""
    if kind == "knee":
        ahead, up = (0.62, 0.2) if share < 1 else (0.3, -0.28)
        actor.arms(start, end, **reach(-0.15, up, ahead, elbow_out=18))
    elif in_guard:
        actor.arm(side, start, end, el=-88.0 - 28.0 * share, az=22.0, elbow=34.0, swivel=0.0, spread=10.0)
        actor.arm(OTHER[side], start, end, **reach(-0.2, 0.05, 0.4, elbow_out=14))
    else:
        actor.arm(side, start, end, el=-92.0 - 30.0 * share, az=25.0, elbow=26.0, spread=14.0)
        actor.arm(OTHER[side], start, end, el=-90.0 + 48.0 * share, az=20.0, elbow=40.0, spread=10.0)


def _set_down(actor: Actor, side: str, ahead: float, left: float) -> None:
    """Put a free leg down at a point in metres from home, and move the body over both feet."""
    down = actor.beat(0.42)
    start, end = actor.now, actor.now + down
    angle = actor.heading + SIGN[side] * 8.0
    actor.move_foot(side, start, start + 0.02, ahead, left, foot_yaw=angle, foot_pitch=0.0)
    actor.leg(side, start, start + 0.85 * down, free=0.0)
    actor.leg(side, start + 0.3 * down, end, foot_y=0.0)
    actor.leg(side, start + 0.1 * down, end, thigh_el=-70.0, thigh_az=0.0, knee=30.0, thigh_swivel=0.0, toe=0.0)
    actor.leg(side, end - 0.12, end, plant=1.0)
    support = OTHER[side]
    actor.leg(support, start + 0.1, end, foot_yaw=actor.heading - SIGN[side] * 7.0)
    names = "pelvis_yaw pelvis_pitch pelvis_roll spine_yaw spine_pitch spine_roll head_yaw head_pitch"
    actor.lean(start, end + 0.05, **dict.fromkeys(names.split(), 0.0))
    actor.lean(start, end, height=-0.03)
    if actor.posture == "guard":
        actor.arm(side, start, end, **REAR_HAND)
        actor.arm(support, start, end, **FRONT_HAND)
    else:
        actor.arms(start, end + 0.1, el=-80.0, az=8.0, elbow=26.0, swivel=10.0)
    actor.sway(start + 0.3 * down, end + 0.15)
    actor.now = end + 0.05


def punch(actor: Actor, part: Part) -> None:
    """Jab, cross, hook or uppercut from a guard, `count` times; sides alternate if the script names none."""
    lead = part.side or ("left" if actor.rng.random() < 0.7 else "right")
    _ready(actor, OTHER[lead] if part.action == "cross" and part.side else lead, 1.0)
    with actor.labelled("punch"):
        for number in range(part.count):
            side = part.side or (lead if number % 2 == 0 else OTHER[lead])
            kind = part.action
            if not part.side and kind == "punch":
                kind = "jab" if side == lead else "cross"
            _one_punch(actor, side, "jab" if kind == "punch" else kind, part.level)
            actor.wait(actor.beat(0.1, 0.9))
    relax(actor)


def _one_punch(actor: Actor, side: str, kind: str, level: str) -> None:
    sign, size = SIGN[side], 0.6 + 0.4 * actor.style.size
    load, out, hold, back = actor.beat(0.15), actor.beat(0.11), actor.beat(0.05), actor.beat(0.24)
    up = {"low": -0.42, "middle": -0.12, "high": 0.14}[level or "middle"]
    start, hit = actor.now, actor.now + load + out
    home = {name: actor.line.value(f"{side}_{name}") for name in _ARM}
    turned = {"jab": 20.0, "cross": 42.0, "hook": 48.0, "uppercut": 34.0}[kind] * size
    base = actor.values("spine_yaw", "pelvis_yaw", "spine_pitch", "height")
    away = 1.05 * turned - sign * (base["spine_yaw"] + base["pelvis_yaw"])
    hook = {"el": -34.0, "az": 78.0, "elbow": 92.0, "swivel": 62.0, "spread": 0.0}
    low = {"el": -88.0, "az": 10.0, "elbow": 78.0, "swivel": 8.0, "spread": 6.0}
    across = {"el": -6.0 + 40 * up, "az": away - 6.0, "elbow": 84.0, "swivel": 86.0, "spread": 0.0}
    lifted = {"el": -14.0, "az": away - 10.0, "elbow": 98.0, "swivel": 14.0, "spread": 0.0}
    wind, aim = {
        "jab": (toward(-0.02, -0.1, 0.2, 0.5 * GUARD_YAW), toward(-0.1, up, 0.97, away)),
        "cross": (home, toward(-0.14, up, 0.94, away)),
        "hook": (hook, across),
        "uppercut": (low, lifted),
    }[kind]
    dip = -0.05 if kind == "uppercut" else -0.012
    actor.arm(side, start, start + load, **wind)
    actor.move(start, start + load, spine_yaw=base["spine_yaw"] + 0.35 * sign * turned, height=base["height"] + dip)
    actor.arm(side, start + load, hit, **aim, protract=16.0)
    actor.move(start + load - 0.03, hit, spine_yaw=base["spine_yaw"] - 0.65 * sign * turned)
    actor.move(start + load - 0.05, hit, pelvis_yaw=base["pelvis_yaw"] - 0.4 * sign * turned)
    actor.move(start + load, hit, spine_pitch=base["spine_pitch"] + 4.0, height=base["height"])
    actor.sway(start + 0.5 * load, hit, ahead=0.05)
    after = hit + hold
    actor.arm(side, after, after + back, **home, protract=0.0)
    actor.move(after, after + back, **base)
    actor.sway(after, after + back)
    actor.now = after + back
