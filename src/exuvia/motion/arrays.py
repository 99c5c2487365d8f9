"""Joint arrays: .npy and .npz readers, and the .npy writer.

Layouts: [F, 22, 3] (HumanML3D), larger models of the SMPL family with the same first 22 joints, KIT's [F, 21, 3], each
in any order of axes, flat or in a batch of one, and HumanML3D's and KIT's features [F, 263 or 251].
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
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
from exuvia.motion.skeleton import KIT21, SMPL22
from exuvia.motion.source import Source, check_size
from exuvia.registry import REPRESENTATION, resolve
from exuvia.shapes import Array

SMPL_FAMILY = {22: "HumanML3D", 24: "SMPL", 45: "SMPL output", 52: "SMPL-H", 55: "SMPL-X", 73: "SMPL-H output",
               127: "SMPL-X output", 144: "SMPL-X output"}  # fmt: skip
"""Joint counts of layouts that begin with the 22 joints of SMPL."""
FPS_KEYS = ("fps", "mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate")
_LEG = {"hip": 0, "knee": 1, "ankle": 2, "foot": 4}
_FEATURES = {263: "humanml3d", 251: "kit"}
_POSES = (("poses",), ("root_orient", "pose_body"), ("global_orient", "body_pose"))
"""Arrays whose columns are AMASS's poses, joined: whole, of AMASS's SMPL-X files, of SMPL-X's Python package."""
_JOINTS = ("joints", "positions", "motion")
_UNPICKLE = (
    "; for a results.npy of MDM or MoMask, run: python -c \"import numpy as np; np.save('motion.npy', "
    "np.load('results.npy', allow_pickle=True).item()['motion'][0])\""
)


def read_npy(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a .npy of joints as a Clip; the rate is source.fps, or by default 20 (12.5 for KIT's 21 joints).

    Raises DataError for a damaged or pickled file, and otherwise the same as `clip_from_array`.
    """
    try:
        array = readers.read_npy(path, "the file", mapped=True)
    except DataError as error:
        raise DataError(f"{error}{_UNPICKLE if 'pickled' in str(error) else ''}") from None
    return clip_from_array(array, source, {"file": Path(path).name, "format": "npy", "rate_assumed": not source.fps})


def read_npz(path: str | Path, source: Source = Source()) -> Clip:  # noqa: B008
    """Read a .npz with `joints` or `positions` (and a rate), or an AMASS motion (`poses`, `trans`, ...), as a Clip.

    Raises DataError for a damaged or other file, and otherwise the same as `clip_from_array` or `joints_from_amass`.
    """
    parts = [part for group in _POSES for part in group]
    wanted = (*_JOINTS, *parts, "trans", "transl", "betas", *FPS_KEYS)
    content = readers.read_npz(path, optional=wanted, name="the file", rows=source.max_frames)
    fps = _rate(content)
    meta = {"file": Path(path).name, "format": "npz", "rate_assumed": not (source.fps or fps)}
    for key in _JOINTS:
        if key in content:
            rated = source if source.fps or fps is None else replace(source, fps=fps)
            return clip_from_array(content[key], rated, meta)
    trans = content.get("trans", content.get("transl"))
    for group in _POSES:
        if trans is not None and set(group) <= set(content):
            amass = {**content, "poses": _joined([content[part] for part in group]), "trans": trans}
            return joints_from_amass(amass, _gender(path), fps, source, meta)
    names = ", ".join(sorted(readers.npz_names(path))[:8]) or "no arrays"
    raise DataError(
        f"found {names}, expected {', '.join(_JOINTS)}, or AMASS's poses (or {' and '.join(_POSES[1])}) and trans"
    )


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Parts of poses [F, ...] as one array [F, C]. Raises ShapeError if they differ in frames."""
    if len(parts) > 1 and len({part.shape[:1] for part in parts}) > 1:
        raise ShapeError(
            f"found parts of poses {' and '.join(str(p.shape) for p in parts)}, expected as many frames in each"
        )
    flat = [part.reshape(*part.shape[:1], math.prod(part.shape[1:])) for part in parts]
    return np.concatenate(flat, axis=-1) if len(flat) > 1 else parts[0]


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
            try:
                rate = float(content[key].item())
            except (ValueError, TypeError):
                rate = 0.0
            if not 1 <= rate <= 1000:
                raise DataError(
                    f"found {key} = {str(content[key])[:40]}, expected one rate of 1 to 1000 frames a second"
                )
            return rate
    return None


def clip_from_array(array: NDArray[Any], source: Source, meta: Mapping[str, Any]) -> Clip:
    """A Clip from joints [F, J, 3] of the SMPL family or of KIT, or from their features.

    Raises ShapeError for another shape or type, and DataError for normalised features or an implausible unit.
    """
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"found values of type {array.dtype}, expected real numbers in joints (frames, 22, 3)")
    array, layout = _joints(array, source)
    check_size(len(array), 22, source)
    values: Array = np.asarray(array[:, :22], np.float64)
    is_kit = array.shape[1] == 21
    fps = 12.5 if is_kit else 20.0
    joints = smpl22_from_kit(values) if is_kit else values
    return clip_from_joints(joints, fps, source, {**meta, "rig": layout, "source_fps": float(source.fps or fps)})


def _joints(array: NDArray[Any], source: Source) -> tuple[NDArray[Any], str]:
    """Joints [F, J, 3] in the only reading of an array, and the name of its layout. Raises ShapeError, DataError."""
    shape, known = array.shape, {**SMPL_FAMILY, 21: "KIT"}
    for form in (array, array.squeeze()):
        if form.ndim == 2 and (features := _FEATURES.get(form.shape[1])):
            return _recovered(form, features, source), f"{features} features"
        if form.ndim == 2:
            flat = (rows for rows in (form, form.T) if rows.shape[1] % 3 == 0 and rows.shape[1] // 3 in known)
            form = next((rows.reshape(len(rows), -1, 3) for rows in flat), form)
        axes = permutations(range(3)) if form.ndim == 3 else ()
        orders = [order for order in axes if form.shape[order[2]] == 3 and form.shape[order[1]] in known]
        if len(orders) == 1 or orders[:1] == [(0, 1, 2)]:
            joints = form.transpose(orders[0])
            return joints, known[joints.shape[1]]
        if orders:
            raise ShapeError(
                f"found an array of shape {shape}, which can be read in several ways; save (frames, 22, 3)"
            )
    if array.ndim == 4 and {22, 3} <= set(shape[1:]):
        raise ShapeError(f"found a batch of {shape[0]} motions {shape}, expected one (frames, 22, 3); save one a file")
    counts = ", ".join(map(str, SMPL_FAMILY))
    raise ShapeError(f"found an array of shape {shape}, expected (frames, J, 3) with J = {counts}, or 21 (KIT)")


def _recovered(features: NDArray[Any], name: str, source: Source) -> Array:
    """Joints of features [F, 263] or [F, 251] that are not normalised. Raises DataError."""
    check_size(len(features), len(SMPL22.joints), source)
    height = float(np.median(np.asarray(features[:, 3], np.float64)))  # of the pelvis (KIT: in mm)
    if not (0.25 < height < 2.5 or 250 < height < 2500):
        raise DataError(
            f"found {features.shape[1]} features with the pelvis at a height of {height:.2f}, expected features that "
            "are not normalised; multiply by Std.npy and add Mean.npy of their data set first"
        )
    joints: Array = resolve(REPRESENTATION, name, "representation").recover(np.asarray(features, np.float32))
    return joints


def smpl22_from_kit(joints: Array) -> Array:
    """KIT's 21 joints [F, 21, 3] -> the 22 SMPL joints [F, 22, 3], same unit.

    The direction of the toes decides which arm and leg is the left one, because published conversions of KIT to y up
    differ in handedness.
    """
    up = joints[:, KIT21.index("neck")] - joints[:, 0]
    forward = joints[:, [15, 20]].mean(1) - joints[:, [13, 18]].mean(1)
    left = np.cross(up, forward)
    known = {"pelvis": 0, "spine1": 1, "spine2": 2, "neck": 3, "head": 4}
    for chain, (one, two) in (({"shoulder": 0, "elbow": 1, "wrist": 2}, (5, 8)), (_LEG, (11, 16))):
        ahead = np.einsum("fc,fc->f", joints[:, one] - joints[:, two], left) > 0
        sides = ("left", "right") if ahead.mean() >= 0.5 else ("right", "left")
        for side, start in zip(sides, (one, two), strict=True):
            known |= {f"{side}_{joint}": start + place for joint, place in chain.items()}
    return complete({joint: joints[:, index] for joint, index in known.items()})


def write_npy(clip: Clip, path: str | Path) -> None:
    """Write the joints [F, 22, 3], float32 metres; the rate is not part of the format. Raises OutputError."""
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, clip.joints)
