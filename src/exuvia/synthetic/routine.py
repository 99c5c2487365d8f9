"""Routines: movements of the whole body as key poses, with feet, knees and hands planted on the floor, and flights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exuvia.readers import read_table
from exuvia.synthetic.actor import GRAVITY, OTHER, Actor, Part
from exuvia.synthetic.rig import HEAD_SHARE, SIDES, SIGN

_MEAN_LEG_M = 0.82
_KNEELING_DEG = 138.0
"""Pitch of a foot whose instep lies on the floor."""
_KNEE_OUT_DEG = 32.0
"""Outward turn that lifts a knee over the floor on its way."""
_FLAT = (0.0, 0.0, 7.0)
"""Height and pitch of a flat foot, and the angle by which its toes turn out."""
Angles = dict[str, float]
Places = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Key:
    """One pose of a routine and the way to it; routines.toml explains the fields."""

    seconds: float = 0.5
    wait: float = 0.0
    chance: float = 1.0
    label: str = ""
    only: tuple[str, ...] = ()
    vary: float = 0.0
    loose: float = 0.0
    go: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    rise: float = 0.0
    pelvis: tuple[float, float] | None = None
    body: Angles = field(default_factory=dict)
    arms: Angles = field(default_factory=dict)
    left_arm: Angles = field(default_factory=dict)
    right_arm: Angles = field(default_factory=dict)
    left_leg: Angles = field(default_factory=dict)
    right_leg: Angles = field(default_factory=dict)
    feet: Places = field(default_factory=dict)
    knees: Places = field(default_factory=dict)
    hands: Places = field(default_factory=dict)
    lift: float = 0.06
    flight: float = 0.0
    give: float = 0.12
    land: Angles = field(default_factory=dict)

    def mirrored(self) -> "Key":
        """The same key with left and right exchanged."""

        def sides(places: Places) -> Places:
            return {OTHER[side]: (*at[:1], *(-v for v in at[1:2]), *at[2:]) for side, at in places.items()}

        def trunk(angles: Angles) -> Angles:
            return {name: -value if name.endswith(("yaw", "roll")) else value for name, value in angles.items()}

        pelvis = self.pelvis and (self.pelvis[0], -self.pelvis[1])
        changed: dict[str, Any] = {"left_arm": self.right_arm, "right_arm": self.left_arm, "pelvis": pelvis}
        changed |= {"left_leg": self.right_leg, "right_leg": self.left_leg, "go": (self.go[0], -self.go[1])}
        changed |= {"turn": -self.turn}
        changed |= {name: trunk(getattr(self, name)) for name in ("body", "land")}
        changed |= {name: sides(getattr(self, name)) for name in ("feet", "knees", "hands")}
        return Key(**(vars(self) | changed))


@dataclass(frozen=True)
class Routine:
    """Keys of an action: `begin`, then `cycle` once per repetition (every second time mirrored), then `end`."""

    name: str
    begin: tuple[Key, ...] = ()
    cycle: tuple[Key, ...] = ()
    end: tuple[Key, ...] = ()
    alternate: bool = False
    either: bool = False
    settle: float = 0.7
    posture: str = "stand"


_ROUTINES = read_table(__file__, "routines.toml", Routine)


def play(actor: Actor, part: Part) -> None:
    """Perform the routine with the name of the action: its cycle `count` times, in the variant of the level."""
    routine = _ROUTINES[part.action]
    flip = part.side == "right" or (routine.either and actor.rng.random() < 0.5)
    for key in _keys(routine, part.count, flip):
        if (not key.only or part.level in key.only) and actor.rng.random() < key.chance:
            _reach(actor, key)
    for name in ("pelvis_pitch", "pelvis_roll", "pelvis_yaw"):  # whole turns end upright
        turns = round((actor.line.value(name) - actor.neutral[name]) / 360.0)
        actor.neutral[name] += 360.0 * turns
        actor.neutral["head_pitch"] += HEAD_SHARE * 360.0 * turns * (name == "pelvis_pitch")
    if routine.posture == "stand":
        with actor.labelled("stand"):
            actor.settle(actor.beat(routine.settle))
    actor.posture = routine.posture


def _keys(routine: Routine, count: int, flip: bool) -> list[Key]:
    turns = (flip ^ (routine.alternate and number % 2 == 1) for number in range(max(1, count)))
    parts = [(routine.begin, flip), *((routine.cycle, turned) for turned in turns), (routine.end, flip)]
    return [key.mirrored() if turned else key for keys, turned in parts for key in keys]


def _reach(actor: Actor, key: Key) -> None:
    """Move from the present pose to that of a key."""
    scale = actor.body.leg_m / _MEAN_LEG_M
    size = 1.0 + key.vary * float(actor.style.size * actor.rng.uniform(0.85, 1.15) - 1.0)
    actor.home = actor.place(scale * size * key.go[0], scale * size * key.go[1])
    actor.heading += key.turn
    start = actor.now
    end = start + actor.beat(key.seconds)
    if key.rise:
        actor.floor += key.rise
        actor.move(start, end, ground=actor.floor)
    if key.flight:
        off, land, end = _fly(actor, key, key.flight * size)
        middle, swung = off + 0.15 * (land - off), off + 0.75 * (land - off)
        actor.lean(land, end, **{name: size * value for name, value in key.land.items()})
    else:
        off, land, middle, swung = start, end, end, end
        if key.pelvis or any(key.go) or key.turn:
            ahead, left = key.pelvis or (0.0, 0.0)
            actor.sway(start, end, scale * ahead, scale * left)
            actor.move(start, end, heading=actor.heading)
    lag = min(0.05, 0.1 * (middle - start))
    actor.lean(start, middle, **{name: size * value for name, value in key.body.items()})
    for side in SIDES:
        angles = (key.arms | getattr(key, f"{side}_arm")).items()
        near = {name: value + key.loose * float(actor.rng.uniform(-1.0, 1.0)) for name, value in angles}
        actor.arm(side, start + lag, swung + lag, **near)
        actor.leg(side, start, middle, **getattr(key, f"{side}_leg"))
        _place_hand(actor, side, start, end, key, scale)
        _place_foot(actor, side, off, land, key, scale)
    actor.now = end + actor.beat(key.wait)
    if key.label:
        actor.spans.append((start, actor.now, key.label))


def _place_hand(actor: Actor, side: str, start: float, end: float, key: Key, scale: float) -> None:
    """Put a hand on a point, lift it there from another, or take it away (an empty place)."""
    place, name = key.hands.get(side), f"{side}_hand"
    if place is None:
        return
    if not place:
        actor.move(start, start + 0.6 * (end - start), **{name: 0.0})
        return
    (x, z), up = actor.place(scale * place[0], scale * place[1]), actor.floor + scale * place[2]
    planted, middle = actor.line.value(name) > 0.5, start + 0.5 * (end - start)
    go = end - 0.1 * (end - start) if planted else start + 0.02
    actor.move(start, go, **{f"{name}_x": float(x), f"{name}_z": float(z)})
    if planted and key.lift:
        actor.move(start, middle, **{f"{name}_y": actor.line.value(f"{name}_y") + key.lift})
    actor.move(middle if key.lift else start, end if planted else go, **{f"{name}_y": up})
    actor.move(start + 0.25 * (end - start), end, **{name: 1.0})


def _place_foot(actor: Actor, side: str, start: float, end: float, key: Key, scale: float) -> None:
    """Step or jump to a place, or kneel down on it; a foot that stays only changes its pitch."""
    if side in key.knees:
        ahead, left = (scale * value for value in key.knees[side])
        ahead -= actor.body.bone_m("left_ankle") + 0.955 * actor.body.bone_m("left_foot")
        up, pitch, out = 0.0, _KNEELING_DEG, 0.0
    elif side in key.feet:
        ahead, left, up, pitch, out = (*key.feet[side], *_FLAT[len(key.feet[side]) - 2 :])
        ahead, left = scale * ahead, scale * left
    else:
        return
    point, before = actor.place(ahead, left), actor.values(*(f"{side}_foot_{axis}" for axis in "xyz"))
    far = float(np.hypot(point[0] - before[f"{side}_foot_x"], point[1] - before[f"{side}_foot_z"]))
    width, middle, yaw = end - start, 0.5 * (start + end), actor.heading + SIGN[side] * out
    if key.flight:
        actor.leg(side, start - 0.14, start + 0.02, foot_pitch=46.0)
        actor.leg(side, start - 0.03, start + 0.04, plant=0.0)
        actor.leg(side, start, middle, foot_y=key.flight + key.lift, foot_pitch=32.0)
        for share in (0.2, 0.4, 0.6, 0.8, 1.0) if key.turn else (1.0,):  # around the middle of the body
            time, turned = start + share * (end - 0.02 - start), share * share * (3.0 - 2.0 * share)
            actor.heading = yaw - SIGN[side] * out - (1.0 - turned) * key.turn
            foot_yaw = actor.heading + SIGN[side] * out
            actor.move_foot(side, start if share in (0.2, 1.0) else time, time, ahead, left, foot_yaw=foot_yaw)
        actor.leg(side, middle, end, foot_y=up, foot_pitch=14.0 + pitch)
        actor.leg(side, end, end + 0.1, foot_pitch=pitch)
        actor.leg(side, end - 0.07, end, plant=1.0)
    elif actor.line.value(f"{side}_free") > 0.5:
        actor.move_foot(side, start, start + 0.02, ahead, left, foot_y=up + key.lift, foot_yaw=yaw, foot_pitch=pitch)
        actor.leg(side, start + 0.1 * width, start + 0.75 * width, free=0.0)
        actor.leg(side, start + 0.6 * width, end, foot_y=up)
        actor.leg(side, end - 0.25 * width, end, plant=1.0)
    elif far < 0.07:
        actor.leg(side, start, end, foot_pitch=pitch, foot_y=up)
        if key.turn:
            actor.leg(side, start, end, foot_yaw=yaw)
    else:
        actor.leg(side, start, start + 0.15 * width, plant=0.0)
        rest = max(0.5 * (actor.line.value(f"{side}_foot_pitch") + pitch), 14.0)
        over = max(before[f"{side}_foot_y"] - actor.floor, up) + key.lift
        actor.leg(side, start, middle, foot_y=over, foot_pitch=rest, knee_out=_KNEE_OUT_DEG * (side in key.knees))
        actor.move_foot(side, start + 0.1 * width, end - 0.12 * width, ahead, left, foot_yaw=yaw)
        actor.leg(side, middle, end, foot_y=up, foot_pitch=pitch, knee_out=0.0)
        actor.leg(side, end - 0.25 * width, end, plant=1.0)


def _fly(actor: Actor, key: Key, rise: float) -> tuple[float, float, float]:
    """Push off, rise by `rise` metres, fall and give in; returns the times of take-off, landing and rest.

    The push accelerates the pelvis evenly to the speed of take-off, and the legs give in with an even deceleration.
    """
    speed, tall = float(np.sqrt(2.0 * GRAVITY * rise)), actor.body.pelvis_m
    before, top = actor.values("x", "z", "height"), actor.neutral["height"] + 0.045
    push = float(np.clip(2.0 * (top - before["height"]) * tall / speed, 0.12, 0.5))
    flight, give = 2.0 * speed / GRAVITY, 2.0 * key.give / speed
    off, land, whole = actor.now + push, actor.now + push + flight, 0.5 * push + flight + 0.5 * give
    x, z = actor.place(*(actor.body.leg_m / _MEAN_LEG_M * value for value in key.pelvis or (0.0, 0.0)))
    actor.hold("x", "z", "height", "heading")
    phases: tuple[tuple[float, float, Callable[[float], tuple[float, float]]], ...] = (
        (actor.now, push, lambda s: (0.5 * push * s * s, before["height"] + (top - before["height"]) * s * s)),
        (off, flight, lambda s: (0.5 * push + s * flight, top - 0.03 * s + 4.0 * s * (1.0 - s) * rise / tall)),
        (land, give, lambda s: (whole - 0.5 * give * (1 - s) ** 2, top - 0.03 - key.give * s * (2.0 - s) / tall)),
    )
    for begin, width, at in phases:
        for share in (0.25, 0.5, 0.75, 1.0):
            time, (way, height) = begin + share * width, at(share)
            there = {axis: before[axis] + way / whole * (to - before[axis]) for axis, to in (("x", x), ("z", z))}
            actor.move(time, time, height=height, **there)
    actor.move(off, land, heading=actor.heading)
    actor.flights.append((off, land))
    return off, land, land + give
