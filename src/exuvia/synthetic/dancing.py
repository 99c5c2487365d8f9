"""Dancing to a beat."""

from exuvia.synthetic.actor import BALL_AHEAD_M, OTHER, Actor, Part
from exuvia.synthetic.rig import SIDES, SIGN


def _dance_arms(actor: Actor, side: str, start: float, end: float, high: bool) -> None:
    """Move an arm to one of the poses of a dance."""
    size = actor.style.size
    poses = (
        {"el": -62.0, "az": 20.0, "elbow": 88.0, "swivel": 18.0},
        {"el": -30.0 * size, "az": 60.0, "elbow": 82.0, "swivel": 4.0},
        {"el": 52.0 * size, "az": 40.0, "elbow": 42.0, "swivel": 0.0},
        {"el": -98.0, "az": 20.0, "elbow": 70.0, "swivel": 16.0},
        {"el": -8.0, "az": 84.0, "elbow": 32.0, "swivel": 8.0},
        {"el": 58.0, "az": 58.0, "elbow": 34.0, "swivel": 0.0},
        {"el": 76.0, "az": 30.0, "elbow": 14.0, "swivel": 0.0},
        {"el": 46.0, "az": 80.0, "elbow": 58.0, "swivel": -8.0},
    )
    actor.arm(side, start, end, **poses[actor.rng.integers(5, 8) if high else actor.rng.integers(0, 5)])


def dance(actor: Actor, part: Part) -> None:
    """Sway the hips, bounce, step from side to side and move the arms to a beat: with both arms up (level `high`), or
    around in a circle (`circle`)."""
    beat = actor.beat(0.46, 0.12)
    size = actor.style.size
    side = "left" if actor.rng.random() < 0.5 else "right"
    around = SIGN[side] * 180.0 / part.count if part.level == "circle" else 0.0
    for number in range(2 * part.count):
        sign, start, end = SIGN[side], actor.now, actor.now + beat
        actor.lean(start, start + 0.5 * beat, height=-0.065 * size)
        actor.lean(start + 0.5 * beat, end, height=-0.01)
        twist = float(actor.rng.uniform(-14, 14))
        actor.lean(start, end, pelvis_roll=8.0 * sign * size, spine_roll=-10.0 * sign * size)
        actor.lean(start, end, pelvis_yaw=-twist, spine_yaw=1.8 * twist)
        if around:
            actor.heading += around
            actor.home = actor.place(0.2 * size, 0.0)
            actor.move(start, end, heading=actor.heading)
        actor.sway(start, end, left=0.12 * sign * size, ahead=float(actor.rng.uniform(-0.02, 0.03)))
        out = actor.stance_m + (0.2 * size if number % 2 == 0 else 0.0)
        actor.step(side, start, start + 0.7 * beat, BALL_AHEAD_M, sign * out, lift=0.08, yaw=10.0)
        for arm in SIDES:
            if actor.rng.random() < 0.85:
                _dance_arms(actor, arm, start, end, part.level == "high")
        actor.wait(beat)
        side = OTHER[side]
    actor.settle(actor.beat(0.6))
