"""Physics of a motion as numbers: free fall in flights, balance at rest."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.flights import FLESH_M, GRAVITY_M_PER_S2
from exuvia.motion.kinematics import centre_of_mass, floor_penetration_m, joint_speed_m_per_s
from exuvia.shapes import Mask
from lab.prompts.body import members
from lab.prompts.gait import runs

FREE_M, FREE_S, LONGEST_S, OFF = 0.1, 0.25, 1.0, 0.5
"""A flight: least height of the lowest part, least time, longest possible time, share of g that a fall may be off."""
REST_M_PER_S, STANDING_M, LEVEL_M, BEYOND_M = 0.2, 0.6, 0.12, 0.08
"""Standing at rest: fastest joint, pelvis above, feet below; how far the centre may be from the joints of the feet."""
PLANTED_M_PER_S = 0.3
"""Speed below which the lowest joint is on the floor."""


class Flight(NamedTuple):
    """A time in the air, in seconds, and the acceleration of the centre of mass upwards, in m/s²."""

    seconds: float
    acceleration: float

    @property
    def violates(self) -> bool:
        """Whether no body flies so."""
        return self.seconds > LONGEST_S or abs(self.acceleration + GRAVITY_M_PER_S2) > OFF * GRAVITY_M_PER_S2


def flights(clip: Clip) -> Iterator[Flight]:
    """Times of more than `FREE_S` in which all of a body is `FREE_M` above the floor."""
    height = centre_of_mass(clip.joints)[:, 1]
    for start, end in runs((clip.joints[..., 1] - FLESH_M).min(1) > FREE_M):
        if (seconds := (end - start) / clip.fps) > FREE_S:
            yield Flight(seconds, 2 * float(np.polyfit(np.arange(end - start) / clip.fps, height[start:end], 2)[0]))


def unbalanced(clip: Clip) -> Mask:
    """Whether the centre of mass is beyond the feet [n], for each of the n frames in which a body stands at rest.

    The distance beyond is that from the hull of ankles and balls of the feet: the largest gap along any direction.
    """
    speed, at = joint_speed_m_per_s(clip.joints, clip.fps).max(1), np.linspace(0, 2 * np.pi, 32, endpoint=False)
    feet, ways = clip.joints[:, members("lower_foot")], np.stack((np.sin(at), np.cos(at)))
    rest = (np.append(speed, speed[-1]) < REST_M_PER_S) & (clip.joints[:, 0, 1] > STANDING_M)
    rest &= feet[..., 1].max(1) < LEVEL_M
    centre = centre_of_mass(clip.joints)[rest][:, [0, 2]] @ ways
    return (centre - (feet[rest][..., [0, 2]] @ ways).max(1)).max(1) > BEYOND_M


def on_floor(clip: Clip) -> Clip:
    """A recorded clip with its floor at 0: the median height of the lowest joint while that rests.

    Data sets put the lowest joint of a clip at 0, which may be the tip of a pointed foot.
    """
    frames, lowest = np.arange(clip.frames - 1), clip.joints[:-1, :, 1].argmin(1)
    resting = joint_speed_m_per_s(clip.joints, clip.fps)[frames, lowest] < PLANTED_M_PER_S
    floor = float(np.median(clip.joints[frames, lowest, 1][resting])) if resting.any() else 0.0
    return replace(clip, joints=clip.joints - np.asarray((0, floor, 0), np.float32))


def physics(clips: Sequence[Clip]) -> dict[str, float]:
    """Numbers of clips: flights, shares of impossible ones and of rest without balance, mean depth below the floor."""
    violations = [flight.violates for clip in clips for flight in flights(clip)]
    beyond = np.concatenate([unbalanced(clip) for clip in clips])
    return {
        "flights": len(violations),
        "flight_violation_share": float(np.mean(violations)) if violations else 0.0,
        "floor_penetration_m": float(np.mean([floor_penetration_m(clip.joints) for clip in clips])),
        "unbalanced_share": float(beyond.mean()) if len(beyond) else 0.0,
    }
