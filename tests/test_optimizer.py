"""Muon: orthogonal updates of matrices, AdamW for the rest, and resuming."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from exuvia.optimizer import Muon, polar


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 999))
def test_polar_keeps_singular_vectors_and_evens_out_the_values(rows: int, columns: int, seed: int) -> None:
    u, _, vt = np.linalg.svd(np.random.default_rng(seed).normal(size=(rows, columns)), full_matrices=False)
    values = np.linspace(1.0, 0.2, len(vt))
    found = polar(torch.tensor(u * values @ vt, dtype=torch.float64)).numpy()
    left = u.T @ found @ vt.T
    assert np.abs(left - np.diag(np.diag(left))).max() < 1e-6
    assert (np.diag(left) > 0.6).all()
    assert (np.diag(left) < 1.25).all()


def test_matrices_take_steps_of_one_size_and_the_rest_those_of_adamw() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 4, 5), nn.LayerNorm(5))
    plain = nn.Sequential(nn.Conv1d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 4, 5), nn.LayerNorm(5))
    plain.load_state_dict(model.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for net, optimizer in ((model, Muon(model, 0.01)), (plain, torch.optim.AdamW(plain.parameters(), 0.01))):
        net(torch.arange(2 * 3 * 6.0).view(2, 3, 6).sin()).square()[:, :2].sum().backward()
        optimizer.param_groups[0]["weight_decay"] = optimizer.param_groups[-1]["weight_decay"] = 0.0
        optimizer.step()
    for name, value in model.state_dict().items():
        step = value - before[name]
        if value.ndim > 1:
            size = torch.linalg.svdvals(step.flatten(1)) / (0.2 * 0.01 * max(step.flatten(1).shape) ** 0.5)
            assert size.max() < 1.3
            assert size.max() > 0.6
        else:
            assert torch.equal(value, plain.state_dict()[name])


def test_weights_that_need_no_gradient_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = Muon(model, 0.1)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(model[0].weight, before)
    assert all(p.grad is None for p in (model[0].weight, model[1].weight))
