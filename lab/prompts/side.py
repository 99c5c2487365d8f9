"""Which hand or foot acts: the one that moves farther."""

import numpy as np

from exuvia.motion.clip import Clip
from lab.prompts.body import JOINT, own
from lab.prompts.verdict import Verdict

LEAST_M, RATIO = 0.2, 1.25
"""Movement below which a limb does not act; how many times as far one limb moves as the other."""


def side(clip: Clip, limb: str, side: str) -> Verdict:
    """Whether the hand or foot of a side (left, right, both) acts; the value is left over right, as log2.

    Movement is the diagonal of the box around the limb's positions, in the body's own axes.
    """
    places = own(clip)[:, [JOINT[f"left_{limb}"], JOINT[f"right_{limb}"]]]
    box = np.quantile(places, 0.98, axis=0) - np.quantile(places, 0.02, axis=0)
    left, right = np.maximum(np.linalg.norm(box, axis=-1), 1e-6)
    value = float(np.log2(left / right))
    enough = {"both": min(left, right), "left": left, "right": right}[side] >= LEAST_M
    ahead = {"both": np.inf, "left": value, "right": -value}[side] >= np.log2(RATIO)
    return Verdict(bool(enough and ahead), value)
