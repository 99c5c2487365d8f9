"""`load_clip`: a motion file of any known format -> Clip, metres, y up, at the asked rate."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from exuvia.errors import ConfigError, DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import scaled
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import MAX_FRAMES, Source, check_size
from exuvia.registry import IMPORTER, resolve

_EXPORT = "open it in Blender (File > Import), export it as Motion Capture (.bvh), and read that"
ELSEWHERE = {
    **dict.fromkeys((".fbx", ".glb", ".gltf"), _EXPORT),
    ".c3d": "fit a skeleton to the markers and export .bvh",
    ".pkl": "it may run code: save its arrays with numpy.savez as .npz (poses, trans ...)",
}
"""How to read motion of formats that have no reader."""


def load_clip(
    path: str | Path,
    fps: float | None = 20.0,
    *,
    source: Source | None = None,
    normalise_scale: bool = False,
    max_frames: int = MAX_FRAMES,
) -> Clip:
    """Read a motion and bring it to the 22 SMPL joints: metres, y up, right-handed (facing +z, the left is at +x).

    Args:
        path: .bvh, .amc (skeleton .asf beside it), .npy, .npz (joints or AMASS) or DeepMimic .txt
        fps: rate of the clip returned, None: the file's own; the file's own rate stays in meta["source_fps"]
        source: what the file does not say (rate, unit, skeleton, body models)
        normalise_scale: scale the body so that the median of thigh + shin is 0.80 m
        max_frames: longest motion to read, in frames of the file and of the clip returned; checked before the work
    Raises:
        ConfigError: unknown suffix, or a rate that is none.
        DataError: the file is missing or is not what it claims to be.
        ShapeError: wrong joint count, NaN or too few frames.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"found fps = {fps}, expected a rate above 0 and up to 1000")
    file = Path(path)
    if file.suffix.lower() in ELSEWHERE:
        raise ConfigError(f"{file.name} is not read here; {ELSEWHERE[file.suffix.lower()]}")
    reader = resolve(IMPORTER, file.suffix.lower(), "motion format")
    if not file.is_file():
        raise DataError(f"{file} {'is no file' if file.exists() else 'does not exist'}; expected a motion file")
    try:
        with np.errstate(all="ignore"):  # absurd numbers end in the readers' own check for finite values
            clip = reader(file, replace(source or Source(), max_frames=max_frames))
        if fps is not None:
            check_size(clip.duration_s * fps, SMPL22.num_joints, Source(max_frames=max_frames))
            clip = clip.resampled(fps)
        return scaled(clip) if normalise_scale else clip
    except ExuviaError as error:
        raise type(error)(f"{file.name}: {error}") from error.__cause__
