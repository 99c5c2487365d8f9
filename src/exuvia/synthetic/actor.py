"""`Actor`: a body with a clock. Actions move parts of the body; parts that an action does not move keep their pose."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from exuvia.shapes import Joints
from exuvia.synthetic.body import Body
from exuvia.synthetic.rig import ARM_REST, CHANNELS, SIDES, SIGN, balance_point, solve
from exuvia.synthetic.style import Style
from exuvia.synthetic.timeline import FPS, Timeline

GRAVITY = 9.81
"""Acceleration of a body in flight, in m/s²."""
OTHER = {"left": "right", "right": "left"}
"""The opposite of each side."""
BALL_AHEAD_M = 0.09
"""Distance of the ball of a standing foot ahead of the pelvis."""
UNSTEADY_DEG = 1.4
"""Standard deviation of a limb from its target angle, so that no two repetitions are the same."""
_HANG = {"el": 5.0, "elbow": 9.0, "swivel": 10.0, "spread": 4.0}
"""Range in which the angles of hanging arms differ between people, in degrees."""


@dataclass(frozen=True)
class Part:
    """One action of a script, with all facts that its caption can mention."""

    action: str
    """Name in the catalogue."""
    side: str = ""
    """left, right, or empty if the action has no side."""
    count: int = 1
    """Number of repetitions."""
    level: str = ""
    """Variant of the action: low, middle, high, forward, up ..."""


class Actor:
    """An actor who first stands at the origin and faces +z, and a clock."""

    def __init__(self, body: Body, style: Style, rng: np.random.Generator) -> None:
        self.body, self.style, self.rng = body, style, rng
        self.now = 0.0
        self.heading = 0.0
        self.home, self.floor = np.zeros(2), 0.0
        self.posture = "stand"
        self.spans: list[tuple[float, float, str]] = []
        self.flights: list[tuple[float, float]] = []
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

    def beat(self, seconds: float, jitter: float = 0.08) -> float:
        """A duration in seconds at the actor's tempo, slightly varied."""
        return float(seconds / self.style.tempo * (1.0 + jitter * self.rng.uniform(-1, 1)))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Label all frames that pass inside the block."""
        start = self.now
        yield
        self.spans.append((start, self.now, label))

    def move(self, start: float, end: float, **values: float) -> None:
        """Move channels from their current values to new ones between two times in seconds."""
        for name, value in values.items():
            self.line.add(name, start, end, value)

    def hold(self, *names: str) -> None:
        """Hold channels at their current values until now, where later keys without a start begin."""
        for name in names:
            self.line.hold(name, self.now)

    def lean(self, start: float, end: float, **values: float) -> None:
        """Like `move`, with values relative to this actor's neutral stance, which includes stoop and carriage."""
        self.move(start, end, **{name: self.neutral[name] + value for name, value in values.items()})

    def arm(self, side: str, start: float, end: float, **values: float) -> None:
        """Move arm channels (el, az, elbow, swivel, spread, shrug, protract) of one side close to values."""
        near = {name: value + UNSTEADY_DEG * self.rng.standard_normal() for name, value in values.items()}
        self.move(start, end, **{f"{side}_{name}": float(value) for name, value in near.items()})

    def arms(self, start: float, end: float, **values: float) -> None:
        """Move both arms like `arm`, left first."""
        for side in SIDES:
            self.arm(side, start, end, **values)

    def leg(self, side: str, start: float, end: float, **values: float) -> None:
        """Move leg channels of one side to values; the angles of a free leg only come close to them."""
        for name in ("thigh_el", "thigh_az", "knee"):
            if name in values:
                values[name] += float(1.5 * UNSTEADY_DEG * self.rng.standard_normal())
        if "foot_y" in values:
            values["foot_y"] += self.floor
        self.move(start, end, **{f"{side}_{name}": value for name, value in values.items()})

    def rest_arm(self, side: str, start: float, end: float) -> None:
        """Let an arm hang as it does in this actor's neutral stance."""
        self.move(start, end, **{f"{side}_{name}": self.neutral[f"{side}_{name}"] for name in ARM_REST})

    def place(self, ahead: float, left: float) -> np.ndarray:
        """Point (x, z) on the floor, given in metres ahead and to the left of home."""
        angle = np.deg2rad(self.heading)
        sine, cosine = np.sin(angle), np.cos(angle)
        return self.home + np.asarray((ahead * sine + left * cosine, ahead * cosine - left * sine))

    def restart(self) -> None:
        """Let the motion begin with the present pose; what was done before is forgotten."""
        self.line.keys = {name: ([0.0], [self.line.value(name)]) for name in self.line.keys}
        self.now, self.spans, self.flights = 0.0, [], []

    def sway(self, start: float, end: float, ahead: float = 0.0, left: float = 0.0) -> None:
        """Shift the pelvis to a point on the floor, in metres from home."""
        x, z = self.place(ahead, left)
        self.move(start, end, x=float(x), z=float(z))

    def move_foot(self, side: str, start: float, end: float, ahead: float, left: float, **values: float) -> None:
        """Move a foot to a point on the floor, in metres ahead and to the left of home, and leg channels to values."""
        x, z = self.place(ahead, left)
        self.leg(side, start, end, foot_x=float(x), foot_z=float(z), **values)

    def step(
        self, side: str, start: float, end: float, ahead: float, left: float, *, lift: float = 0.07, yaw: float = 0.0
    ) -> None:
        """Lift a foot and put it down at a point in metres from home, with toes turned out by `yaw` degrees."""
        width, middle = end - start, start + 0.5 * (end - start)
        self.leg(side, start, start + 0.2 * width, plant=0.0)
        self.leg(side, start - 0.15 * width, start + 0.12 * width, foot_pitch=22.0)
        self.leg(side, start, middle, foot_y=lift, foot_pitch=12.0)
        self.move_foot(side, start, end - 0.04, ahead, left, foot_yaw=self.heading + SIGN[side] * yaw)
        self.leg(side, middle, end, foot_y=0.0, foot_pitch=0.0)
        self.leg(side, end - 0.3 * width, end, plant=1.0)

    def feet(self) -> Mapping[str, tuple[float, float]]:
        """Last positions of the feet, in metres ahead and to the left of home."""
        angle = np.deg2rad(self.heading)
        positions = {}
        for side in SIDES:
            x = self.line.value(f"{side}_foot_x") - self.home[0]
            z = self.line.value(f"{side}_foot_z") - self.home[1]
            positions[side] = (x * np.sin(angle) + z * np.cos(angle), x * np.cos(angle) - z * np.sin(angle))
        return positions

    def values(self, *names: str) -> dict[str, float]:
        """Last values of channels."""
        return {name: self.line.value(name) for name in names}

    def settle(self, seconds: float, *, arms: bool = True) -> None:
        """Return to the neutral stance over home; feet that are far away take a step."""
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
            else:
                self.leg(side, start, end, foot_pitch=0.0)
        self.now = end

    def joints(self, frames: int) -> Joints:
        """Joint positions [frames, 22, 3] in metres, at 20 frames a second from time 0.

        The lowest floor is at height 0. Between take-off and landing of a flight, the body is moved so that its centre
        of mass follows a parabola.
        """
        lowest = min(self.line.keys["ground"][1])
        for name, (_, heights) in self.line.keys.items():
            if name == "ground" or name.endswith(("foot_y", "hand_y")):
                heights[:] = [height - lowest for height in heights]
        ends = [time for flight in self.flights for time in flight]
        times = np.concatenate((np.arange(frames) / FPS, ends))
        joints = solve(self.line.sample(times, self.rng, self.style.liveliness), self.body, times)
        centre = balance_point(joints)
        for number, (off, land) in enumerate(self.flights):
            first, last = centre[frames + 2 * number : frames + 2 * number + 2]
            share = (times - off) / (land - off)
            fall = 0.5 * GRAVITY * (times - off) * (land - times)
            path = first + (last - first) * share[:, None] + fall[:, None] * (0.0, 1.0, 0.0)
            aloft = (share > 0.0) & (share < 1.0)
            joints[aloft] += (path - centre)[aloft, None].astype(np.float32)
        return joints[:frames]
