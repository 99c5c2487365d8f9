"""SeRpEnt over the layers of the package: each branch an S4D, S6 or Mamba, alone, streamed, padded and compiled."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exuvia_ssm.serpent.serpent import SeRpEnt

NAMES = ["s4d", "s6", "mamba"]
TRANSFORMS = {"s4d"}
"""Layers that may go through a Fourier transform: causal up to rounding only."""


def layer(ssm: str, d_model: int = 16, seed: int = 0, **options: Any) -> SeRpEnt:
    torch.manual_seed(seed)
    return SeRpEnt(d_model, ssm=ssm, ssm_options={"d_state": 4}, **options)


def data(batch: int = 2, length: int = 29, d_model: int = 16, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, length, d_model, generator=torch.Generator().manual_seed(3), dtype=dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_output_sees_a_later_input(name: str, dtype: torch.dtype) -> None:
    model, x = layer(name, interval_bias=-1.0).to(dtype), data(dtype=dtype)
    valid = torch.ones(2, 29, dtype=torch.bool)
    valid[1, 25:] = False
    with torch.no_grad():
        before = model(x, valid)
        for t in range(25):
            changed = x.clone()
            changed[:, t] += 2.0
            after = model(changed, valid)
            if name in TRANSFORMS:
                assert torch.allclose(after[:, :t], before[:, :t], atol=1e-5 if dtype == torch.float32 else 1e-13)
            else:
                assert torch.equal(after[:, :t], before[:, :t]), f"element {t} moves something before it"
            assert not torch.equal(after[:, t], before[:, t])


@pytest.mark.parametrize("name", NAMES)
def test_streaming_equals_the_parallel_form(name: str) -> None:
    model, x = layer(name, interval_bias=-1.0).double(), data()
    whole, last = model(x, return_state=True)
    state, out = model.initial_state(2), []
    for t in range(9):
        y, state = model.step(x[:, t], state)
        out.append(y)
    y, state = model(x[:, 9:20], state=state, return_state=True)
    out.extend(y.unbind(1))
    y, state = model(x[:, 20:], state=state, return_state=True)
    out.extend(y.unbind(1))
    assert torch.allclose(torch.stack(out, 1), whole, atol=1e-11)
    assert torch.equal(state.ticks, last.ticks)
    assert torch.allclose(state.held, last.held, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_padding_cannot_change_a_real_output(name: str) -> None:
    model, x = layer(name).double(), data(3)
    valid = torch.rand(3, 29, generator=torch.Generator().manual_seed(1)) < 0.6
    valid[2] = False
    y = model(x, valid)
    assert torch.equal(model(torch.where(valid.unsqueeze(-1), x, torch.nan), valid), y)
    for b in range(2):
        assert torch.allclose(model(x[b : b + 1, valid[b]])[0], y[b, valid[b]], atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_one_rate_of_one_is_the_plain_layer_and_the_skip(name: str) -> None:
    model = layer(name, rates=(1.0,), K=1, expansion="none", mix="none", combine="none")
    x = data(dtype=torch.float32)
    assert torch.equal(model(x), x + model.layers[0](x))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = layer(name)
    model(data(dtype=torch.float32)).square().sum().backward()
    for parameter, p in model.named_parameters():
        assert p.grad is not None, parameter
        assert bool(p.grad.isfinite().all()), parameter
        assert float(p.grad.abs().sum()) > 0, parameter


@pytest.mark.parametrize("name", NAMES)
def test_autocast(name: str) -> None:
    model, x = layer(name), data(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    y.float().sum().backward()
    assert torch.allclose(y.float(), model(x), atol=0.15)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name: str) -> None:
    model, x = layer(name).bfloat16(), data(dtype=torch.bfloat16)
    y, state = model(x, return_state=True)
    assert y.dtype == torch.bfloat16
    assert bool(y.isfinite().all())
    assert state.ticks.dtype == torch.int64
    y_t, _ = model.step(x[:, 0], state)
    assert y_t.dtype == torch.bfloat16


class Gain(nn.Module):
    """A layer without memory, cheap to trace."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        return x * self.gain


@pytest.mark.usefixtures("whole_graph")
def test_compiled_with_one_graph_break() -> None:
    torch.manual_seed(0)
    model, x = SeRpEnt(8, ssm=Gain, rates=(0.4,)), data(2, 40, 8, torch.float32)
    graphs = []

    def count(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        graphs.append(graph)
        return graph.forward

    y = torch.compile(model, backend=count)(x)
    assert torch.allclose(y, model(x), atol=1e-6)
    assert len(graphs) <= 2
