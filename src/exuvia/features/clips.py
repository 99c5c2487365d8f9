"""Features of either layout -> clips at the layout's own rate; and a clip as an .npz archive with its features."""

from pathlib import Path
from typing import Any

import numpy as np

from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.representation import Representation
from exuvia.files import whole_file
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


def write_npz(clip: Clip, path: str | Path) -> None:
    """Write `joints` [F, 22, 3] in metres, `fps`, `caption`, and `features` [F' - 1, 263] of the clip at 20 fps.

    The features are computed like those of the data set (its target bones, on the floor, first facing +z) and are not
    normalised. Raises OutputError, or ShapeError for a clip of fewer than two frames at 20 fps.
    """
    (features,) = HUMANML3D.encode([clip.resampled(HUMANML3D.fps).joints])
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, joints=clip.joints, fps=np.float64(clip.fps), features=features, caption=clip.caption or "")
