"""Actions that go somewhere: walking, running, turning, stepping sideways and backwards."""

import numpy as np

from exuvia.synthetic.gait import BACKWARD, JOG, RUN, SHUFFLE, TURNING, WALK, travel
from exuvia.synthetic.rig import SIGN
from exuvia.synthetic.stage import OTHER, Part, Stage


def _first(stage: Stage) -> str:
    return "left" if stage.rng.random() < 0.5 else "right"


def _stride(stage: Stage, low: float, high: float) -> float:
    """A step length in metres for this body and style."""
    return float(stage.rng.uniform(low, high) * (0.45 + 0.55 * stage.style.size) * stage.body.leg_m / 0.82)


def stand(stage: Stage, part: Part) -> None:
    """Stand, breathe, look about, shift the weight."""
    end = stage.now + stage.beat(2.2, 0.4)
    while stage.now < end:
        shift = stage.rng.uniform(-0.035, 0.035)
        stage.sway(stage.now, stage.now + 0.8, ahead=float(stage.rng.uniform(-0.01, 0.02)), left=float(shift))
        stage.lean(stage.now, stage.now + 0.7, pelvis_roll=90 * float(shift), spine_roll=-90 * float(shift))
        look, twist = float(stage.rng.uniform(-35, 35)), float(stage.rng.uniform(-8, 8))
        stage.lean(stage.now, stage.now + 0.7, head_yaw=look, spine_yaw=twist)
        stage.wait(float(stage.rng.uniform(0.8, 1.6)))
    stage.settle(0.5)


def walk(stage: Stage, part: Part) -> None:
    """Walk `count` steps ahead, in a curve or a half circle to one side where there is one."""
    steps = part.count
    if part.level == "backward":
        travel(stage, BACKWARD, steps, steps * _stride(stage, 0.3, 0.42), direction=180.0, first=_first(stage))
        return
    sharp = {"curve": stage.rng.uniform(60, 110), "circle": 36.0 * steps}.get(part.level, stage.rng.uniform(-4, 4))
    turn = float(sharp) * (SIGN[part.side] if part.side else 1.0)
    travel(stage, WALK, steps, steps * _stride(stage, 0.42, 0.56), turn=turn, first=_first(stage))


def run(stage: Stage, part: Part) -> None:
    """Run or jog `count` steps ahead, or in a curve."""
    gait, low, high = (JOG, 0.5, 0.66) if part.level == "jog" else (RUN, 0.72, 0.92)
    turn = float(stage.rng.uniform(50, 100)) * SIGN[part.side] if part.side else float(stage.rng.uniform(-4, 4))
    travel(stage, gait, part.count, part.count * _stride(stage, low, high), turn=turn, first=_first(stage))
    stage.settle(0.4)


def turn(stage: Stage, part: Part) -> None:
    """Turn on the spot to one side: a quarter, a half or a full turn."""
    angle = {"quarter": 90.0, "half": 180.0, "full": 360.0}[part.level] + float(stage.rng.uniform(-8, 8))
    steps = int(np.clip(round(angle / 45), 2, 8))
    travel(stage, TURNING, steps, 0.0, turn=angle * SIGN[part.side], first=part.side)


def sidestep(stage: Stage, part: Part) -> None:
    """Take `count` steps sideways, each foot followed by the other."""
    way_m, direction = part.count * _stride(stage, 0.32, 0.45), 90.0 * SIGN[part.side]
    travel(stage, SHUFFLE, 2 * part.count, way_m, direction=direction, first=part.side)


def push_object(stage: Stage, part: Part) -> None:
    """Lean into a heavy thing with both hands and walk it forward."""
    ready = stage.beat(0.6)
    stage.hands(stage.now, stage.now + ready, -0.1, -0.18, 0.78, elbow_out=25)
    upright = dict(stage.neutral)
    for name, value in {"spine_pitch": 14.0, "pelvis_pitch": 12.0, "height": -0.05, "head_pitch": -8.0}.items():
        stage.neutral[name] += value
        stage.lean(stage.now, stage.now + ready, **{name: 0.0})
    stage.wait(ready)
    travel(stage, WALK, part.count, part.count * _stride(stage, 0.28, 0.36), first=OTHER[_first(stage)], arms=False)
    stage.neutral = upright
    stage.settle(stage.beat(0.7))
