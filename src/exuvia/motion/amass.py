"""AMASS motions: body-model poses -> 22 SMPL joints, z up turned to y up.

Joints need only the model's template, shape directions and joint regressor; blend skinning never moves them:
joints = regressor (template + shapes betas), then forward kinematics of the poses.   Eq. 10 [loper2015smpl]
The models are licensed and not part of Exuvia; get them at https://smpl.is.tue.mpg.de, https://mano.is.tue.mpg.de
(SMPL-H) or https://smpl-x.is.tue.mpg.de, as .npz.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import DataError, ShapeError
from exuvia.motion.chain import forward_kinematics
from exuvia.motion.clip import Clip
from exuvia.motion.mapping import clip_from_joints
from exuvia.motion.skeleton import SMPL22
from exuvia.motion.source import Source
from exuvia.shapes import Array

BODY_JOINTS = 22
MODELS_VARIABLE = "SMPL_MODELS"


def find_body_model(folder: str | Path | None, gender: str) -> Path:
    """The body model of a gender: the file given, or the first of the usual names in the folder given.

    Args:
        folder: file or folder; None reads the environment variable SMPL_MODELS
    Raises:
        DataError: none there; the message says what to get and where to put it.
    """
    named = folder or os.environ.get(MODELS_VARIABLE)
    if not named:
        raise DataError(
            "found an AMASS motion, which needs a licensed body model; get SMPL-H (mano.is.tue.mpg.de) or SMPL-X "
            f"as .npz and name its folder with Source(body_models=...) or the variable {MODELS_VARIABLE}"
        )
    root = Path(named)
    if root.is_file():
        return root
    for who in dict.fromkeys((gender, "neutral")):
        large = who.upper()
        for name in (
            f"smplh/{who}/model.npz", f"{who}/model.npz", f"smplh/SMPLH_{large}.npz", f"SMPLH_{large}.npz",
            f"smplx/SMPLX_{large}.npz", f"SMPLX_{large}.npz", f"smpl/SMPL_{large}.npz", f"SMPL_{large}.npz",
        ):  # fmt: skip
            if (root / name).is_file():
                return root / name
    raise DataError(
        f"found no body model for gender {gender!r} in {root}, expected e.g. smplh/{gender}/model.npz or "
        f"smplx/SMPLX_{gender.upper()}.npz (.pkl models are never unpickled: get the .npz release)"
    )


def rest_joints(model: Path, betas: Array) -> Array:
    """The first 22 joints [22, 3] of a body model in its rest pose, metres, for shape coefficients betas [n].

    Raises:
        DataError: the file is no body model.
    """
    try:
        with np.load(model, allow_pickle=False) as archive:
            template, shapes, regressor = (archive[key] for key in ("v_template", "shapedirs", "J_regressor"))
            parents = archive["kintree_table"][0, 1:BODY_JOINTS] if "kintree_table" in archive.files else None
        count = min(len(betas), shapes.shape[-1])
        regressor = np.asarray(regressor[:BODY_JOINTS], np.float64)
        joints = regressor @ template + np.einsum(
            "jv,vcs,s->jc", regressor, shapes[..., :count], betas[:count], optimize=True
        )
        if joints.shape != (BODY_JOINTS, 3):
            raise ValueError(f"joints of shape {joints.shape}")
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(
            f"{model} is no body model with v_template, shapedirs and J_regressor ({str(error)[:60]})"
        ) from None
    if parents is not None and [int(p) for p in parents] != list(SMPL22.parents[1:]):
        raise DataError(f"{model} has another joint tree than SMPL; expected SMPL, SMPL-H or SMPL-X")
    return joints


def joints_from_amass(
    content: Mapping[str, NDArray[Any]], gender: str, fps: float | None, source: Source, meta: Mapping[str, Any]
) -> Clip:
    """A Clip from AMASS arrays: poses [F, >= 66] axis-angle, trans [F, 3], betas [n].

    z up becomes y up by (x, y, z) -> (-x, z, y): what HumanML3D's swap of y and z amounts to after its negation of x.
    Raises:
        ShapeError: arrays of another shape, or NaN.
        DataError: no rate, or no body model.
    """
    poses, trans = content["poses"], content["trans"]
    betas = np.asarray(content.get("betas", np.zeros(0)))
    fits = poses.ndim == 2 and poses.shape[1] >= 3 * BODY_JOINTS and trans.shape == (len(poses), 3) and betas.ndim <= 2
    if not fits or any(array.dtype.kind not in "fiu" for array in (poses, trans, betas)):
        raise ShapeError(
            f"found poses {poses.shape}, trans {trans.shape}, expected AMASS's (frames, >= 66) and (frames, 3) numbers"
        )
    rate = source.fps or fps
    if rate is None:
        raise DataError(
            "found an AMASS motion without mocap_framerate, expected its rate; give it with Source(fps=...)"
        )
    from scipy.spatial.transform import Rotation  # slow to load, and generating does not need it

    model = find_body_model(source.body_models, gender)
    rest = rest_joints(model, betas.reshape(-1).astype(np.float64) if betas.ndim < 2 else betas[0].astype(np.float64))
    frames = len(poses)
    offsets = np.broadcast_to(rest, (frames, BODY_JOINTS, 3)).copy()
    offsets[:, 1:] -= rest[list(SMPL22.parents[1:])]
    offsets[:, 0] += trans
    turns = Rotation.from_rotvec(poses[:, : 3 * BODY_JOINTS].reshape(-1, 3).astype(np.float64))
    rotations = turns.as_matrix().reshape(frames, BODY_JOINTS, 3, 3)
    joints, _ = forward_kinematics(offsets, SMPL22.parents, rotations)
    told = {**meta, "rig": "AMASS", "body_model": model.name, "gender": gender, "source_fps": float(rate)}
    return clip_from_joints(joints, rate, Source(fps=rate, unit_m=source.unit_m or 1.0, up="z"), told)
