"""Actions of the arms and hands, and pastimes: waving, clapping, throwing, ball games, drumming, dancing."""

import numpy as np

from exuvia.synthetic.fighting import relax
from exuvia.synthetic.gait import JOG, WALK, travel
from exuvia.synthetic.rig import SIDES, SIGN, reach
from exuvia.synthetic.stage import BALL_AHEAD_M, OTHER, Part, Stage


def _arms_of(part: Part) -> tuple[str, ...]:
    return (part.side,) if part.side else SIDES


def wave(stage: Stage, part: Part) -> None:
    """Raise a hand (or both) and swing the forearm from side to side."""
    rise, fall = stage.beat(0.6), stage.beat(0.65)
    high = {"high": 38.0, "low": -38.0}.get(part.level, float(stage.rng.uniform(-18, 8)))
    az = float(stage.rng.uniform(48, 74))
    bend, swing = 82.0 - 0.5 * high * (high > 0), 21.0 * stage.style.size
    for side in _arms_of(part):
        stage.arm(side, stage.now, stage.now + rise, el=high, az=az, elbow=bend + 0.4 * swing, swivel=4.0, spread=0.0)
        if part.side:
            stage.lean(stage.now, stage.now + rise, spine_roll=-3.0 * SIGN[side], head_roll=3.0 * SIGN[side])
    stage.wait(rise)
    for _ in range(max(2, part.count)):
        for way in (1.0, -1.0):
            end = stage.now + stage.beat(0.25, 0.05)
            for side in _arms_of(part):
                stage.arm(side, stage.now, end, elbow=bend + swing * way, swivel=4.0 + 9.0 * way, el=high + 3 * way)
            stage.now = end
    stage.settle(fall)


def clap(stage: Stage, part: Part) -> None:
    """Bring the hands together in front of the chest `count` times."""
    up = {"high": 0.55, "low": -0.5}.get(part.level, -0.28)
    together = -(stage.body.shoulder_half_m - 0.045) / stage.body.arm_m
    apart = together + 0.26 * stage.style.size + float(stage.rng.uniform(-0.04, 0.04))
    rise = stage.beat(0.55)
    stage.hands(stage.now, stage.now + rise, apart, up, 0.55, elbow_out=24)
    stage.wait(rise)
    for _ in range(part.count):
        close, open_ = stage.beat(0.16, 0.05), stage.beat(0.2, 0.05)
        stage.hands(stage.now, stage.now + close, together, up, 0.56, elbow_out=24)
        stage.wait(close)
        stage.hands(stage.now, stage.now + open_, apart, up, 0.55, elbow_out=24)
        stage.wait(open_)
    stage.settle(stage.beat(0.6))


def raise_arms(stage: Stage, part: Part) -> None:
    """Lift one arm or both (ahead, to the sides or overhead), hold, and lower; `count` times."""
    el, az = {"side": (0.0, 86.0), "forward": (0.0, 2.0), "up": (78.0, 20.0)}[part.level]
    for _ in range(part.count):
        rise, hold, fall = stage.beat(0.75), stage.beat(0.4), stage.beat(0.75)
        for side in _arms_of(part):
            stage.arm(side, stage.now, stage.now + rise, el=el, az=az, elbow=10.0, swivel=0.0, spread=0.0)
            if part.level == "up":
                stage.lean(stage.now, stage.now + rise, spine_pitch=-5.0, head_pitch=-4.0)
            if part.side:
                stage.lean(stage.now, stage.now + rise, spine_roll=-5.0 * SIGN[side], pelvis_roll=-1.5 * SIGN[side])
        stage.wait(rise + hold)
        stage.settle(fall)


def point(stage: Stage, part: Part) -> None:
    """Stretch one arm out ahead or to the side and look there."""
    rise = stage.beat(0.55)
    az = float(stage.rng.uniform(-5, 20)) if part.level == "forward" else float(stage.rng.uniform(65, 85))
    stage.arm(part.side, stage.now, stage.now + rise, el=float(stage.rng.uniform(-12, 8)), az=az, elbow=6.0, spread=0.0)
    stage.lean(stage.now, stage.now + rise, head_yaw=0.6 * az * SIGN[part.side], spine_yaw=0.15 * az * SIGN[part.side])
    stage.wait(rise + stage.beat(0.8))
    stage.settle(stage.beat(0.65))


def drink(stage: Stage, part: Part) -> None:
    """Bring one hand to the mouth, tip the head back, and lower it."""
    rise, fall = stage.beat(0.8), stage.beat(0.8)
    mouth = reach(-0.26, 0.16, 0.26, elbow_out=34)
    stage.arm(part.side, stage.now, stage.now + 0.5 * rise, el=-74.0, elbow=78.0, swivel=14.0)
    stage.arm(part.side, stage.now + 0.5 * rise, stage.now + rise, **mouth)
    stage.lean(stage.now + 0.7 * rise, stage.now + rise + 0.3, head_pitch=-18.0, spine_pitch=-5.0)
    stage.wait(rise + stage.beat(0.9))
    stage.settle(fall)


def throw(stage: Stage, part: Part) -> None:
    """Step in, cock the arm, throw and follow through; overhand, or underhand from below."""
    side, other, sign = part.side, OTHER[part.side], SIGN[part.side]
    wind, out, follow = stage.beat(0.55), stage.beat(0.2), stage.beat(0.28)
    start, go = stage.now, stage.now + wind
    under = part.level == "underhand"
    cocked = ({"el": -138.0, "az": 12.0, "elbow": 14.0, "swivel": 0.0, "spread": 4.0} if under
              else {"el": 2.0, "az": 104.0, "elbow": 104.0, "swivel": -24.0, "spread": 0.0})  # fmt: skip
    released = ({"el": -30.0, "az": 0.0, "elbow": 10.0, "swivel": 6.0} if under
                else {"el": 24.0, "az": 24.0, "elbow": 26.0, "swivel": 10.0})  # fmt: skip
    finish = ({"el": 14.0, "az": -8.0, "elbow": 32.0, "swivel": 10.0} if under
              else {"el": -52.0, "az": -22.0, "elbow": 20.0, "swivel": 16.0})  # fmt: skip
    stage.arm(side, start, go, **cocked)
    stage.arm(other, start, go, el=-18.0 if not under else -62.0, az=18.0, elbow=24.0)
    stage.lean(start, go, spine_yaw=26.0 * sign, pelvis_yaw=16.0 * sign, spine_pitch=-6.0, head_yaw=-26.0 * sign)
    stage.sway(start, start + 0.7 * wind, ahead=-0.06, left=0.05 * sign)
    stage.step(other, start + 0.45 * wind, go + 0.02, BALL_AHEAD_M + 0.34, -0.1 * sign, yaw=2.0)
    stage.sway(start + 0.75 * wind, go + out, ahead=0.2)
    stage.lean(go - 0.06, go + out, spine_yaw=-22.0 * sign, pelvis_yaw=-14.0 * sign, head_yaw=16.0 * sign)
    stage.lean(go, go + out + follow, spine_pitch=20.0 if not under else 8.0, pelvis_pitch=10.0, height=-0.05)
    stage.arm(side, go, go + out, **released)
    stage.arm(side, go + out, go + out + follow, **finish)
    stage.arm(other, go, go + out + follow, el=-78.0, az=30.0, elbow=44.0)
    stage.leg(side, go, go + out + follow, foot_pitch=30.0)
    stage.leg(side, go + out + follow + 0.05, go + out + follow + 0.35, foot_pitch=0.0)
    stage.now = go + out + follow + 0.1
    stage.settle(stage.beat(0.75))


def kick_ball(stage: Stage, part: Part) -> None:
    """Run up, plant the other foot beside the ball, swing the leg through and recover."""
    side, support, sign = part.side, OTHER[part.side], SIGN[part.side]
    if part.level == "run":
        travel(stage, JOG if stage.rng.random() < 0.5 else WALK, 3 + int(stage.rng.integers(0, 2)), 1.6, first=support)
    back, swing, follow, down = stage.beat(0.36), stage.beat(0.2), stage.beat(0.16), stage.beat(0.45)
    start = stage.now
    hit = start + back + swing
    stage.step(support, start, start + 0.75 * back, BALL_AHEAD_M + 0.24, -0.1 * sign, yaw=4.0)
    stage.sway(start, start + back, ahead=0.2, left=-0.08 * sign)
    stage.leg(side, start + 0.5 * back, start + back, plant=0.0, foot_pitch=40.0)
    stage.leg(side, start + 0.5 * back, start + back, free=1.0, thigh_el=-116.0, knee=68.0, toe=40.0, foot_y=0.25)
    stage.lean(start, start + back, pelvis_yaw=18.0 * sign, spine_yaw=-26.0 * sign, spine_pitch=6.0)
    stage.lean(start, start + back, head_pitch=10.0, height=-0.04)
    stage.arm(side, start, start + back, el=-66.0, az=60.0, elbow=24.0)
    stage.arm(support, start, start + back, el=-40.0, az=70.0, elbow=26.0)
    stage.leg(side, start + back, hit, thigh_el=-62.0, knee=20.0)
    stage.lean(start + back, hit, pelvis_yaw=-10.0 * sign, spine_yaw=18.0 * sign, spine_pitch=-4.0, pelvis_pitch=-6.0)
    end = hit + follow
    height = {"high": 0.0}.get(part.level, -30.0)
    stage.leg(side, hit, end, thigh_el=height, knee=8.0)
    stage.arm(side, start + back, end, el=-112.0, az=30.0, elbow=24.0)
    stage.arm(support, start + back, end, el=-30.0, az=14.0, elbow=26.0)
    x, z = stage.place(BALL_AHEAD_M + 0.3, sign * stage.stance_m)
    stage.leg(side, end, end + 0.02, foot_x=float(x), foot_z=float(z), foot_pitch=0.0)
    stage.leg(side, end + 0.05, end + 0.9 * down, free=0.0)
    stage.leg(side, end + 0.2 * down, end + down, foot_y=0.0)
    stage.leg(side, end + 0.1, end + down, thigh_el=-68.0, knee=34.0, toe=0.0)
    stage.leg(side, end + 0.7 * down, end + down, plant=1.0)
    stage.home = stage.place(0.27, 0.0)
    stage.sway(end, end + down)
    stage.now = end + 0.8 * down
    stage.settle(stage.beat(0.6))


def swing_bat(stage: Stage, part: Part) -> None:
    """Both hands at one shoulder, then a level swing through to the other side: a bat, a club or a racket."""
    sign = SIGN[part.side]
    wind, out, follow = stage.beat(0.6), stage.beat(0.24), stage.beat(0.28)
    start, go = stage.now, stage.now + wind
    stage.grip(start, go, 0.2 * sign, 0.02, 0.16)
    stage.lean(start, go, spine_yaw=38.0 * sign, pelvis_yaw=22.0 * sign, head_yaw=-44.0 * sign)
    stage.lean(start, go, height=-0.05, spine_pitch=8.0)
    stage.sway(start, go, left=0.05 * sign, ahead=-0.02)
    stage.grip(go, go + out, 0.0, -0.22, 0.44)
    stage.lean(go - 0.04, go + out, spine_yaw=-8.0 * sign, pelvis_yaw=-8.0 * sign, head_yaw=0.0)
    stage.sway(go - 0.05, go + out, left=-0.04 * sign, ahead=0.03)
    stage.grip(go + out, go + out + follow, -0.22 * sign, 0.06, 0.2)
    stage.lean(go + out, go + out + follow, spine_yaw=-40.0 * sign, pelvis_yaw=-24.0 * sign, head_yaw=28.0 * sign)
    stage.leg(part.side, go, go + out + follow, foot_pitch=26.0)
    stage.leg(part.side, go + out + follow + 0.1, go + out + follow + 0.4, foot_pitch=0.0)
    stage.now = go + out + follow + 0.15
    stage.settle(stage.beat(0.75))


def slash(stage: Stage, part: Part) -> None:
    """Raise a sword with both hands and cut down, `count` times."""
    foot = "right" if stage.rng.random() < 0.5 else "left"
    for number in range(part.count):
        up, cut, back = stage.beat(0.5), stage.beat(0.22), stage.beat(0.3)
        start, go = stage.now, stage.now + up
        lean = 0.1 * (1 if number % 2 == 0 else -1)
        stage.grip(start, go, lean, 0.34, 0.08, elbow_out=30)
        stage.lean(start, go, spine_pitch=-8.0, spine_yaw=120 * lean, height=0.0)
        if number == 0:
            stage.step(foot, start + 0.55 * up, go + cut, BALL_AHEAD_M + 0.34, SIGN[foot] * 0.1, yaw=3.0)
            stage.sway(start + 0.55 * up, go + cut, ahead=0.16)
        stage.grip(go, go + cut, -lean, -0.3, 0.4, elbow_out=12)
        stage.lean(go, go + cut + 0.05, spine_pitch=22.0, spine_yaw=-120 * lean, pelvis_pitch=8.0, height=-0.07)
        stage.now = go + cut + 0.4 * back
    relax(stage)


def drum(stage: Stage, part: Part) -> None:
    """Beat a drum with both hands in turn."""
    rise = stage.beat(0.5)
    stage.hands(stage.now, stage.now + rise, -0.1, -0.5, 0.56, elbow_out=16)
    stage.wait(rise)
    for number in range(2 * part.count):
        side, beat = SIDES[number % 2], stage.beat(0.26, 0.05)
        stage.arm(side, stage.now, stage.now + 0.6 * beat, **reach(-0.1, -0.2, 0.6, elbow_out=16))
        stage.arm(side, stage.now + 0.6 * beat, stage.now + beat, **reach(-0.1, -0.52, 0.56, elbow_out=16))
        stage.lean(stage.now, stage.now + beat, head_pitch=6.0 * (number % 2), spine_roll=3.0 * SIGN[side])
        stage.wait(beat)
    stage.settle(stage.beat(0.6))


def _dance_arms(stage: Stage, side: str, start: float, end: float) -> None:
    """One of a few poses that a dancing arm passes through."""
    size = stage.style.size
    poses = (
        {"el": -62.0, "az": 20.0, "elbow": 88.0, "swivel": 18.0},
        {"el": -30.0 * size, "az": 60.0, "elbow": 82.0, "swivel": 4.0},
        {"el": 52.0 * size, "az": 40.0, "elbow": 42.0, "swivel": 0.0},
        {"el": -98.0, "az": 20.0, "elbow": 70.0, "swivel": 16.0},
        {"el": -8.0, "az": 84.0, "elbow": 32.0, "swivel": 8.0},
    )
    stage.arm(side, start, end, **poses[stage.rng.integers(0, 5)])


def dance(stage: Stage, part: Part) -> None:
    """Sway the hips, bounce, step from side to side and move the arms to a beat; kicks thrown in where asked."""
    beat = stage.beat(0.5, 0.12)
    size = stage.style.size
    side = "left" if stage.rng.random() < 0.5 else "right"
    for number in range(2 * part.count):
        sign, start, end = SIGN[side], stage.now, stage.now + beat
        stage.lean(start, start + 0.5 * beat, height=-0.05 * size)
        stage.lean(start + 0.5 * beat, end, height=-0.01)
        twist = float(stage.rng.uniform(-14, 14))
        stage.lean(start, end, pelvis_roll=7.0 * sign * size, spine_roll=-9.0 * sign * size)
        stage.lean(start, end, pelvis_yaw=-twist, spine_yaw=1.8 * twist)
        stage.sway(start, end, left=0.09 * sign * size, ahead=float(stage.rng.uniform(-0.02, 0.03)))
        if part.level == "kick" and number % 2 == 1:
            _dance_kick(stage, OTHER[side], start, end + 0.5 * beat)
            stage.wait(0.5 * beat)
        else:
            out = stage.stance_m + (0.14 * size if number % 2 == 0 else 0.0)
            stage.step(side, start, start + 0.7 * beat, BALL_AHEAD_M, sign * out, lift=0.05, yaw=10.0)
        for arm in SIDES:
            if stage.rng.random() < 0.75:
                _dance_arms(stage, arm, start, end)
        stage.wait(beat)
        side = OTHER[side]
    stage.settle(stage.beat(0.6))


def _dance_kick(stage: Stage, side: str, start: float, end: float) -> None:
    """A light straight kick of a dance."""
    third = (end - start) / 3.0
    x, z = stage.place(BALL_AHEAD_M, SIGN[side] * stage.stance_m)
    stage.leg(side, start, start + 0.6 * third, plant=0.0, foot_y=0.15)
    stage.leg(side, start, start + third, free=1.0, thigh_el=-52.0, knee=66.0, toe=30.0)
    high = float(np.clip(-18.0 * stage.style.size, -40, 0))
    stage.leg(side, start + third, start + 1.7 * third, thigh_el=high, knee=8.0)
    stage.leg(side, start + 1.7 * third, start + 1.75 * third, foot_x=float(x), foot_z=float(z))
    stage.leg(side, start + 1.8 * third, end - 0.04, free=0.0, thigh_el=-58.0, knee=50.0, toe=0.0)
    stage.leg(side, start + 2.0 * third, end, foot_y=0.0)
    stage.leg(side, end - 0.1, end, plant=1.0)


def look_around(stage: Stage, part: Part) -> None:
    """Turn the head and the shoulders to one side and to the other, `count` times."""
    side = "left" if stage.rng.random() < 0.5 else "right"
    for _ in range(part.count):
        for sign in (SIGN[side], -SIGN[side]):
            beat = stage.beat(0.6)
            stage.lean(stage.now, stage.now + beat, head_yaw=48.0 * sign, spine_yaw=20.0 * sign, pelvis_yaw=4.0 * sign)
            stage.wait(beat + stage.beat(0.3, 0.4))
    stage.settle(stage.beat(0.5))


def stretch(stage: Stage, part: Part) -> None:
    """Reach both arms overhead and bend to one side."""
    rise, bend = stage.beat(0.9), stage.beat(0.8)
    stage.arms(stage.now, stage.now + rise, el=80.0, az=46.0, elbow=28.0, swivel=0.0, spread=0.0)
    stage.lean(stage.now, stage.now + rise, spine_pitch=-8.0, height=0.004)
    stage.wait(rise)
    sign = SIGN[part.side]
    stage.lean(stage.now, stage.now + bend, spine_roll=26.0 * sign, pelvis_roll=-3.0 * sign)
    for side in SIDES:
        stage.arm(side, stage.now, stage.now + bend, spread=-26.0 * sign * SIGN[side])
    stage.wait(bend + stage.beat(0.3))
    stage.settle(stage.beat(0.9))
