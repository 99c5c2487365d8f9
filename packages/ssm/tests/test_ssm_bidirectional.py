"""Bidirectional layers: two directions by hand, masks, states, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor

from exuvia_ssm.bidirectional import Bidirectional, BidirectionalState
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.mamba.mamba import S6


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(**options: Any) -> Bidirectional:
    torch.manual_seed(0)
    return Bidirectional(4, **({"ssm_options": {"d_state": 3}} | options))


def close(a: Any, b: Any) -> None:
    torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-5)


HOLES = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0], [0] * 6, [1] * 6]).bool()


@pytest.mark.parametrize("ssm", ["mamba", "s6"])
@pytest.mark.parametrize("merge", ["add", "mean", "concat", "linear"])
@pytest.mark.parametrize("share", [False, True])
def test_is_both_directions_by_hand(ssm: str, merge: str, share: bool) -> None:
    model, x = layer(ssm=ssm, merge=merge, share=share), noise(2, 7, 4)
    ahead, back = model.forward_layer(x), model.backward_layer(x.flip(1)).flip(1)
    pair = torch.cat([ahead, back], -1)
    want = {"add": ahead + back, "mean": (ahead + back) / 2, "concat": pair}.get(merge)
    if want is None:
        assert model.output is not None
        want = model.output(pair)
    close(model(x), want)
    assert (model.forward_layer is model.backward_layer) == share


@pytest.mark.parametrize("merge", ["add", "linear"])
@pytest.mark.parametrize("valid", [HOLES, HOLES.sort(1).values, HOLES.sort(1, descending=True).values])
def test_only_real_steps_count(merge: str, valid: Tensor) -> None:
    model, x = layer(merge=merge), noise(4, 6, 4)
    junk = x.masked_fill(~valid[..., None], float("nan")).requires_grad_()
    y = model(junk, valid)
    assert not y[~valid].any()
    for b in range(4):
        close(y[b][valid[b]], model(x[b][valid[b]][None])[0])
    gradients = torch.autograd.grad(y.square().sum(), [junk, *model.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][~valid].any()


def test_states_are_those_of_the_two_layers() -> None:
    model, x = layer(), noise(4, 6, 4)
    y, state = model(x, HOLES, return_state=True)
    close(y, model(x, HOLES, state=model.initial_state(4)))
    assert isinstance(state, BidirectionalState)
    close(state.forward, model.forward_layer(x, HOLES, return_state=True)[1])
    close(state.backward, model.backward_layer(x.flip(1), HOLES.flip(1), return_state=True)[1])
    plain, ends = model(x, return_state=True)
    close(ends.backward, model.backward_layer(x.flip(1), return_state=True)[1])
    assert (model(x, state=ends) - plain).abs().max() > 1e-4


def test_layers_of_one_s_own() -> None:
    model = Bidirectional(4, ssm=lambda width: S6(width, d_state=2))
    assert isinstance(model.forward_layer, S6)
    assert model(noise(2, 0, 4)).shape == (2, 0, 4)
    assert model(noise(2, 1, 4)).shape == (2, 1, 4)


def test_refusals() -> None:
    model = layer()
    with pytest.raises(ConfigError, match="step"):
        model.step(noise(2, 4), model.initial_state(2))
    with pytest.raises(ShapeError, match="pair"):
        model(noise(2, 3, 4), state=model.initial_state(2).forward.ssm)
    with pytest.raises(ShapeError, match="expected"):
        model(noise(2, 3, 5))
    with pytest.raises(ConfigError, match="'add'"):
        layer(merge="adds")
    with pytest.raises(ConfigError, match="mamba"):
        layer(ssm="mambo")
    with pytest.raises(ConfigError, match="ssm_options"):
        layer(ssm=lambda width: S6(width))
    with pytest.raises(ConfigError, match="options"):
        layer(merging="add")
