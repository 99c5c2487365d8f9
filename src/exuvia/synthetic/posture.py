"""Actions of the whole body in place: sitting, standing up, squatting, bowing, picking up, jumping, hopping."""

import numpy as np

from exuvia.synthetic.rig import SIDES, SIGN
from exuvia.synthetic.stage import BALL_AHEAD_M, OTHER, Part, Stage

GRAVITY = 9.81
SEAT = {"height": -0.46, "pelvis_pitch": -4.0, "spine_pitch": 6.0}
"""Sitting on a chair, relative to standing."""
SEAT_BACK_M = 0.36
LAP = {"el": -66.0, "az": 8.0, "elbow": 42.0, "swivel": 16.0, "spread": 4.0}
"""Hands on the thighs."""


def seat(stage: Stage) -> None:
    """Begin the motion on a chair."""
    stage.start_from(**{name: stage.neutral[name] + value for name, value in SEAT.items()}, z=-SEAT_BACK_M)
    stage.start_from(**{f"{side}_{name}": value for side in SIDES for name, value in LAP.items()})
    stage.posture = "sit"


def sit_down(stage: Stage, part: Part) -> None:
    """Lower the body backwards onto a chair and stay there."""
    down = stage.beat(1.3)
    start, end = stage.now, stage.now + down
    stage.lean(start, start + 0.5 * down, pelvis_pitch=28.0, spine_pitch=14.0, head_pitch=-6.0)
    stage.lean(start + 0.1 * down, end, height=SEAT["height"])
    stage.sway(start, start + 0.8 * down, ahead=-SEAT_BACK_M)
    stage.lean(start + 0.6 * down, end + 0.2, pelvis_pitch=SEAT["pelvis_pitch"], spine_pitch=SEAT["spine_pitch"])
    stage.lean(start + 0.6 * down, end + 0.2, head_pitch=0.0)
    for side in SIDES:
        stage.arm(side, start + 0.05, start + 0.5 * down, el=-70.0, elbow=25.0)
        stage.arm(side, start + 0.5 * down, end + 0.1, **LAP)
    stage.now = end + 0.25
    stage.posture = "sit"


def sit(stage: Stage, part: Part) -> None:
    """Stay seated for a while."""
    for _ in range(2):
        stage.lean(stage.now, stage.now + 0.8, head_yaw=float(stage.rng.uniform(-30, 30)))
        stage.lean(stage.now, stage.now + 0.9, spine_roll=float(stage.rng.uniform(-4, 4)))
        stage.wait(stage.beat(0.9))
    stage.lean(stage.now - 0.05, stage.now + 0.4, head_yaw=0.0, spine_roll=0.0)
    stage.wait(0.3)


def stand_up(stage: Stage, part: Part) -> None:
    """Lean forward and rise from a chair."""
    rise = stage.beat(1.3)
    start, end = stage.now, stage.now + rise
    stage.lean(start, start + 0.38 * rise, pelvis_pitch=30.0, spine_pitch=16.0, head_pitch=-8.0)
    stage.sway(start + 0.12 * rise, end)
    stage.lean(start + 0.28 * rise, end, height=0.0)
    stage.lean(start + 0.45 * rise, end + 0.15, pelvis_pitch=0.0, spine_pitch=0.0, head_pitch=0.0)
    for side in SIDES:
        stage.arm(side, start, start + 0.4 * rise, el=-58.0, elbow=38.0)
        stage.rest_arm(side, start + 0.5 * rise, end + 0.2)
    stage.now = end + 0.2
    stage.posture = "stand"


def squat(stage: Stage, part: Part) -> None:
    """Bend the knees deeply and come up again, `count` times."""
    for _ in range(part.count):
        down, up = stage.beat(0.85), stage.beat(0.8)
        start, end = stage.now, stage.now + down
        depth = 0.34 + 0.1 * stage.style.size + float(stage.rng.uniform(-0.03, 0.03))
        stage.lean(start, end, height=-depth, pelvis_pitch=26.0, spine_pitch=12.0, head_pitch=-8.0)
        stage.sway(start, end, ahead=-0.13)
        for side in SIDES:
            stage.leg(side, start, end, knee_out=16.0)
            stage.arm(side, start, end, el=-8.0, az=4.0, elbow=14.0, swivel=8.0, spread=0.0)
            stage.leg(side, end + 0.1, end + up, knee_out=0.0)
        stage.wait(down + 0.1)
        stage.settle(up)


def bow(stage: Stage, part: Part) -> None:
    """Bend forward from the hips and rise, `count` times."""
    for _ in range(part.count):
        down, up = stage.beat(0.8), stage.beat(0.85)
        deep = float(stage.rng.uniform(0.8, 1.15)) * stage.style.size
        end = stage.now + down
        stage.lean(stage.now, end, pelvis_pitch=30.0 * deep, spine_pitch=30.0 * deep, head_pitch=16.0)
        stage.sway(stage.now, end, ahead=-0.08)
        stage.arms(stage.now, end, el=-78.0, elbow=12.0, spread=4.0)
        stage.wait(down + stage.beat(0.25))
        stage.settle(up)


def pick_up(stage: Stage, part: Part) -> None:
    """Bend down, take something from the floor with one hand, and straighten up with it."""
    hand, down, up = part.side, stage.beat(0.95), stage.beat(1.0)
    start, end = stage.now, stage.now + down
    sign = SIGN[hand]
    stage.lean(start, end, height=-0.36, pelvis_pitch=42.0, spine_pitch=34.0, spine_roll=9.0 * sign, head_pitch=4.0)
    stage.lean(start, end, spine_yaw=-14.0 * sign, pelvis_yaw=-6.0 * sign)
    stage.sway(start, end, ahead=-0.1)
    stage.arm(hand, start, end, el=-60.0, az=10.0, elbow=8.0, spread=0.0)
    stage.arm(OTHER[hand], start, end, el=-70.0, az=10.0, elbow=50.0)
    stage.wait(down + 0.2)
    start, end = stage.now, stage.now + up
    stage.settle(up, arms=False)
    stage.arm(hand, start, end, el=-72.0, az=0.0, elbow=78.0, swivel=10.0, spread=5.0)
    stage.rest_arm(OTHER[hand], start, end)
    stage.wait(0.35)
    stage.rest_arm(hand, stage.now, stage.now + 0.6)
    stage.wait(0.6)


def jump(stage: Stage, part: Part) -> None:
    """Crouch, swing the arms, fly, land softly; `count` times, up or ahead."""
    for _ in range(part.count):
        size = stage.style.size * float(stage.rng.uniform(0.85, 1.15))
        high = (0.16 if part.level == "forward" else 0.24) * size
        far = {"forward": 0.75, "backward": -0.35}.get(part.level, 0.0) * size
        dip = stage.beat(0.42)
        stage.lean(stage.now, stage.now + dip, height=-0.26, pelvis_pitch=20.0, spine_pitch=20.0, head_pitch=-10.0)
        stage.arms(stage.now, stage.now + dip, el=-132.0, elbow=16.0, az=0.0)
        stage.sway(stage.now, stage.now + dip, ahead=-0.04)
        stage.wait(dip)
        leap(stage, high, far, SIDES, arms_el=float(stage.rng.uniform(-20, 60)))
    stage.settle(stage.beat(0.5))


def leap(
    stage: Stage, high: float, far: float, feet: tuple[str, ...], arms_el: float | None = None, give: float = 0.16
) -> None:
    """Push off, fly a parabola of `high` metres over `far` metres of floor, and land giving way at the knees."""
    stage.hold("x", "z", "height")
    push, flight, absorb = 0.2, 2.0 * float(np.sqrt(2.0 * high / GRAVITY)), 0.22
    off, land = stage.now + push, stage.now + push + flight
    top = stage.neutral["height"] + 0.05
    stage.move(stage.now, off, height=top)
    stage.lean(stage.now, off, pelvis_pitch=2.0, spine_pitch=2.0, head_pitch=-6.0)
    x, z = stage.place(0.1 * far, 0.0)
    stage.move(off, off, x=float(x), z=float(z))
    for share in (0.2, 0.4, 0.5, 0.6, 0.8):
        rise = 4.0 * share * (1.0 - share) * high / stage.body.pelvis_m
        stage.move(off + share * flight, off + share * flight, height=top + rise)
    stage.move(land, land, height=top - 0.03)
    stage.lean(land, land + absorb, height=-give, pelvis_pitch=88.0 * give, spine_pitch=75.0 * give)
    offsets = stage.feet()
    stage.home = stage.place(far, 0.0)
    stage.sway(land, land, ahead=-0.1 * far)
    stage.sway(land, land + 0.9 * absorb)
    for side in feet:
        x, z = stage.place(*offsets[side]) if far == 0 else stage.place(BALL_AHEAD_M, offsets[side][1])
        stage.leg(side, off - 0.14, off + 0.02, foot_pitch=48.0)
        stage.leg(side, off - 0.03, off + 0.04, plant=0.0)
        stage.leg(side, off, off + 0.45 * flight, foot_y=high + 0.05, foot_pitch=34.0)
        stage.leg(side, off, land - 0.02, foot_x=float(x), foot_z=float(z))
        stage.leg(side, off + 0.5 * flight, land, foot_y=0.0, foot_pitch=14.0)
        stage.leg(side, land, land + 0.1, foot_pitch=0.0)
        stage.leg(side, land - 0.07, land, plant=1.0)
    if arms_el is not None:
        for side in SIDES:
            stage.arm(side, stage.now - 0.05, off + 0.3 * flight, el=arms_el, elbow=30.0, spread=6.0)
            stage.arm(side, land - 0.3 * flight, land + absorb, el=-74.0, elbow=30.0)
    stage.now = land + absorb


def hop(stage: Stage, part: Part) -> None:
    """Hop on one foot `count` times, then put the other foot down."""
    foot, lifted = part.side, OTHER[part.side]
    sign, ready = SIGN[foot], stage.beat(0.4)
    left = stage.feet()[foot][1]
    stage.home = stage.place(0.0, 0.75 * left)
    stage.sway(stage.now, stage.now + ready)
    stage.leg(lifted, stage.now, stage.now + 0.2, plant=0.0, foot_y=0.09, foot_pitch=24.0)
    stage.leg(lifted, stage.now + 0.1, stage.now + ready, free=1.0, thigh_el=-62.0, knee=82.0, toe=20.0)
    stage.lean(stage.now, stage.now + ready, pelvis_roll=3.0 * sign, spine_roll=3.0 * sign)
    stage.arms(stage.now, stage.now + ready, el=-58.0, az=60.0, elbow=48.0)
    stage.wait(ready)
    far = 0.32 * stage.style.size if part.level == "forward" else 0.0
    for _ in range(part.count):
        dip = stage.beat(0.2)
        stage.lean(stage.now, stage.now + dip, height=-0.09, spine_pitch=7.0)
        stage.wait(dip)
        leap(stage, 0.075 * stage.style.size, far, (foot,), give=0.075)
        for side in SIDES:
            stage.arm(side, stage.now - 0.5, stage.now - 0.25, el=-40.0)
            stage.arm(side, stage.now - 0.25, stage.now, el=-60.0)
    stage.home = stage.place(0.0, -0.75 * left)
    ahead, _ = stage.feet()[foot]
    x, z = stage.place(ahead, -sign * stage.stance_m)
    down = stage.beat(0.4)
    stage.leg(lifted, stage.now - 0.02, stage.now, foot_x=float(x), foot_z=float(z), foot_y=0.12, foot_pitch=0.0)
    stage.leg(lifted, stage.now, stage.now + 0.7 * down, free=0.0)
    stage.leg(lifted, stage.now + 0.35 * down, stage.now + down, foot_y=0.0)
    stage.leg(lifted, stage.now + 0.7 * down, stage.now + down, plant=1.0)
    stage.wait(0.5 * down)
    stage.settle(stage.beat(0.6))


def jumping_jacks(stage: Stage, part: Part) -> None:
    """Spread arms and legs with a hop and close them again, `count` times."""
    for _ in range(part.count):
        for far, el in ((0.34, 68.0), (stage.stance_m, -84.0)):
            beat = stage.beat(0.42, 0.04)
            stage.hold("height")
            start, middle, end = stage.now, stage.now + 0.55 * beat, stage.now + beat
            stage.lean(start, start + 0.2 * beat, height=-0.05)
            stage.lean(middle, middle, height=0.02)
            stage.lean(end, end, height=-0.03)
            for side in SIDES:
                stage.arm(side, start, end - 0.02, el=el, az=84.0, elbow=18.0, swivel=0.0)
                x, z = stage.place(BALL_AHEAD_M, SIGN[side] * far)
                stage.leg(side, start, start + 0.25 * beat, plant=0.0)
                stage.leg(side, start, middle, foot_y=0.05, foot_pitch=24.0)
                stage.leg(side, start + 0.15 * beat, end - 0.05, foot_x=float(x), foot_z=float(z))
                stage.leg(side, middle, end, foot_y=0.0, foot_pitch=4.0)
                stage.leg(side, end - 0.1, end, plant=1.0)
            stage.now = end
    for side in SIDES:
        stage.leg(side, stage.now, stage.now + 0.2, foot_pitch=0.0)
    stage.settle(stage.beat(0.4))
