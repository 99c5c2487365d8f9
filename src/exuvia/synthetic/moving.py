"""Actions of locomotion: walking, running, turning, and stepping sideways and backwards."""

from exuvia.synthetic.actor import OTHER, Actor, Part
from exuvia.synthetic.gait import GAITS, travel
from exuvia.synthetic.rig import SIDES, SIGN
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


def go(actor: Actor, part: Part) -> None:
    """Take `count` steps in the gait of the action's name and level, with its posture of arms and trunk."""
    gait = GAITS[f"{part.action}_{part.level}".removesuffix("_")]
    upright, ready = dict(actor.neutral), actor.beat(0.5)
    for name, value in gait.trunk.items():
        actor.neutral[name] += value
        actor.lean(actor.now, actor.now + ready, **{name: 0.0})
    if gait.arms:
        for side in (part.side,) if gait.one_arm else SIDES:
            actor.arm(side, actor.now, actor.now + ready, **gait.arms)
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
    travel(actor, GAITS["walk"], part.count, way_m, first=_first(actor))
    turn = float(actor.rng.uniform(172, 188)) * SIGN[part.side]
    travel(actor, GAITS["turn_half"], 4, 0.0, turn=turn, first=part.side)
    travel(actor, GAITS["walk"], part.count, way_m, first=_first(actor))


def kick_ball(actor: Actor, part: Part) -> None:
    """Kick a ball, after a run-up at the level `run`."""
    if part.level == "run":
        gait, steps = ("jog" if actor.rng.random() < 0.5 else "walk"), 3 + int(actor.rng.integers(0, 2))
        travel(actor, GAITS[gait], steps, 1.6, first=OTHER[part.side])
    play(actor, part)
