"""Actions of the whole body in place: sitting, standing up, squatting, bowing, picking up, jumping and hopping."""

import numpy as np

from exuvia.synthetic.actor import BALL_AHEAD_M, OTHER, Actor, Part
from exuvia.synthetic.body import TABLES
from exuvia.synthetic.rig import SIDES, SIGN

GRAVITY = 9.81
SEAT, LAP = TABLES["seat"], TABLES["lap"]
SEAT_BACK_M = 0.36


def seat(actor: Actor) -> None:
    """Start the motion seated on a chair."""
    actor.start_from(**{name: actor.neutral[name] + value for name, value in SEAT.items()}, z=-SEAT_BACK_M)
    actor.start_from(**{f"{side}_{name}": value for side in SIDES for name, value in LAP.items()})
    actor.posture = "sit"


def sit_down(actor: Actor, part: Part) -> None:
    """Lower the body backwards onto a chair, and stay there."""
    down = actor.beat(1.3)
    start, end = actor.now, actor.now + down
    actor.lean(start, start + 0.5 * down, pelvis_pitch=28.0, spine_pitch=14.0, head_pitch=-6.0)
    actor.lean(start + 0.1 * down, end, height=SEAT["height"])
    actor.sway(start, start + 0.8 * down, ahead=-SEAT_BACK_M)
    actor.lean(start + 0.6 * down, end + 0.2, pelvis_pitch=SEAT["pelvis_pitch"], spine_pitch=SEAT["spine_pitch"])
    actor.lean(start + 0.6 * down, end + 0.2, head_pitch=0.0)
    for side in SIDES:
        actor.arm(side, start + 0.05, start + 0.5 * down, el=-70.0, elbow=25.0)
        actor.arm(side, start + 0.5 * down, end + 0.1, **LAP)
    actor.now = end + 0.25
    actor.posture = "sit"


def sit(actor: Actor, part: Part) -> None:
    """Stay seated for a while."""
    for _ in range(2):
        actor.lean(actor.now, actor.now + 0.8, head_yaw=float(actor.rng.uniform(-30, 30)))
        actor.lean(actor.now, actor.now + 0.9, spine_roll=float(actor.rng.uniform(-4, 4)))
        actor.wait(actor.beat(0.9))
    actor.lean(actor.now - 0.05, actor.now + 0.4, head_yaw=0.0, spine_roll=0.0)
    actor.wait(0.3)


def stand_up(actor: Actor, part: Part) -> None:
    """Lean forward and rise from a chair."""
    rise = actor.beat(1.3)
    start, end = actor.now, actor.now + rise
    actor.lean(start, start + 0.38 * rise, pelvis_pitch=30.0, spine_pitch=16.0, head_pitch=-8.0)
    actor.sway(start + 0.12 * rise, end)
    actor.lean(start + 0.28 * rise, end, height=0.0)
    actor.lean(start + 0.45 * rise, end + 0.15, pelvis_pitch=0.0, spine_pitch=0.0, head_pitch=0.0)
    for side in SIDES:
        actor.arm(side, start, start + 0.4 * rise, el=-58.0, elbow=38.0)
        actor.rest_arm(side, start + 0.5 * rise, end + 0.2)
    actor.now = end + 0.2
    actor.posture = "stand"


def squat(actor: Actor, part: Part) -> None:
    """Bend the knees deeply and rise again, `count` times."""
    for _ in range(part.count):
        down, up = actor.beat(0.85), actor.beat(0.8)
        start, end = actor.now, actor.now + down
        depth = 0.34 + 0.1 * actor.style.size + float(actor.rng.uniform(-0.03, 0.03))
        actor.lean(start, end, height=-depth, pelvis_pitch=26.0, spine_pitch=12.0, head_pitch=-8.0)
        actor.sway(start, end, ahead=-0.13)
        for side in SIDES:
            actor.leg(side, start, end, knee_out=16.0)
            actor.arm(side, start, end, el=-8.0, az=4.0, elbow=14.0, swivel=8.0, spread=0.0)
            actor.leg(side, end + 0.1, end + up, knee_out=0.0)
        actor.wait(down + 0.1)
        actor.settle(up)


def bow(actor: Actor, part: Part) -> None:
    """Bend forward from the hips and rise, `count` times."""
    for _ in range(part.count):
        down, up = actor.beat(0.8), actor.beat(0.85)
        deep = float(actor.rng.uniform(0.8, 1.15)) * actor.style.size
        end = actor.now + down
        actor.lean(actor.now, end, pelvis_pitch=30.0 * deep, spine_pitch=30.0 * deep, head_pitch=16.0)
        actor.sway(actor.now, end, ahead=-0.08)
        actor.arms(actor.now, end, el=-78.0, elbow=12.0, spread=4.0)
        actor.wait(down + actor.beat(0.25))
        actor.settle(up)


def pick_up(actor: Actor, part: Part) -> None:
    """Bend down, take something from the floor with one hand, and straighten up with it."""
    hand, down, up = part.side, actor.beat(0.95), actor.beat(1.0)
    start, end = actor.now, actor.now + down
    sign = SIGN[hand]
    actor.lean(start, end, height=-0.36, pelvis_pitch=42.0, spine_pitch=34.0, spine_roll=9.0 * sign, head_pitch=4.0)
    actor.lean(start, end, spine_yaw=-14.0 * sign, pelvis_yaw=-6.0 * sign)
    actor.sway(start, end, ahead=-0.1)
    actor.arm(hand, start, end, el=-60.0, az=10.0, elbow=8.0, spread=0.0)
    actor.arm(OTHER[hand], start, end, el=-70.0, az=10.0, elbow=50.0)
    actor.wait(down + 0.2)
    start, end = actor.now, actor.now + up
    actor.settle(up, arms=False)
    actor.arm(hand, start, end, el=-72.0, az=0.0, elbow=78.0, swivel=10.0, spread=5.0)
    actor.rest_arm(OTHER[hand], start, end)
    actor.wait(0.35)
    actor.rest_arm(hand, actor.now, actor.now + 0.6)
    actor.wait(0.6)


def jump(actor: Actor, part: Part) -> None:
    """Crouch, swing the arms, jump up or ahead, and land softly; `count` times."""
    for _ in range(part.count):
        size = actor.style.size * float(actor.rng.uniform(0.85, 1.15))
        high = (0.16 if part.level == "forward" else 0.24) * size
        far = {"forward": 0.75, "backward": -0.35}.get(part.level, 0.0) * size
        dip = actor.beat(0.42)
        actor.lean(actor.now, actor.now + dip, height=-0.26, pelvis_pitch=20.0, spine_pitch=20.0, head_pitch=-10.0)
        actor.arms(actor.now, actor.now + dip, el=-132.0, elbow=16.0, az=0.0)
        actor.sway(actor.now, actor.now + dip, ahead=-0.04)
        actor.wait(dip)
        leap(actor, high, far, SIDES, arms_el=float(actor.rng.uniform(-20, 60)))
    actor.settle(actor.beat(0.5))


def leap(
    actor: Actor, high: float, far: float, feet: tuple[str, ...], arms_el: float | None = None, give: float = 0.16
) -> None:
    """Push off, fly along a parabola of `high` metres over `far` metres of floor, and land with bending knees."""
    actor.hold("x", "z", "height")
    push, flight, absorb = 0.2, 2.0 * float(np.sqrt(2.0 * high / GRAVITY)), 0.22
    off, land = actor.now + push, actor.now + push + flight
    top = actor.neutral["height"] + 0.05
    actor.move(actor.now, off, height=top)
    actor.lean(actor.now, off, pelvis_pitch=2.0, spine_pitch=2.0, head_pitch=-6.0)
    x, z = actor.place(0.1 * far, 0.0)
    actor.move(off, off, x=float(x), z=float(z))
    for share in (0.2, 0.4, 0.5, 0.6, 0.8):
        rise = 4.0 * share * (1.0 - share) * high / actor.body.pelvis_m
        actor.move(off + share * flight, off + share * flight, height=top + rise)
    actor.move(land, land, height=top - 0.03)
    actor.lean(land, land + absorb, height=-give, pelvis_pitch=88.0 * give, spine_pitch=75.0 * give)
    offsets = actor.feet()
    actor.home = actor.place(far, 0.0)
    actor.sway(land, land, ahead=-0.1 * far)
    actor.sway(land, land + 0.9 * absorb)
    for side in feet:
        ahead = offsets[side][0] if far == 0 else BALL_AHEAD_M
        actor.leg(side, off - 0.14, off + 0.02, foot_pitch=48.0)
        actor.leg(side, off - 0.03, off + 0.04, plant=0.0)
        actor.leg(side, off, off + 0.45 * flight, foot_y=high + 0.05, foot_pitch=34.0)
        actor.move_foot(side, off, land - 0.02, ahead, offsets[side][1])
        actor.leg(side, off + 0.5 * flight, land, foot_y=0.0, foot_pitch=14.0)
        actor.leg(side, land, land + 0.1, foot_pitch=0.0)
        actor.leg(side, land - 0.07, land, plant=1.0)
    if arms_el is not None:
        for side in SIDES:
            actor.arm(side, actor.now - 0.05, off + 0.3 * flight, el=arms_el, elbow=30.0, spread=6.0)
            actor.arm(side, land - 0.3 * flight, land + absorb, el=-74.0, elbow=30.0)
    actor.now = land + absorb


def hop(actor: Actor, part: Part) -> None:
    """Hop on one foot `count` times, then put the other foot down."""
    foot, lifted = part.side, OTHER[part.side]
    sign, ready = SIGN[foot], actor.beat(0.4)
    left = actor.feet()[foot][1]
    actor.home = actor.place(0.0, 0.75 * left)
    actor.sway(actor.now, actor.now + ready)
    actor.leg(lifted, actor.now, actor.now + 0.2, plant=0.0, foot_y=0.09, foot_pitch=24.0)
    actor.leg(lifted, actor.now + 0.1, actor.now + ready, free=1.0, thigh_el=-62.0, knee=82.0, toe=20.0)
    actor.lean(actor.now, actor.now + ready, pelvis_roll=3.0 * sign, spine_roll=3.0 * sign)
    actor.arms(actor.now, actor.now + ready, el=-58.0, az=60.0, elbow=48.0)
    actor.wait(ready)
    far = 0.32 * actor.style.size if part.level == "forward" else 0.0
    for _ in range(part.count):
        dip = actor.beat(0.2)
        actor.lean(actor.now, actor.now + dip, height=-0.09, spine_pitch=7.0)
        actor.wait(dip)
        leap(actor, 0.075 * actor.style.size, far, (foot,), give=0.075)
        for side in SIDES:
            actor.arm(side, actor.now - 0.5, actor.now - 0.25, el=-40.0)
            actor.arm(side, actor.now - 0.25, actor.now, el=-60.0)
    actor.home = actor.place(0.0, -0.75 * left)
    ahead, _ = actor.feet()[foot]
    down, left = actor.beat(0.4), -sign * actor.stance_m
    actor.move_foot(lifted, actor.now - 0.02, actor.now, ahead, left, foot_y=0.12, foot_pitch=0.0)
    actor.leg(lifted, actor.now, actor.now + 0.7 * down, free=0.0)
    actor.leg(lifted, actor.now + 0.35 * down, actor.now + down, foot_y=0.0)
    actor.leg(lifted, actor.now + 0.7 * down, actor.now + down, plant=1.0)
    actor.wait(0.5 * down)
    actor.settle(actor.beat(0.6))


def jumping_jacks(actor: Actor, part: Part) -> None:
    """Spread arms and legs with a hop and close them again, `count` times."""
    for _ in range(part.count):
        for far, el in ((0.34, 68.0), (actor.stance_m, -84.0)):
            beat = actor.beat(0.42, 0.04)
            actor.hold("height")
            start, middle, end = actor.now, actor.now + 0.55 * beat, actor.now + beat
            actor.lean(start, start + 0.2 * beat, height=-0.05)
            actor.lean(middle, middle, height=0.02)
            actor.lean(end, end, height=-0.03)
            for side in SIDES:
                actor.arm(side, start, end - 0.02, el=el, az=84.0, elbow=18.0, swivel=0.0)
                actor.leg(side, start, start + 0.25 * beat, plant=0.0)
                actor.leg(side, start, middle, foot_y=0.05, foot_pitch=24.0)
                actor.move_foot(side, start + 0.15 * beat, end - 0.05, BALL_AHEAD_M, SIGN[side] * far)
                actor.leg(side, middle, end, foot_y=0.0, foot_pitch=4.0)
                actor.leg(side, end - 0.1, end, plant=1.0)
            actor.now = end
    for side in SIDES:
        actor.leg(side, actor.now, actor.now + 0.2, foot_pitch=0.0)
    actor.settle(actor.beat(0.4))
