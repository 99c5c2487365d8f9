"""`load_clip`: a motion file of any known format -> Clip in metres, y up, at the requested rate."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from exuvia.errors import ConfigError, DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import UNITS_M, scaled
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import MAX_FRAMES, Source, check_size
from exuvia.registry import IMPORTER, resolve

logger = logging.getLogger(__name__)

ELSEWHERE = {
    ".pkl": "it may run code: save its arrays with numpy.savez as .npz (poses, trans ...)",
}
"""How to read motion in formats without a reader."""


def load_clip(
    path: str | Path,
    fps: float | None = 20.0,
    *,
    source: Source | None = None,
    normalise_scale: bool = False,
    max_frames: int = MAX_FRAMES,
) -> Clip:
    """Read a motion and map it to the 22 SMPL joints: metres, y up, right-handed (facing +z, the left is at +x).

    Args:
        path: .bvh, .glb, .gltf, .fbx, .c3d, .amc (with its .asf), .npy, .npz (joints or AMASS) or DeepMimic .txt
        fps: rate of the returned clip; None keeps the file's own, which meta["source_fps"] holds in any case
        source: facts that the file does not state (rate, unit, axis, joint names, skeleton, body models)
        normalise_scale: scale the body to a median thigh + shin of 0.80 m
        max_frames: longest motion to read, in frames of the file and of the returned clip

    Raises ConfigError for an unknown suffix or a rate out of range, DataError for a missing or damaged file, and
    ShapeError for a wrong joint count, NaN or too few frames.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"found fps = {fps}, expected a rate above 0 and up to 1000")
    file = Path(path)
    if file.suffix.lower() in ELSEWHERE:
        raise ConfigError(f"{file.name} is not read here; {ELSEWHERE[file.suffix.lower()]}")
    reader = resolve(IMPORTER, file.suffix.lower(), "motion format")
    if not file.is_file():
        raise DataError(f"{file} {'is not a file' if file.exists() else 'does not exist'}; expected a motion file")
    try:
        with np.errstate(all="ignore"):  # readers check that their values are finite
            clip = reader(file, replace(source or Source(), max_frames=max_frames))
        for doubt in clip.meta.get("doubts", ()):
            logger.warning("%s: %s", file.name, doubt)
        if fps is not None:
            check_size(clip.duration_s * fps, SMPL22.num_joints, Source(max_frames=max_frames))
            clip = clip.resampled(fps)
        return scaled(clip) if normalise_scale else clip
    except ExuviaError as error:
        raise type(error)(f"{file.name}: {error}") from error.__cause__


def explain(clip: Clip) -> str:
    """What `load_clip` took for what, as lines: format, rate, unit, upward axis, joints, doubts."""
    about, joints = clip.meta, clip.meta.get("joints", {})
    unit = next((name for name, unit_m in UNITS_M.items() if unit_m == about["unit_m"]), "of your own")
    rate = f"{clip.frames} frames at {clip.fps:g} a second{' (assumed)' if about.get('rate_assumed') else ''}"
    lines = [
        f"format    {about['format']}, {rate}",
        f"unit      {unit}, {about['unit_m']:.4g} m; thigh and shin are {about['leg_m']:.2f} m long",
        f"up        {about['up']}; the cosine of that axis and the body is {about['upright']:.2f} (median of frames)",
        f"joints    by {about['rig']}",
    ]
    for joint in SMPL22.joints if joints else ():
        lines.append(f"          {joint:15} {joints.get(joint, '(derived from its neighbours)')}")
    doubts = about.get("doubts") or ["no doubt"]
    return "\n".join([*lines, *(f"sure?     {doubt}" for doubt in doubts)])
