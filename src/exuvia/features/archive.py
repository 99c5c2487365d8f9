"""Writing a clip as an .npz archive: its joints with their rate, and its HumanML3D features."""

from pathlib import Path

import numpy as np

from exuvia.features.humanml3d import HUMANML3D
from exuvia.files import whole_file
from exuvia.motion.clip import Clip


def write_npz(clip: Clip, path: str | Path) -> None:
    """Write `joints` [F, 22, 3] in metres, `fps`, `caption`, and `features` [F' - 1, 263] of the clip at 20 fps.

    The features are computed like those of the data set (its target bones, on the floor, first facing +z) and are not
    normalised. Raises OutputError, or ShapeError for a clip of fewer than two frames at 20 fps.
    """
    (features,) = HUMANML3D.encode([clip.resampled(HUMANML3D.fps).joints])
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, joints=clip.joints, fps=np.float64(clip.fps), features=features, caption=clip.caption or "")
