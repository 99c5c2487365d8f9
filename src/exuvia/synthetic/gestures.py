"""Actions of the arms and hands, and pastimes: waving, clapping, ball games, a sword and dancing."""

import numpy as np

from exuvia.synthetic.actor import BALL_AHEAD_M, OTHER, Actor, Part
from exuvia.synthetic.fighting import relax
from exuvia.synthetic.gait import JOG, WALK, travel
from exuvia.synthetic.rig import SIDES, SIGN


def _arms_of(part: Part) -> tuple[str, ...]:
    return (part.side,) if part.side else SIDES


def wave(actor: Actor, part: Part) -> None:
    """Raise a hand (or both) and swing the forearm from side to side."""
    rise, fall = actor.beat(0.6), actor.beat(0.65)
    high = {"high": 38.0, "low": -38.0}.get(part.level, float(actor.rng.uniform(-18, 8)))
    az = float(actor.rng.uniform(48, 74))
    bend, swing = 82.0 - 0.5 * high * (high > 0), 21.0 * actor.style.size
    for side in _arms_of(part):
        actor.arm(side, actor.now, actor.now + rise, el=high, az=az, elbow=bend + 0.4 * swing, swivel=4.0, spread=0.0)
        if part.side:
            actor.lean(actor.now, actor.now + rise, spine_roll=-3.0 * SIGN[side], head_roll=3.0 * SIGN[side])
    actor.wait(rise)
    for _ in range(max(2, part.count)):
        for way in (1.0, -1.0):
            end = actor.now + actor.beat(0.25, 0.05)
            for side in _arms_of(part):
                actor.arm(side, actor.now, end, elbow=bend + swing * way, swivel=4.0 + 9.0 * way, el=high + 3 * way)
            actor.now = end
    actor.settle(fall)


def clap(actor: Actor, part: Part) -> None:
    """Bring the hands together in front of the chest `count` times."""
    up = {"high": 0.55, "low": -0.5}.get(part.level, -0.28)
    together = -(actor.body.shoulder_half_m - 0.02) / actor.body.arm_m
    apart = together + 0.26 * actor.style.size + float(actor.rng.uniform(-0.04, 0.04))
    rise = actor.beat(0.55)
    actor.hands(actor.now, actor.now + rise, apart, up, 0.55, elbow_out=24)
    actor.wait(rise)
    for _ in range(part.count):
        close, open_ = actor.beat(0.16, 0.05), actor.beat(0.2, 0.05)
        actor.hands(actor.now, actor.now + close, together, up, 0.56, elbow_out=24)
        actor.wait(close)
        actor.hands(actor.now, actor.now + open_, apart, up, 0.55, elbow_out=24)
        actor.wait(open_)
    actor.settle(actor.beat(0.6))


def kick_ball(actor: Actor, part: Part) -> None:
    """Run up, plant the other foot next to the ball, swing the leg through and recover."""
    side, support, sign = part.side, OTHER[part.side], SIGN[part.side]
    if part.level == "run":
        travel(actor, JOG if actor.rng.random() < 0.5 else WALK, 3 + int(actor.rng.integers(0, 2)), 1.6, first=support)
    back, swing, follow, down = actor.beat(0.36), actor.beat(0.2), actor.beat(0.16), actor.beat(0.45)
    start = actor.now
    hit = start + back + swing
    actor.step(support, start, start + 0.75 * back, BALL_AHEAD_M + 0.24, -0.1 * sign, yaw=4.0)
    actor.sway(start, start + back, ahead=0.2, left=-0.08 * sign)
    actor.leg(side, start + 0.5 * back, start + back, plant=0.0, foot_pitch=40.0)
    actor.leg(side, start + 0.5 * back, start + back, free=1.0, thigh_el=-116.0, knee=68.0, toe=40.0, foot_y=0.25)
    actor.lean(start, start + back, pelvis_yaw=18.0 * sign, spine_yaw=-26.0 * sign, spine_pitch=6.0)
    actor.lean(start, start + back, head_pitch=10.0, height=-0.04)
    actor.arm(side, start, start + back, el=-66.0, az=60.0, elbow=24.0)
    actor.arm(support, start, start + back, el=-40.0, az=70.0, elbow=26.0)
    actor.leg(side, start + back, hit, thigh_el=-62.0, knee=20.0)
    actor.lean(start + back, hit, pelvis_yaw=-10.0 * sign, spine_yaw=18.0 * sign, spine_pitch=-4.0, pelvis_pitch=-6.0)
    end = hit + follow
    height = {"high": 0.0}.get(part.level, -30.0)
    actor.leg(side, hit, end, thigh_el=height, knee=8.0)
    actor.arm(side, start + back, end, el=-112.0, az=30.0, elbow=24.0)
    actor.arm(support, start + back, end, el=-30.0, az=14.0, elbow=26.0)
    actor.move_foot(side, end, end + 0.02, BALL_AHEAD_M + 0.3, sign * actor.stance_m, foot_pitch=0.0)
    actor.leg(side, end + 0.05, end + 0.9 * down, free=0.0)
    actor.leg(side, end + 0.2 * down, end + down, foot_y=0.0)
    actor.leg(side, end + 0.1, end + down, thigh_el=-68.0, knee=34.0, toe=0.0)
    actor.leg(side, end + 0.7 * down, end + down, plant=1.0)
    actor.home = actor.place(0.27, 0.0)
    actor.sway(end, end + down)
    actor.now = end + 0.8 * down
    actor.settle(actor.beat(0.6))


def swing_bat(actor: Actor, part: Part) -> None:
    """Raise both hands to one shoulder and swing level to the other side, as with a bat, club or racket."""
    sign = SIGN[part.side]
    wind, out, follow = actor.beat(0.6), actor.beat(0.24), actor.beat(0.28)
    start, go = actor.now, actor.now + wind
    actor.grip(start, go, 0.2 * sign, 0.02, 0.16)
    actor.lean(start, go, spine_yaw=38.0 * sign, pelvis_yaw=22.0 * sign, head_yaw=-44.0 * sign)
    actor.lean(start, go, height=-0.05, spine_pitch=8.0)
    actor.sway(start, go, left=0.05 * sign, ahead=-0.02)
    actor.grip(go, go + out, 0.0, -0.22, 0.44)
    actor.lean(go - 0.04, go + out, spine_yaw=-8.0 * sign, pelvis_yaw=-8.0 * sign, head_yaw=0.0)
    actor.sway(go - 0.05, go + out, left=-0.04 * sign, ahead=0.03)
    actor.grip(go + out, go + out + follow, -0.22 * sign, 0.06, 0.2)
    actor.lean(go + out, go + out + follow, spine_yaw=-40.0 * sign, pelvis_yaw=-24.0 * sign, head_yaw=28.0 * sign)
    actor.leg(part.side, go, go + out + follow, foot_pitch=26.0)
    actor.leg(part.side, go + out + follow + 0.1, go + out + follow + 0.4, foot_pitch=0.0)
    actor.now = go + out + follow + 0.15
    actor.settle(actor.beat(0.75))


def slash(actor: Actor, part: Part) -> None:
    """Raise a sword with both hands and cut down, `count` times."""
    foot = "right" if actor.rng.random() < 0.5 else "left"
    for number in range(part.count):
        up, cut, back = actor.beat(0.5), actor.beat(0.22), actor.beat(0.3)
        start, go = actor.now, actor.now + up
        lean = 0.1 * (1 if number % 2 == 0 else -1)
        actor.grip(start, go, lean, 0.34, 0.08, elbow_out=30)
        actor.lean(start, go, spine_pitch=-8.0, spine_yaw=120 * lean, height=0.0)
        if number == 0:
            actor.step(foot, start + 0.55 * up, go + cut, BALL_AHEAD_M + 0.34, SIGN[foot] * 0.1, yaw=3.0)
            actor.sway(start + 0.55 * up, go + cut, ahead=0.16)
        actor.grip(go, go + cut, -lean, -0.3, 0.4, elbow_out=12)
        actor.lean(go, go + cut + 0.05, spine_pitch=22.0, spine_yaw=-120 * lean, pelvis_pitch=8.0, height=-0.07)
        actor.now = go + cut + 0.4 * back
    relax(actor)


def _dance_arms(actor: Actor, side: str, start: float, end: float) -> None:
    """Move an arm to one of the poses of a dance."""
    size = actor.style.size
    poses = (
        {"el": -62.0, "az": 20.0, "elbow": 88.0, "swivel": 18.0},
        {"el": -30.0 * size, "az": 60.0, "elbow": 82.0, "swivel": 4.0},
        {"el": 52.0 * size, "az": 40.0, "elbow": 42.0, "swivel": 0.0},
        {"el": -98.0, "az": 20.0, "elbow": 70.0, "swivel": 16.0},
        {"el": -8.0, "az": 84.0, "elbow": 32.0, "swivel": 8.0},
    )
    actor.arm(side, start, end, **poses[actor.rng.integers(0, 5)])


def dance(actor: Actor, part: Part) -> None:
    """Sway the hips, bounce, step from side to side and move the arms to a beat, with kicks at the level `kick`."""
    beat = actor.beat(0.5, 0.12)
    size = actor.style.size
    side = "left" if actor.rng.random() < 0.5 else "right"
    for number in range(2 * part.count):
        sign, start, end = SIGN[side], actor.now, actor.now + beat
        actor.lean(start, start + 0.5 * beat, height=-0.05 * size)
        actor.lean(start + 0.5 * beat, end, height=-0.01)
        twist = float(actor.rng.uniform(-14, 14))
        actor.lean(start, end, pelvis_roll=7.0 * sign * size, spine_roll=-9.0 * sign * size)
        actor.lean(start, end, pelvis_yaw=-twist, spine_yaw=1.8 * twist)
        actor.sway(start, end, left=0.09 * sign * size, ahead=float(actor.rng.uniform(-0.02, 0.03)))
        if part.level == "kick" and number % 2 == 1:
            _dance_kick(actor, OTHER[side], start, end + 0.5 * beat)
            actor.wait(0.5 * beat)
        else:
            out = actor.stance_m + (0.14 * size if number % 2 == 0 else 0.0)
            actor.step(side, start, start + 0.7 * beat, BALL_AHEAD_M, sign * out, lift=0.05, yaw=10.0)
        for arm in SIDES:
            if actor.rng.random() < 0.75:
                _dance_arms(actor, arm, start, end)
        actor.wait(beat)
        side = OTHER[side]
    actor.settle(actor.beat(0.6))


def _dance_kick(actor: Actor, side: str, start: float, end: float) -> None:
    """Perform a light straight kick of a dance."""
    third = (end - start) / 3.0
    actor.leg(side, start, start + 0.6 * third, plant=0.0, foot_y=0.15)
    actor.leg(side, start, start + third, free=1.0, thigh_el=-52.0, knee=66.0, toe=30.0)
    high = float(np.clip(-18.0 * actor.style.size, -40, 0))
    actor.leg(side, start + third, start + 1.7 * third, thigh_el=high, knee=8.0)
    actor.move_foot(side, start + 1.7 * third, start + 1.75 * third, BALL_AHEAD_M, SIGN[side] * actor.stance_m)
    actor.leg(side, start + 1.8 * third, end - 0.04, free=0.0, thigh_el=-58.0, knee=50.0, toe=0.0)
    actor.leg(side, start + 2.0 * third, end, foot_y=0.0)
    actor.leg(side, end - 0.1, end, plant=1.0)


def look_around(actor: Actor, part: Part) -> None:
    """Turn head and shoulders to one side and then to the other, `count` times."""
    side = "left" if actor.rng.random() < 0.5 else "right"
    for _ in range(part.count):
        for sign in (SIGN[side], -SIGN[side]):
            beat = actor.beat(0.6)
            actor.lean(actor.now, actor.now + beat, head_yaw=48.0 * sign, spine_yaw=20.0 * sign, pelvis_yaw=4.0 * sign)
            actor.wait(beat + actor.beat(0.3, 0.4))
    actor.settle(actor.beat(0.5))
