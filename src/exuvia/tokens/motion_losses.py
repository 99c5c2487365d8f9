"""Losses on the motion that features describe, in metres: joints, path, speed, bone lengths, planted feet, the floor.

The published losses compare normalised features channel by channel. A small error of the yaw velocity then counts as
much as one of a wrist, although it turns the rest of the motion, and no channel says that bones keep their length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from exuvia.shapes import Floats
from exuvia.tokens.settings import MotionWeights


@dataclass(frozen=True)
class Recovered:
    """What un-normalised features [B, F, C] describe, in the frame of the window's start."""

    joints: Tensor
    """[B, F, J, 3], relative to the root over the floor; metres"""
    root: Tensor
    """[B, F, 1, 3]; over the floor only, y = 0; metres"""
    rotations: Tensor
    """[B, F, 6 (J - 1)]"""


class MotionLoss:
    """Compares decoded with original features as motions."""

    def __init__(
        self, weights: MotionWeights, statistics: tuple[Floats, Floats], parents: Sequence[int], feet: Sequence[int]
    ) -> None:
        """Args: weights; mean and std of features [C]; the skeleton's parents; the joints of the contact channels."""
        self.weights, self.parents, self.feet = weights, list(parents), list(feet)
        self.mean, self.std = map(torch.from_numpy, statistics)

    def __call__(self, decoded: Tensor, original: Tensor) -> dict[str, Tensor]:
        """Every loss, times its weight, for normalised features [B, F, C]; those of weight 0 are left out."""
        mean, std = self.mean.to(original.device), self.std.to(original.device)
        ours = self.recover(decoded.float() * std + mean)
        real = self.recover(original.float() * std + mean)
        stands = (original * std + mean)[:, :-1, -len(self.feet) :, None] > 0.5
        moved = torch.diff(ours.joints + ours.root, dim=1)
        movement = torch.diff(real.joints + real.root, dim=1)
        losses = {
            "joints": _length(ours.joints - real.joints).mean(),
            "path": _length(ours.root - real.root).mean(),
            "speed": _length(moved - movement).mean(),
            "bones": (self._bones(ours.joints) - self._bones(real.joints)).abs().mean(),
            "contact": (_length((moved - movement)[:, :, self.feet])[..., None] * stands).mean(),
            "floor": F.relu(-ours.joints[..., 1]).mean(),
            "turning": (torch.diff(ours.rotations, dim=1) - torch.diff(real.rotations, dim=1)).abs().mean(),
        }
        return {name: weight * losses[name] for name, weight in vars(self.weights).items() if weight}

    def _bones(self, joints: Tensor) -> Tensor:
        return _length(joints[..., 1:, :] - joints[..., self.parents[1:], :])

    def recover(self, features: Tensor) -> Recovered:
        """The differentiable form of `features.recover.recover_joints`."""
        count = len(self.parents)
        angle = 2 * F.pad(torch.cumsum(features[:, :-1, 0], dim=1), (1, 0))
        cosine, sine = angle.cos()[..., None], angle.sin()[..., None]

        def turned(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
            return cosine * x - sine * z, cosine * z + sine * x

        local = features[..., 4 : 4 + 3 * (count - 1)].unflatten(-1, (count - 1, 3))
        x, z = turned(local[..., 0], local[..., 2])
        height = features[..., 3:4]
        joints = torch.stack([torch.cat([torch.zeros_like(height), x], -1), torch.cat([height, local[..., 1]], -1),
                              torch.cat([torch.zeros_like(height), z], -1)], dim=-1)  # fmt: skip
        step = F.pad(features[:, :-1, 1:3], (0, 0, 1, 0))
        x, z = turned(step[..., :1], step[..., 1:])
        root = torch.stack([x.cumsum(1), torch.zeros_like(x), z.cumsum(1)], dim=-1)
        end = 4 + 3 * (count - 1)
        return Recovered(joints, root, features[..., end : end + 6 * (count - 1)])


def _length(vectors: Tensor) -> Tensor:
    """Length of vectors [..., 3], with a gradient at 0."""
    return (vectors.square().sum(-1) + 1e-8).sqrt()
