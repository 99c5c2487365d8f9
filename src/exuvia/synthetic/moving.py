"""Actions of locomotion: walking, running, turning, and stepping sideways and backwards."""

import numpy as np

from exuvia.synthetic.actor import OTHER, Actor, Part
from exuvia.synthetic.gait import BACKWARD, GAITS, JOG, RUN, SHUFFLE, TURNING, WALK, travel
from exuvia.synthetic.rig import SIGN
from exuvia.synthetic.routine import play


def _first(actor: Actor) -> str:
    return "left" if actor.rng.random() < 0.5 else "right"


def _stride(actor: Actor, low: float, high: float) -> float:
    """A step length in metres for this body and style."""
    return float(actor.rng.uniform(low, high) * (0.45 + 0.55 * actor.style.size) * actor.body.leg_m / 0.82)


def stand(actor: Actor, part: Part) -> None:
    """Stand, breathe, look around and shift the weight."""
    end = actor.now + actor.beat(2.2, 0.4)
    while actor.now < end:
        shift = actor.rng.uniform(-0.035, 0.035)
        actor.sway(actor.now, actor.now + 0.8, ahead=float(actor.rng.uniform(-0.01, 0.02)), left=float(shift))
        actor.lean(actor.now, actor.now + 0.7, pelvis_roll=90 * float(shift), spine_roll=-90 * float(shift))
        look, twist = float(actor.rng.uniform(-35, 35)), float(actor.rng.uniform(-8, 8))
        actor.lean(actor.now, actor.now + 0.7, head_yaw=look, spine_yaw=twist)
        actor.wait(float(actor.rng.uniform(0.8, 1.6)))
    actor.settle(0.5)


def walk(actor: Actor, part: Part) -> None:
    """Walk `count` steps ahead or backwards, in a curve to one side, or in a limp."""
    steps = part.count
    if part.level == "backward":
        travel(actor, BACKWARD, steps, steps * _stride(actor, 0.3, 0.42), direction=180.0, first=_first(actor))
        return
    if part.level == "limp":
        holds = actor.rng.random() < 0.4
        if holds:
            actor.arm(part.side, actor.now, actor.now + 0.6, el=-72.0, az=4.0, elbow=34.0, swivel=34.0, spread=2.0)
        way_m = steps * _stride(actor, 0.3, 0.42)
        travel(actor, GAITS["limp"], steps, way_m, hurt=part.side, first=_first(actor), arms=not holds)
        actor.settle(0.6)
        return
    sharp = actor.rng.uniform(60, 110) if part.level == "curve" else actor.rng.uniform(-4, 4)
    turn = float(sharp) * (SIGN[part.side] if part.side else 1.0)
    travel(actor, WALK, steps, steps * _stride(actor, 0.42, 0.56), turn=turn, first=_first(actor))


def run(actor: Actor, part: Part) -> None:
    """Run or jog `count` steps ahead, or in a curve."""
    gait, low, high = (JOG, 0.58, 0.72) if part.level == "jog" else (RUN, 0.72, 0.92)
    turn = float(actor.rng.uniform(50, 100)) * SIGN[part.side] if part.side else float(actor.rng.uniform(-4, 4))
    travel(actor, gait, part.count, part.count * _stride(actor, low, high), turn=turn, first=_first(actor))
    actor.settle(0.4)


def circle(actor: Actor, part: Part) -> None:
    """Walk, jog or run `count` steps in a whole circle, which ends where it began; a small or a large one."""
    gait = GAITS[part.action.partition("_")[0]]
    wide = {"small": 0.85, "large": 1.15}.get(part.level, 1.0)
    way_m = part.count * wide * _stride(actor, *{"walk": (0.42, 0.56), "jog": (0.5, 0.66)}.get(gait.name, (0.64, 0.8)))
    travel(actor, gait, part.count, way_m, turn=360.0 * SIGN[part.side], first=_first(actor))


def stairs(actor: Actor, part: Part) -> None:
    """Go `count` steps up or down a flight of stairs, or up on boxes."""
    low, high = (0.2, 0.42) if part.level == "box" else (0.15, 0.19)
    rise_m = float(actor.rng.uniform(low, high)) * (-1 if part.level == "down" else 1)
    tread_m = float(actor.rng.uniform(0.27, 0.31))
    steps = part.count + 1
    travel(actor, GAITS[f"stairs_{part.level}"], steps, part.count * tread_m, first=_first(actor), rise_m=rise_m)


def turn(actor: Actor, part: Part) -> None:
    """Turn on the spot to one side: a quarter, a half or a full turn."""
    angle = {"quarter": 90.0, "half": 180.0, "full": 360.0}[part.level] + float(actor.rng.uniform(-8, 8))
    steps = int(np.clip(round(angle / 45), 2, 8))
    travel(actor, TURNING, steps, 0.0, turn=angle * SIGN[part.side], first=part.side)


def sidestep(actor: Actor, part: Part) -> None:
    """Take `count` steps sideways, each foot followed by the other."""
    way_m, direction = part.count * _stride(actor, 0.32, 0.45), 90.0 * SIGN[part.side]
    travel(actor, SHUFFLE, 2 * part.count, way_m, direction=direction, first=part.side)


def go(actor: Actor, part: Part) -> None:
    """Take `count` steps in the gait of the action's name and level, with its posture of arms and trunk."""
    gait = GAITS[f"{part.action}_{part.level}".removesuffix("_")]
    upright, ready = dict(actor.neutral), actor.beat(0.5)
    for name, value in gait.trunk.items():
        actor.neutral[name] += value
        actor.lean(actor.now, actor.now + ready, **{name: 0.0})
    if gait.arms:
        actor.arms(actor.now, actor.now + ready, **gait.arms)
        actor.wait(0.6 * ready)
    steps, sign = gait.steps * part.count, SIGN[part.side or "left"]
    turn = sign * steps * gait.turn + float(actor.rng.uniform(-4, 4))
    travel(
        actor, gait, steps, steps * _stride(actor, *gait.stride), direction=sign * gait.direction, turn=turn,
        first=part.side or _first(actor), arms=not gait.arms,
    )  # fmt: skip
    actor.neutral = upright
    actor.settle(actor.beat(0.6 if gait.arms else 0.25))
    with actor.labelled("stand"):
        actor.wait(actor.beat(gait.rest))


def there_and_back(actor: Actor, part: Part) -> None:
    """Walk `count` steps ahead, turn around to one side, and walk back."""
    way_m = part.count * _stride(actor, 0.42, 0.56)
    travel(actor, WALK, part.count, way_m, first=_first(actor))
    travel(actor, TURNING, 4, 0.0, turn=float(actor.rng.uniform(172, 188)) * SIGN[part.side], first=part.side)
    travel(actor, WALK, part.count, way_m, first=_first(actor))


def push_object(actor: Actor, part: Part) -> None:
    """Lean into a heavy object with both hands, and push it forward."""
    ready = actor.beat(0.6)
    actor.hands(actor.now, actor.now + ready, -0.1, -0.18, 0.78, elbow_out=25)
    upright = dict(actor.neutral)
    for name, value in {"spine_pitch": 14.0, "pelvis_pitch": 12.0, "height": -0.05, "head_pitch": -8.0}.items():
        actor.neutral[name] += value
        actor.lean(actor.now, actor.now + ready, **{name: 0.0})
    actor.wait(ready)
    travel(actor, WALK, part.count, part.count * _stride(actor, 0.28, 0.36), first=OTHER[_first(actor)], arms=False)
    actor.neutral = upright
    actor.settle(actor.beat(0.7))


def kick_ball(actor: Actor, part: Part) -> None:
    """Kick a ball, after a run-up at the level `run`."""
    if part.level == "run":
        gait, steps = (JOG if actor.rng.random() < 0.5 else WALK), 3 + int(actor.rng.integers(0, 2))
        travel(actor, gait, steps, 1.6, first=OTHER[part.side])
    play(actor, part)
