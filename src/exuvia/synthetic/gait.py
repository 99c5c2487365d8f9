"""Walking, running and stepping in any direction: footsteps under a moving pelvis, with feet planted during stance."""

from dataclasses import dataclass, field, replace

import numpy as np

from exuvia.readers import read_table
from exuvia.synthetic.actor import BALL_AHEAD_M, GRAVITY, OTHER, Actor
from exuvia.synthetic.rig import SIDES, SIGN, Array
from exuvia.synthetic.timeline import eased


@dataclass(frozen=True)
class Gait:
    """Parameters of a gait; gaits.toml explains them. Angles are in degrees, lengths in metres."""

    name: str
    step_s: float = 0.54
    stance: float = 1.24
    lift: float = 0.085
    heel: float = 42.0
    strike: float = 16.0
    arm_forward: float = 24.0
    arm_back: float = 20.0
    elbow: float = 22.0
    elbow_swing: float = 14.0
    lean: float = 1.0
    drop: float = 0.0
    bob: float = 0.0
    twist: float = 5.0
    roll: float = 3.0
    sway: float = 0.022
    width: float = 0.09
    ease: float = 1.1
    limp: float = 0.0
    leap: float = 0.0
    toes: float = 0.0
    stride: tuple[float, float] = (0.42, 0.56)
    direction: float = 0.0
    turn: float = 0.0
    steps: int = 1
    rest: float = 0.0
    arms: dict[str, float] = field(default_factory=dict)
    one_arm: bool = False
    trunk: dict[str, float] = field(default_factory=dict)


GAITS = read_table(__file__, "gaits.toml", Gait)
"""All gaits by name."""
_CIRCLE_DEG = 150.0
"""Turn from which the body leans into the curve."""


def _ramp(times: Array, start: float, end: float, ease: float) -> Array:
    """Share of the distance covered at given times, from 0 to 1, with smooth start and end."""
    ease = min(ease, 0.5 * (end - start))
    grid = np.linspace(start, end, 65)
    speed = np.clip(np.minimum(grid - start, end - grid) / ease, 0.0, 1.0)
    speed = speed * speed * (3 - 2 * speed)
    way = np.concatenate(([0.0], np.cumsum((speed[1:] + speed[:-1]) / 2)))
    return np.interp(times, grid, way / way[-1])


class Path:
    """Path of the pelvis over time, with a direction relative to the heading, which can turn along the path."""

    def __init__(
        self, actor: Actor, start: float, end: float, way_m: float, direction: float, turn: float, ease: float
    ):
        self.grid = np.linspace(start, end, max(17, int((end - start) * 40)))
        share = _ramp(self.grid, start, end, ease)
        self.heading = actor.heading + turn * share
        middle = (self.heading[1:] + self.heading[:-1]) / 2 + direction
        steps = np.diff(share) * way_m
        self.x = actor.home[0] + np.concatenate(([0.0], np.cumsum(steps * np.sin(np.deg2rad(middle)))))
        self.z = actor.home[1] + np.concatenate(([0.0], np.cumsum(steps * np.cos(np.deg2rad(middle)))))

    def at(self, time: float) -> tuple[float, float, float]:
        """x and z in metres, and heading in degrees."""
        x, z, heading = (float(np.interp(time, self.grid, values)) for values in (self.x, self.z, self.heading))
        return x, z, heading


def travel(
    actor: Actor, gait: Gait, steps: int, way_m: float, *, direction: float = 0.0, turn: float = 0.0,
    first: str = "left", arms: bool = True, rise_m: float = 0.0,
) -> None:  # fmt: skip
    """Take at least 2 steps along a path of the pelvis that is `way_m` metres long, and bring the feet together.

    `direction` is that of the path relative to the heading, and `turn` the change of heading along it, both in degrees
    to the left. `first` is the foot that steps first, and the leg that a limping gait spares; `arms` says whether the
    arms swing; `rise_m` is the height of a stair, negative to go down.
    """
    gait = _personal(gait, actor)
    start, count, pace = actor.now, max(2, steps), gait.step_s / actor.style.tempo
    actor.hold("x", "z", "heading", "pelvis_yaw", "spine_yaw", "pelvis_roll", "spine_roll", "height", "ground")
    actor.hold(*(f"{side}_{name}" for side in SIDES for name in ("el", "elbow", "swivel", "az")))
    hurt = first if gait.limp else ""
    lead = [first if k % 2 == 0 else OTHER[first] for k in range(count)]
    paces = [pace * (1.0 + (gait.limp if side == hurt else -gait.limp)) for side in lead]
    leaps = [gait.leap if k == count // 2 else 0.0 for k in range(count)]
    touches = (start + np.cumsum(paces) + np.cumsum(leaps)).tolist()
    end = touches[-1]
    path = Path(actor, start, end + 0.1 * pace, way_m, direction, turn, gait.ease * pace)
    levels = [actor.floor + rise_m * min(k + 1, count - 1) for k in range(count)]
    for k, side in enumerate(lead):
        lift = start if k == 0 else touches[k - 1] - leaps[k - 1] + (gait.stance - 1.0) * pace
        last = k == count - 1
        planted = end + pace if last else touches[k] + 0.5 * gait.stance * pace
        own = replace(gait, lift=0.75 * gait.lift, heel=0.4 * gait.heel, strike=0.0) if side == hurt else gait
        _swing(actor, own, path.at(planted), side, lift, touches[k], pace, levels[k])
        if 0 < k and gait.stance < 1.0:
            actor.flights.append((touches[k - 1] + gait.stance * pace, touches[k]))
    upright = dict(actor.neutral)
    pull = way_m * np.deg2rad(turn) / (end - start) ** 2 if abs(turn) > _CIRCLE_DEG else 0.0
    tilt = float(np.rad2deg(np.arctan(pull / GRAVITY)))  # where gravity and the pull of the circle balance
    actor.neutral["pelvis_roll"] += tilt
    _carry(actor, gait, path, lead, touches, pace, tilt)
    _sway_body(actor, gait, lead, touches, pace, arms, hurt)
    for touch, level in zip(touches, levels, strict=True):
        middle = min(touch + 0.5 * gait.stance * pace, end + 0.1 * pace)
        actor.move(middle, middle, ground=level)
    actor.neutral = upright
    _stand(actor, end, pace, arms)
    if abs(turn) > 30:
        actor.move(start, start + 1.2 * pace, head_yaw=actor.neutral["head_yaw"] + float(np.clip(0.25 * turn, -28, 28)))
        actor.move(end - 1.2 * pace, end, head_yaw=actor.neutral["head_yaw"])
    x, z, actor.heading = path.at(end + pace)
    actor.home = np.asarray((x, z))
    actor.now = end + 0.12 * pace


def _personal(gait: Gait, actor: Actor) -> Gait:
    """Random variation of a gait."""
    names = ("step_s", "lift", "heel", "arm_forward", "arm_back", "elbow", "elbow_swing", "twist", "roll", "sway")
    spread = (0.06, 0.2, 0.12, 0.3, 0.3, 0.25, 0.3, 0.3, 0.35, 0.3)
    factors = [float(1.0 + share * actor.rng.uniform(-1.0, 1.0)) for share in spread]
    return replace(gait, **{name: getattr(gait, name) * by for name, by in zip(names, factors, strict=True)})


def _swing(
    actor: Actor, gait: Gait, under: tuple[float, float, float], side: str, lift: float, touch: float, pace: float,
    level_m: float,
) -> None:  # fmt: skip
    """Step with one foot to its position under the pelvis at mid-stance."""
    x, z, heading = under
    angle, width = np.deg2rad(heading), touch - lift
    left = SIGN[side] * max(gait.width, 0.5 * actor.body.hip_half_m)
    x += BALL_AHEAD_M * np.sin(angle) + left * np.cos(angle)
    z += BALL_AHEAD_M * np.cos(angle) - left * np.sin(angle)
    bounce = 0.5 + 0.5 * actor.style.bounce
    climb, actor.floor = max(actor.line.value(f"{side}_foot_y") - level_m, 0.0), level_m
    high, toes_up = (
        gait.lift * bounce + climb,
        actor.body.bone_m("left_foot") * np.sin(np.deg2rad(max(gait.strike, 0.0))),
    )
    actor.leg(side, lift - 0.38 * pace, lift + 0.02 * width, foot_pitch=gait.heel)
    actor.leg(side, lift, lift + 0.38 * width, foot_y=high, foot_pitch=gait.heel * 0.8)
    actor.leg(side, lift + 0.38 * width, lift + 0.8 * width, foot_y=0.3 * high + toes_up, foot_pitch=-gait.strike)
    actor.leg(side, lift + 0.8 * width, touch, foot_y=float(toes_up))
    actor.leg(side, touch, touch + 0.16 * pace, foot_y=0.0, foot_pitch=gait.toes)
    actor.leg(side, lift, touch - 0.07 * width, foot_x=float(x), foot_z=float(z), foot_yaw=heading + 6.0 * SIGN[side])
    actor.leg(side, lift - 0.05 * pace, lift + 0.2 * pace, plant=0.0)
    actor.leg(side, touch - 0.2 * pace, touch, plant=1.0)


def _carry(
    actor: Actor, gait: Gait, path: Path, lead: list[str], touches: list[float], pace: float, tilt: float
) -> None:
    """Move the pelvis along its path, shifted over the standing foot and towards the middle of a circle."""
    start, end = actor.now, touches[-1] + 0.1 * pace
    inward = float(np.tan(np.deg2rad(tilt))) * actor.body.pelvis_m
    middles = [start + 0.45 * pace, *(touch + 0.5 * gait.stance * pace for touch in touches[:-1])]
    shifts = [SIGN[OTHER[lead[0]]], *(SIGN[side] for side in lead[:-1])]
    key_times = [start, *middles, max(end, middles[-1] + 0.2 * pace)]
    times = np.arange(start, end, 0.08)[1:]
    shift = eased(times, key_times, [0.0, *(gait.sway * s for s in shifts), 0.0])
    shift = shift + inward * np.clip(np.minimum(times - start, end - times) / (1.5 * pace), 0.0, 1.0)
    for time, left in zip([*times.tolist(), end], [*shift.tolist(), 0.0], strict=True):
        x, z, heading = path.at(time)
        angle = np.deg2rad(heading)
        actor.move(time, time, x=float(x + left * np.cos(angle)), z=float(z - left * np.sin(angle)), heading=heading)


def _sway_body(
    actor: Actor, gait: Gait, lead: list[str], touches: list[float], pace: float, arms: bool, hurt: str
) -> None:
    """Add bob, hip sway, counter-rotation of the trunk and swing of the arms; lean over a leg that hurts."""
    style, start = actor.style, actor.now
    bounce = 0.4 + 0.6 * style.bounce
    actor.lean(start, start + 1.2 * pace, pelvis_pitch=0.45 * gait.lean, spine_pitch=0.55 * gait.lean)
    actor.lean(start, start + 1.2 * pace, height=-gait.drop)
    for touch, side in zip(touches[:-1], lead[:-1], strict=True):
        sign, fade = SIGN[side], 0.6 if touch == touches[0] else 1.0
        twist, roll = fade * gait.twist * bounce, gait.roll * bounce
        lurch = 45.0 * gait.limp * (side == hurt)
        middle = touch + 0.5 * gait.stance * pace * (1.0 - 0.5 * gait.limp)
        actor.lean(touch, touch, pelvis_yaw=-sign * twist, spine_yaw=2.0 * sign * twist)
        actor.lean(middle, middle, pelvis_roll=sign * (0.4 * lurch - roll), spine_roll=sign * (0.9 * roll + lurch))
        if gait.limp:
            actor.lean(middle, middle, height=-gait.drop - 0.004 * lurch)
        if gait.bob:
            actor.lean(middle, middle, height=-gait.drop)
            flight = touch + 0.5 * (1.0 + gait.stance) * pace
            actor.lean(flight, flight, height=gait.bob * bounce - gait.drop)
        if arms:
            swing, late = fade * style.size, touch + 0.06 * pace
            actor.arm(side, late, late, el=-90.0 - gait.arm_back * swing, elbow=gait.elbow, swivel=10.0, az=0.0)
            actor.arm(OTHER[side], late, late, el=-90.0 + gait.arm_forward * swing,
                      elbow=gait.elbow + gait.elbow_swing * swing, swivel=14.0 + 0.12 * gait.elbow, az=0.0)  # fmt: skip


def _stand(actor: Actor, end: float, pace: float, arms: bool) -> None:
    """Let the trunk come to rest at the end of a path, and the arms if they swung."""
    zero = ("pelvis_yaw", "pelvis_roll", "pelvis_pitch", "spine_yaw", "spine_roll", "spine_pitch", "height")
    actor.lean(end - 0.5 * pace, end + 0.3 * pace, **dict.fromkeys(zero, 0.0))
    if arms:
        for side in SIDES:
            actor.rest_arm(side, end - 0.4 * pace, end + 0.4 * pace)
