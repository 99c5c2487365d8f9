"""Features -> joints: heading and path are integrated, and the local pose is placed on them.

Source: HumanML3D, motion_representation.ipynb (recover_root_rot_pos, recover_from_ric).
"""

import numpy as np

from exuvia.shapes import Features, Floats, Joints


def recover_root(features: Features) -> tuple[Floats, Floats]:
    """Root quaternions (cos θ, 0, sin θ, 0) [..., F, 4] and positions [..., F, 3] of un-normalised rows [..., F, C].

    The stored yaw velocity is half the yaw step, so its running sum is half the angle of the quaternion's rotation.
    """
    angle = np.zeros(features.shape[:-1], features.dtype)
    angle[..., 1:] = np.cumsum(features[..., :-1, 0], axis=-1)
    quaternion = np.zeros((*features.shape[:-1], 4), features.dtype)
    quaternion[..., 0], quaternion[..., 2] = np.cos(angle), np.sin(angle)
    x = np.zeros_like(angle)
    z = np.zeros_like(angle)
    x[..., 1:], z[..., 1:] = features[..., :-1, 1], features[..., :-1, 2]
    x, z = yawed(x, z, np.cos(2 * angle), -np.sin(2 * angle))
    position = np.stack((np.cumsum(x, axis=-1), features[..., 3], np.cumsum(z, axis=-1)), axis=-1)
    return quaternion, position


def recover_joints(features: Features, num_joints: int) -> Joints:
    """Joints [..., F, J, 3] in metres from the position channels of un-normalised rows; first root at x = z = 0."""
    quaternion, root = recover_root(features)
    angle = np.arctan2(quaternion[..., 2], quaternion[..., 0])[..., None]
    local = features[..., 4 : 4 + 3 * (num_joints - 1)].reshape(*features.shape[:-1], num_joints - 1, 3)
    joints = np.empty((*features.shape[:-1], num_joints, 3), features.dtype)
    x, z = yawed(local[..., 0], local[..., 2], np.cos(2 * angle), -np.sin(2 * angle))
    joints[..., 1:, 0] = x + root[..., 0:1]
    joints[..., 1:, 1] = local[..., 1]
    joints[..., 1:, 2] = z + root[..., 2:3]
    joints[..., 0, :] = root
    return joints


def yawed(x: Floats, z: Floats, cosine: Floats, sine: Floats) -> tuple[Floats, Floats]:
    """x and z rotated about +y by the angle with this cosine and sine."""
    return cosine * x + sine * z, cosine * z - sine * x
