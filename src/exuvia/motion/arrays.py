"""Joint arrays: .npy and .npz readers, and the .npy writer.

Layouts: [F, 22, 3] (HumanML3D), larger models of the SMPL family with the same first 22 joints, and KIT's [F, 21, 3].
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia import readers
from exuvia.errors import DataError, ShapeError
from exuvia.files import whole_file
from exuvia.motion.amass import joints_from_amass
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints, complete
from exuvia.motion.skeleton import KIT21
from exuvia.motion.source import Source, check_size
from exuvia.shapes import Array

SMPL_FAMILY = {22: "HumanML3D", 24: "SMPL", 45: "SMPL output", 52: "SMPL-H", 55: "SMPL-X", 73: "SMPL-H output",
               127: "SMPL-X output", 144: "SMPL-X output"}  # fmt: skip
"""Joint counts of layouts that begin with the 22 joints of SMPL."""
FPS_KEYS = ("fps", "mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate")
_LEG = ("hip", "knee", "ankle", "foot")
_FEATURES = {263: "HUMANML3D", 251: "KIT"}


def read_npy(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a .npy of joints as a Clip; the rate is source.fps, or by default 20 (12.5 for KIT's 21 joints).

    Raises DataError for a damaged or pickled file, and otherwise the same as `clip_from_array`.
    """
    array = readers.read_npy(path, "the file", mapped=True)
    return clip_from_array(array, source, {"file": Path(path).name, "format": "npy"})


def read_npz(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a .npz with `joints` or `positions` (and a rate), or an AMASS motion (`poses`, `trans`, ...), as a Clip.

    Raises DataError for a damaged or other file, and otherwise the same as `clip_from_array` or `joints_from_amass`.
    """
    wanted = ("joints", "positions", "poses", "trans", "betas", *FPS_KEYS)
    content = readers.read_npz(path, optional=wanted, name="the file", rows=source.max_frames)
    fps = _rate(content)
    meta = {"file": Path(path).name, "format": "npz"}
    for key in ("joints", "positions"):
        if key in content:
            rated = source if source.fps or fps is None else Source(**{**vars(source), "fps": fps})
            return clip_from_array(content[key], rated, meta)
    if {"poses", "trans"} <= set(content):
        return joints_from_amass(content, _gender(path), fps, source, meta)
    names = ", ".join(sorted(readers.npz_names(path))[:8]) or "no arrays"
    raise DataError(f"found {names}, expected joints, positions, or AMASS's poses and trans")


def _gender(path: str | Path) -> str:
    try:
        value = readers.read_npz(path, optional=("gender",)).get("gender", np.asarray(""))
    except DataError:  # some releases store a Python object here
        return "neutral"
    word = value.item() if value.ndim == 0 else ""
    word = word.decode(errors="replace") if isinstance(word, bytes) else str(word)
    return word.strip("b'\" ").lower()[:20] or "neutral"


def _rate(content: Mapping[str, Any]) -> float | None:
    for key in FPS_KEYS:
        if key in content:
            value = content[key]
            if value.size != 1 or value.dtype.kind not in "fiu" or not 1 <= float(value.reshape(())) <= 1000:
                raise DataError(f"found {key} = {str(value)[:40]}, expected one rate of 1 to 1000 frames a second")
            return float(value.reshape(()))
    return None


def clip_from_array(array: NDArray[Any], source: Source, meta: Mapping[str, Any]) -> Clip:
    """A Clip from joints [F, J, 3] of the SMPL family or of KIT.

    Raises:
        ShapeError: the array has another shape or type; the message says what the array may be.
        DataError: the array holds features instead of joints, or its unit is not plausible.
    """
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"found values of type {array.dtype}, expected real numbers in joints (frames, 22, 3)")
    shape = tuple(array.shape)
    if array.ndim == 2 and shape[1] in _FEATURES:
        name = _FEATURES[shape[1]]
        raise DataError(
            f"found {shape[1]} features a frame ({name}), expected joints (frames, 22, 3); "
            f"recover them first: exuvia.features.{name.lower()}.{name}.recover(features)"
        )
    if array.ndim == 4 and shape[2:] == (22, 3):
        raise ShapeError(f"found a batch of {shape[0]} motions {shape}, expected one (frames, 22, 3); save one a file")
    if array.ndim == 3 and shape[:2] == (22, 3):
        raise ShapeError(f"found {shape}, probably (22, 3, frames), expected (frames, 22, 3); transpose (2, 0, 1)")
    if array.ndim != 3 or shape[2] != 3 or shape[1] not in (*SMPL_FAMILY, 21):
        counts = ", ".join(map(str, SMPL_FAMILY))
        raise ShapeError(f"found an array of shape {shape}, expected (frames, J, 3) with J = {counts}, or 21 (KIT)")
    check_size(shape[0], 22, source)
    values: Array = np.asarray(array[:, :22], np.float64)
    is_kit = shape[1] == 21
    fps = 12.5 if is_kit else 20.0
    joints = smpl22_from_kit(values) if is_kit else values
    layout = "KIT" if is_kit else SMPL_FAMILY[shape[1]]
    return clip_from_joints(joints, fps, source, {**meta, "rig": layout, "source_fps": float(source.fps or fps)})


def smpl22_from_kit(joints: Array) -> Array:
    """KIT's 21 joints [F, 21, 3] -> the 22 SMPL joints [F, 22, 3], same unit.

    The direction of the toes decides which arm and leg is the left one, because published conversions of KIT to y up
    differ in handedness.
    """
    up = joints[:, KIT21.index("neck")] - joints[:, 0]
    forward = joints[:, [15, 20]].mean(1) - joints[:, [13, 18]].mean(1)
    left = np.cross(up, forward)
    arms = ("left", "right") if _first_is_left(joints[:, 5] - joints[:, 8], left) else ("right", "left")
    legs = ("left", "right") if _first_is_left(joints[:, 11] - joints[:, 16], left) else ("right", "left")
    known = {"pelvis": 0, "spine1": 1, "spine2": 2, "neck": 3, "head": 4}
    for side, start in zip(arms, (5, 8), strict=True):
        known |= {f"{side}_{joint}": start + place for place, joint in enumerate(("shoulder", "elbow", "wrist"))}
    for side, start in zip(legs, (11, 16), strict=True):
        known |= {f"{side}_{joint}": start + place for joint, place in zip(_LEG, (0, 1, 2, 4), strict=True)}
    return complete({joint: joints[:, index] for joint, index in known.items()})


def _first_is_left(across: Array, left: Array) -> bool:
    return bool((np.einsum("fc,fc->f", across, left) > 0).mean() >= 0.5)


def write_npy(clip: Clip, path: str | Path) -> None:
    """Write the joints [F, 22, 3], float32 metres; the rate is not part of the format. Raises OutputError."""
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, clip.joints)
