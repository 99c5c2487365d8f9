"""Features of either layout -> clips: 22 SMPL joints in metres at the layout's own rate."""

from typing import Any

import numpy as np

from exuvia.features.representation import Representation
from exuvia.motion.arrays import smpl22_from_kit
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Features

MILLIMETRES = 1000.0


def clip_of(
    rows: Features, layout: Representation, caption: str | None = None, meta: dict[str, Any] | None = None
) -> Clip:
    """The motion that un-normalised features [F, C] describe.

    KIT-ML's 21 joints in millimetres are mapped to the 22 of SMPL like its files (motion/arrays.py), at 12.5 fps.
    Raises ShapeError if the number of channels does not fit the layout.
    """
    joints = layout.recover(rows)
    if layout.skeleton.num_joints != SMPL22.num_joints:
        joints = (smpl22_from_kit(np.asarray(joints, np.float64)) / MILLIMETRES).astype(np.float32)
    return Clip(joints, fps=layout.fps, caption=caption, meta=meta or {})
