"""AMASS motions: body-model poses, z up -> 22 SMPL joints, y up.

Joints depend only on the model's template, shape directions and joint regressor, since blend skinning moves no joint:
joints = regressor (template + shapes betas), then forward kinematics of the poses.   Eq. 10 [loper2015smpl]
The models are licensed separately and not part of Exuvia; download them as .npz from https://smpl.is.tue.mpg.de,
https://mano.is.tue.mpg.de (SMPL-H) or https://smpl-x.is.tue.mpg.de.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import DataError, ShapeError
from exuvia.motion.chain import forward_kinematics
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import BLOCK, Source, check_size
from exuvia.readers import read_npz
from exuvia.shapes import Array

BODY_JOINTS = 22
MAX_VERTICES = 100_000
"""Most vertices of a body model; SMPL-X has 10,475."""
MODELS_VARIABLE = "SMPL_MODELS"


def find_body_model(folder: str | Path | None, gender: str) -> Path:
    """Path of the body model of a gender: the given file, or the first of the usual names in the given folder.

    None reads the variable SMPL_MODELS. Raises DataError if there is no model, and says what to download.
    """
    place = folder or os.environ.get(MODELS_VARIABLE)
    if not place:
        raise DataError(
            "found an AMASS motion, which needs a licensed body model; download SMPL-H (mano.is.tue.mpg.de) or SMPL-X "
            f"as .npz and name its folder with Source(body_models=...) or the variable {MODELS_VARIABLE}"
        )
    root = Path(place)
    if root.is_file():
        return root
    for kind in dict.fromkeys((gender, "neutral")):
        large = kind.upper()
        for name in (
            f"smplh/{kind}/model.npz", f"{kind}/model.npz", f"smplh/SMPLH_{large}.npz", f"SMPLH_{large}.npz",
            f"smplx/SMPLX_{large}.npz", f"SMPLX_{large}.npz", f"smpl/SMPL_{large}.npz", f"SMPL_{large}.npz",
        ):  # fmt: skip
            if (root / name).is_file():
                return root / name
    raise DataError(
        f"found no body model for gender {gender!r} in {root}, expected e.g. smplh/{gender}/model.npz or "
        f"smplx/SMPLX_{gender.upper()}.npz (.pkl models are never unpickled: get the .npz release)"
    )


def rest_joints(model: Path, betas: Array) -> Array:
    """First 22 joints [22, 3] of a body model at rest, in metres, for shape coefficients [n]. Raises DataError."""
    names = ("v_template", "shapedirs", "J_regressor")
    arrays = read_npz(model, optional=(*names, "kintree_table"), rows=MAX_VERTICES)
    shapes = {name: arrays[name].shape if name in arrays else None for name in names}
    vertices, shaped, weights = (shapes[name] or () for name in names)
    fits = vertices[1:] == (3,) and shaped[:2] == vertices and len(shaped) == 3
    fits = fits and len(weights) == 2 and weights[0] >= BODY_JOINTS and weights[1] == vertices[0]
    if not fits or any(array.dtype.kind not in "fiu" for array in arrays.values()):
        raise DataError(f"{model} is not a body model with v_template, shapedirs and J_regressor of numbers: {shapes}")
    tree = arrays.get("kintree_table")
    if tree is not None and (tree.ndim != 2 or tree[:1, 1:BODY_JOINTS].tolist() != [list(SMPL22.parents[1:])]):
        raise DataError(f"{model} has a different joint tree from SMPL; expected SMPL, SMPL-H or SMPL-X")
    count = min(len(betas), shaped[2])
    regressor = np.asarray(arrays["J_regressor"][:BODY_JOINTS], np.float64)
    directions = arrays["shapedirs"][..., :count]
    moved = np.einsum("jv,vcs,s->jc", regressor, directions, betas[:count], optimize=True)
    return np.asarray(regressor @ arrays["v_template"] + moved)


def joints_from_amass(
    content: Mapping[str, NDArray[Any]], gender: str, fps: float | None, source: Source, meta: Mapping[str, Any]
) -> Clip:
    """A Clip from AMASS arrays: poses [F, >= 66] axis-angle, trans [F, 3], betas [n].

    z up becomes y up by (x, y, z) -> (-x, z, y), which equals HumanML3D's negation of x and swap of y and z.

    Raises ShapeError for arrays of other shapes or with NaN, and DataError without a rate or body model.
    """
    poses, trans = content["poses"], content["trans"]
    betas = np.asarray(content.get("betas", np.zeros(0)))
    fits = poses.ndim == 2 and poses.shape[1] >= 3 * BODY_JOINTS and trans.shape == (len(poses), 3) and betas.ndim <= 2
    if not fits or any(array.dtype.kind not in "fiu" for array in (poses, trans, betas)):
        raise ShapeError(
            f"found poses {poses.shape}, trans {trans.shape}, expected AMASS's (frames, >= 66) and (frames, 3) numbers"
        )
    check_size(len(poses), BODY_JOINTS, source)
    rate = source.fps or fps
    if rate is None:
        raise DataError(
            "found an AMASS motion without mocap_framerate, expected its rate; give it with Source(fps=...)"
        )
    from scipy.spatial.transform import Rotation  # slow to load, and generating does not need it

    model = find_body_model(source.body_models, gender)
    rest = rest_joints(model, betas.reshape(-1).astype(np.float64) if betas.ndim < 2 else betas[0].astype(np.float64))
    steps, parts = rest.copy(), []
    steps[1:] -= rest[list(SMPL22.parents[1:])]
    for start in range(0, len(poses), BLOCK):
        turns = Rotation.from_rotvec(poses[start : start + BLOCK, : 3 * BODY_JOINTS].reshape(-1, 3).astype(np.float64))
        offsets = np.repeat(steps[None], len(turns) // BODY_JOINTS, axis=0)
        offsets[:, 0] += trans[start : start + BLOCK]
        rotations = turns.as_matrix().reshape(-1, BODY_JOINTS, 3, 3)
        parts.append(forward_kinematics(offsets, SMPL22.parents, rotations)[0])
    joints = np.concatenate(parts) if parts else np.zeros((0, BODY_JOINTS, 3))
    about = {**meta, "rig": "AMASS", "body_model": model.name, "gender": gender, "source_fps": float(rate)}
    return clip_from_joints(joints, rate, replace(source, fps=rate), about, usual="z", unit_m=1.0)
