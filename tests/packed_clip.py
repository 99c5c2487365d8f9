"""Reading a clip that was packed for a page, like the player does."""

import base64
from typing import Any

import numpy as np

from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints


def unpack_joints(packed: dict[str, Any]) -> Joints:
    """Joints [F, 22, 3], metres, of a packed clip."""
    steps = np.frombuffer(base64.b64decode(packed["joints"], validate=True), "<i2")
    joints = steps.reshape(packed["frames"], SMPL22.num_joints, 3) * packed["scale"] + np.asarray(packed["centre"])
    return joints.astype(np.float32)
