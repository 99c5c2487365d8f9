"""How much a body moves: stillness, liveliness, swift limbs."""

import numpy as np

from exuvia.motion.clip import Clip
from exuvia.motion.kinematics import mean_joint_speed_m_per_s
from lab.prompts.body import joined, members, own
from lab.prompts.verdict import Verdict, between, lasting


def still(clip: Clip, metres: float = 0.2) -> Verdict:
    """Whether in nine tenths of the time no joint is farther than `metres` from its median place.

    Recorded standing and waving differ in this, but hardly in the mean speed of the joints.
    """
    away = np.linalg.norm(clip.joints - np.median(clip.joints, axis=0), axis=-1).max(1)
    return between(np.quantile(away, 0.9), 0.0, metres)


def activity(clip: Clip, low: float, high: float) -> Verdict:
    """Whether the mean speed of the joints lies between limits in m/s."""
    return between(mean_joint_speed_m_per_s(clip.joints, clip.fps), low, high)


def swift(clip: Clip, part: str, above: float, seconds: float = 0.1) -> Verdict:
    """Whether a part moves faster than a speed in m/s relative to the pelvis."""
    speeds = np.linalg.norm(np.diff(own(clip)[:, members(part)], axis=0), axis=-1) * clip.fps
    return lasting(joined(speeds, part, True), clip.fps, above, None, seconds)
