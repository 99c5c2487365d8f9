"""Actions of the whole body in place: sitting, standing up, squatting and picking up."""

from exuvia.synthetic.actor import OTHER, Actor, Part
from exuvia.synthetic.body import TABLES
from exuvia.synthetic.rig import SIDES, SIGN

SEAT, LAP = TABLES["seat"], TABLES["lap"]
SEAT_BACK_M = 0.36


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


def sit_and_stand(actor: Actor, part: Part) -> None:
    """Sit down and stand up again, `count` times."""
    for _ in range(part.count):
        sit_down(actor, part)
        actor.wait(actor.beat(0.5, 0.4))
        stand_up(actor, part)
        actor.wait(actor.beat(0.2))


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
