"""Parity of features and rotations with the official processing (cases 01_*)."""

from typing import Any

import numpy as np

from exuvia.features import representation as back
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.kit import KIT
from exuvia.features.normaliser import Normaliser
from exuvia.features.representation import FrameBatch
from exuvia.motion.chain import qbetween
from lab.parity import rotation
from lab.parity.case import Case


def encode(case: Case) -> dict[str, Any]:
    """joints -> canonical joints, features, and joints again (HumanML3D or KIT)."""
    kind = KIT if case.config["kind"] == "kit" else HUMANML3D
    joints, offsets = case.tensors["in.joints"], case.tensors["in.tgt_offsets"]
    features = kind.encode([joints], offsets)[0]
    scene = FrameBatch([joints], kind)
    scene.retarget(np.linalg.norm(offsets, axis=-1))
    uniform = np.moveaxis(scene.points, 0, -1).copy()
    scene.stand_at_origin()
    heading_w, heading_y = scene.heading()
    canonical = np.moveaxis(scene.points, 0, -1)
    local = canonical.copy()
    local[..., [0, 2]] -= canonical[:, :1, [0, 2]]
    root = np.zeros((len(joints), 4), np.float32)
    root[:, 0], root[:, 2] = heading_w, heading_y
    ours = {
        "out.features": features,
        "out.global_positions": canonical,
        "out.local_positions": rotation.qrot(root[:, None], local),
        "out.root_vel_xz": features[:, 1:3],
        "mid.uniform_joints": uniform,
        "out.recovered_joints": kind.recover(features),
    }
    if "in.shipped_vecs" in case.tensors:
        ours["out.shipped_recovered"] = kind.recover(case.tensors["in.shipped_vecs"])
    return ours


def recover(case: Case) -> dict[str, Any]:
    """Root, joints by positions and joints by rotations from given rows."""
    features, offsets = case.tensors["in.features"], case.tensors["in.tgt_offsets"]
    quaternion, position = back.recover_root(features)
    return {
        "out.root_quat": quaternion,
        "out.root_pos": position,
        "out.joints_ric": HUMANML3D.recover(features),
        "out.joints_rot": rotation.recover_joints_from_rotations(features[0], HUMANML3D.skeleton, offsets),
    }


def quaternions(case: Case) -> dict[str, Any]:
    """Quaternion and 6-D primitives."""
    t = case.tensors
    return {
        "out.qmul": rotation.qmul(t["in.q"], t["in.r"]),
        "out.qinv": rotation.qinv(t["in.q"]),
        "out.qrot": rotation.qrot(t["in.q"], t["in.a"]),
        "out.qbetween": qbetween(t["in.a"], t["in.b"]),
        "out.matrix": rotation.matrix_from_quaternion(t["in.q"]),
        "out.cont6d": rotation.sixd_from_quaternion(t["in.q"]),
        "out.cont6d_matrix": rotation.matrix_from_sixd(t["in.cont6d"]),
        "out.qfix": rotation.qfix(t["in.q_seq"]),
    }


def statistics(case: Case) -> dict[str, Any]:
    """Mean and group-averaged standard deviation."""
    names = sorted(name for name in case.tensors if name.startswith("in.x"))
    ours = Normaliser.fit((case.tensors[name] for name in names), case.config["joints_num"])
    return {"out.mean": ours.mean, "out.std": ours.std}
