"""The tokenizer's losses in metres, on motions with known faults."""

import numpy as np
import pytest
import torch
from torch import Tensor

from exuvia.features.humanml3d import HUMANML3D
from exuvia.synthetic.dataset import synthesise
from exuvia.tokens.motion_losses import MotionLoss
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import MotionWeights, RVQVAEConfig

SKELETON = HUMANML3D.skeleton
FLAT = np.zeros(263, np.float32), np.ones(263, np.float32)
EACH = MotionWeights(joints=1, path=1, speed=1, bones=1, contact=1, floor=1, turning=1)


def compare(decoded: Tensor, original: Tensor) -> dict[str, float]:
    loss = MotionLoss(EACH, FLAT, SKELETON.parents, HUMANML3D.feet)
    return {name: float(value) for name, value in loss(decoded, original).items()}


@pytest.fixture(scope="module")
def walks() -> Tensor:
    """Features [3, 40, 263] of synthetic clips."""
    clips = [clip.clip.joints for clip in synthesise(12, seed=4) if len(clip.clip.joints) > 41][:3]
    return torch.from_numpy(np.stack([rows[:40] for rows in HUMANML3D.encode(clips)]))


def test_recovered_joints_are_those_of_the_features(walks: Tensor) -> None:
    found = MotionLoss(EACH, FLAT, SKELETON.parents, HUMANML3D.feet).recover(walks)
    wanted = HUMANML3D.recover(walks.numpy())
    assert np.abs((found.joints + found.root).numpy() - wanted).max() < 1e-5


def test_equal_motions_have_no_error_but_their_own_depth_below_the_floor(walks: Tensor) -> None:
    losses = compare(walks, walks)
    assert all(value < 2e-4 for value in losses.values()), losses


@pytest.mark.parametrize(
    ("fault", "seen", "unseen"),
    [
        ("yaw", {"joints", "path", "speed"}, {"bones", "floor", "turning"}),
        ("root", {"path", "speed", "contact"}, {"joints", "bones", "floor", "turning"}),
        ("stretch", {"joints", "bones", "speed"}, {"path", "turning"}),
        ("sink", {"joints", "floor"}, {"path", "bones", "contact", "turning"}),
        ("tremble", {"speed", "joints"}, {"path", "turning"}),
        ("spin", {"turning"}, {"joints", "path", "speed", "bones", "contact", "floor"}),
    ],
)
def test_each_loss_sees_its_own_faults(walks: Tensor, fault: str, seen: set[str], unseen: set[str]) -> None:
    faulty = walks.clone()
    if fault == "yaw":
        faulty[:, :, 0] += 0.01
    elif fault == "root":
        faulty[:, :, 2] += 0.02
    elif fault == "stretch":
        faulty[..., 4:67] *= 1.1
    elif fault == "sink":
        faulty[..., 3] -= 0.1
        faulty[..., 5:67:3] -= 0.1
    elif fault == "tremble":
        faulty[:, ::2, 64:67] += 0.03
    else:
        faulty[:, ::2, 67:193] += 0.1
    base, losses = compare(walks, walks), compare(faulty, walks)
    grown = {name for name in losses if losses[name] > base[name] + 5e-4}
    assert seen <= grown
    assert not unseen & grown


def test_losses_are_added_to_the_published_one_and_have_gradients(walks: Tensor) -> None:
    torch.manual_seed(0)
    model = RVQVAE(RVQVAEConfig(width=8, code_dim=8, num_codes=4, num_quantizers=1)).eval()
    motion = MotionLoss(MotionWeights(bones=0), FLAT, SKELETON.parents, HUMANML3D.feet)
    plain, _ = model.loss(walks, None, joints=22)
    total, parts = model.loss(walks, None, joints=22, motion=motion)
    added = {"joints", "path", "speed", "contact", "floor", "turning"}
    assert added <= set(parts)
    assert "bones" not in parts
    assert torch.isclose(total - plain, torch.stack([parts[name] for name in added]).sum(), atol=1e-5)
    total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.decoder.parameters())
