"""A clip as an .npz archive: its joints with their rate, and HumanML3D's features of them."""

from pathlib import Path

import numpy as np

from exuvia.features.humanml3d import HUMANML3D
from exuvia.files import whole_file
from exuvia.motion.clip import Clip


def write_npz(clip: Clip, path: str | Path) -> None:
    """Write `joints` [F, 22, 3] in metres, `fps`, `caption`, and `features` [F' - 1, 263] of the clip at 20 a second.

    The features are made as the data set's are: bones of its target skeleton, on the floor, facing +z at first, not
    normalised. Raises OutputError; ShapeError for a clip of less than two frames at that rate.
    """
    (features,) = HUMANML3D.encode([clip.resampled(HUMANML3D.fps).joints])
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, joints=clip.joints, fps=np.float64(clip.fps), features=features, caption=clip.caption or "")
