"""`Stage`: one actor in time. Actions move its parts; what an action does not touch stays where it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from exuvia.shapes import Joints
from exuvia.synthetic.body import Body
from exuvia.synthetic.rig import ARM_REST, CHANNELS, SIDES, SIGN, reach, solve
from exuvia.synthetic.style import Style
from exuvia.synthetic.timeline import FPS, Timeline

OTHER = {"left": "right", "right": "left"}
"""The other side."""
BALL_AHEAD_M = 0.09
"""How far the ball of a standing foot is ahead of the pelvis."""
UNSTEADY_DEG = 1.4
"""Deviation with which a limb meets an angle that it is sent to: nobody does the same thing twice."""
_HANG = {"el": 5.0, "elbow": 9.0, "swivel": 10.0, "spread": 4.0}
"""By how much the hanging arms of two people differ, in degrees."""


@dataclass(frozen=True)
class Part:
    """One action of a script, with everything that its caption may tell."""

    action: str
    """Name in the catalogue."""
    side: str = ""
    """left, right, or empty where the action has none."""
    count: int = 1
    """Repetitions."""
    level: str = ""
    """Variant of the action: low, middle, high, forward, up ..."""


class Stage:
    """An actor who stands at the origin facing +z, and a clock."""

    def __init__(self, body: Body, style: Style, rng: np.random.Generator) -> None:
        self.body, self.style, self.rng = body, style, rng
        self.now = 0.0
        self.heading = 0.0
        self.home = np.zeros(2)
        self.posture = "stand"
        self.spans: list[tuple[float, float, str]] = []
        self.stance_m = body.hip_half_m * rng.uniform(1.15, 1.6)
        start = dict(CHANNELS)
        for side in SIDES:
            start[f"{side}_foot_x"] = SIGN[side] * self.stance_m
            start[f"{side}_foot_yaw"] = SIGN[side] * rng.uniform(4.0, 10.0)
            start[f"{side}_foot_z"] = BALL_AHEAD_M + rng.uniform(-0.03, 0.03)
            for name, spread in _HANG.items():
                start[f"{side}_{name}"] += spread * rng.uniform(-1.0, 1.0)
        start["height"] -= style.knees
        start["spine_pitch"] += style.stoop
        start["head_pitch"] += style.head
        self.line = Timeline(start)
        self.neutral = dict(start)

    # time -------------------------------------------------------------------------------------------------------

    def beat(self, seconds: float, jitter: float = 0.08) -> float:
        """A duration at the actor's tempo, a little different every time."""
        return float(seconds / self.style.tempo * (1.0 + jitter * self.rng.uniform(-1, 1)))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Everything inside is that action, frame by frame."""
        start = self.now
        yield
        self.spans.append((start, self.now, label))

    # parts ------------------------------------------------------------------------------------------------------

    def move(self, start: float, end: float, **values: float) -> None:
        """Bring channels from where they are to values, between two times in seconds."""
        for name, value in values.items():
            self.line.add(name, start, end, value)

    def hold(self, *names: str) -> None:
        """Keep channels as they are until now; later keys without a start of their own begin here."""
        for name in names:
            self.line.hold(name, self.now)

    def lean(self, start: float, end: float, **values: float) -> None:
        """Like `move`, with values relative to the neutral stand of this actor (stoop and carriage stay)."""
        self.move(start, end, **{name: self.neutral[name] + value for name, value in values.items()})

    def arm(self, side: str, start: float, end: float, **values: float) -> None:
        """Bring arm channels (el, az, elbow, swivel, spread, shrug, protract) of one side near to values."""
        near = {name: value + UNSTEADY_DEG * self.rng.standard_normal() for name, value in values.items()}
        self.move(start, end, **{f"{side}_{name}": float(value) for name, value in near.items()})

    def arms(self, start: float, end: float, **values: float) -> None:
        """`arm` of both sides, left first."""
        for side in SIDES:
            self.arm(side, start, end, **values)

    def leg(self, side: str, start: float, end: float, **values: float) -> None:
        """Bring leg channels of one side to values; the angles of a free leg only near to them."""
        for name in ("thigh_el", "thigh_az", "knee"):
            if name in values:
                values[name] += float(1.5 * UNSTEADY_DEG * self.rng.standard_normal())
        self.move(start, end, **{f"{side}_{name}": value for name, value in values.items()})

    def rest_arm(self, side: str, start: float, end: float) -> None:
        """Let an arm hang the way this actor's arm hangs."""
        self.move(start, end, **{f"{side}_{name}": self.neutral[f"{side}_{name}"] for name in ARM_REST})

    def place(self, ahead: float, left: float) -> np.ndarray:
        """The floor point (x, z) at metres ahead and to the left of home."""
        angle = np.deg2rad(self.heading)
        sine, cosine = np.sin(angle), np.cos(angle)
        return self.home + np.asarray((ahead * sine + left * cosine, ahead * cosine - left * sine))

    def hands(self, start: float, end: float, out: float, up: float, ahead: float, *, elbow_out: float = 10.0) -> None:
        """Both wrists to mirrored points (out, up, ahead) of their shoulders in arm lengths, as for `rig.reach`."""
        self.arms(start, end, **reach(out, up, ahead, elbow_out=elbow_out))

    def grip(self, start: float, end: float, left: float, up: float, ahead: float, *, elbow_out: float = 15.0) -> None:
        """Both wrists to one point, metres to the left of, above and ahead of the middle between the shoulders."""
        half, arm_m = self.body.shoulder_half_m, self.body.arm_m
        for side in SIDES:
            out = (SIGN[side] * left - half + 0.035) / arm_m
            self.arm(side, start, end, **reach(out, up / arm_m, ahead / arm_m, elbow_out=elbow_out))

    def start_from(self, **values: float) -> None:
        """Begin the motion with channels at values; only before anything has moved."""
        for name, value in values.items():
            self.line.keys[name] = ([0.0], [value])

    def sway(self, start: float, end: float, ahead: float = 0.0, left: float = 0.0) -> None:
        """Shift the pelvis over the floor, metres from home."""
        x, z = self.place(ahead, left)
        self.move(start, end, x=float(x), z=float(z))

    def step(
        self, side: str, start: float, end: float, ahead: float, left: float, *, lift: float = 0.07, yaw: float = 0.0
    ) -> None:
        """Lift a foot and set it down at metres ahead and to the left of home, toes turned out by `yaw` degrees."""
        x, z = self.place(ahead, left)
        width, angle = end - start, self.heading + SIGN[side] * yaw
        middle = start + 0.5 * width
        self.leg(side, start, start + 0.2 * width, plant=0.0)
        self.leg(side, start - 0.15 * width, start + 0.12 * width, foot_pitch=22.0)
        self.leg(side, start, middle, foot_y=lift, foot_pitch=12.0)
        self.leg(side, start, end - 0.04, foot_x=float(x), foot_z=float(z), foot_yaw=angle)
        self.leg(side, middle, end, foot_y=0.0, foot_pitch=0.0)
        self.leg(side, end - 0.3 * width, end, plant=1.0)

    def feet(self) -> Mapping[str, tuple[float, float]]:
        """Where the feet last stood: metres ahead and to the left of home."""
        angle = np.deg2rad(self.heading)
        found = {}
        for side in SIDES:
            x = self.line.value(f"{side}_foot_x") - self.home[0]
            z = self.line.value(f"{side}_foot_z") - self.home[1]
            found[side] = (x * np.sin(angle) + z * np.cos(angle), x * np.cos(angle) - z * np.sin(angle))
        return found

    def settle(self, seconds: float, *, arms: bool = True) -> None:
        """Come back to the neutral stand over home; feet that stand far out are brought in."""
        start, end = self.now, self.now + seconds
        names = ("height", "pelvis_pitch", "pelvis_roll", "pelvis_yaw", "spine_pitch", "spine_roll", "spine_yaw")
        self.move(start, end, **{name: self.neutral[name] for name in (*names, "head_pitch", "head_roll", "head_yaw")})
        if arms:
            for side in SIDES:
                self.rest_arm(side, start, end)
        self.sway(start, end)
        turn = start
        for side, (ahead, left) in self.feet().items():
            wanted = SIGN[side] * self.stance_m
            if abs(ahead - BALL_AHEAD_M) > 0.09 or abs(left - wanted) > 0.09:
                stop = turn + max(0.3, 0.5 * seconds)
                self.step(side, turn, stop, BALL_AHEAD_M, wanted, yaw=7.0)
                turn, end = stop, max(end, stop)
        self.now = end

    # result -----------------------------------------------------------------------------------------------------

    def joints(self, frames: int) -> Joints:
        """Positions [frames, 22, 3] at 20 frames a second from time 0, in metres."""
        return solve(self.line.sample(np.arange(frames) / FPS, self.rng, self.style.liveliness), self.body)
