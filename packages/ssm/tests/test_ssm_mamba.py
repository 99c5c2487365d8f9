"""Mamba and S6: parity, step by step = whole, pieces, masks, gradients, precision, official names, messages."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.layer import RealSteps
from exuvia_ssm.mamba.causal_convolution import causal_convolution, convolution_step
from exuvia_ssm.mamba.mamba import S6, Mamba, MambaState

LAYERS: dict[str, Any] = {"s6": S6, "mamba": Mamba}
both = pytest.mark.parametrize("kind", LAYERS)


def layer(kind: str, width: int = 6, seed: int = 0, **options: Any) -> Any:
    """A layer whose every parameter matters: D, biases and A moved away from their first values."""
    torch.manual_seed(seed)
    model = LAYERS[kind](width, **({"d_state": 4} | options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.dt_proj.bias.add_(3)
    return model


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def streamed(model: Any, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    state = model.initial_state(x.shape[0]) if state is None else state
    outputs = []
    for t in range(x.shape[1]):
        y, state = model.step(x[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def close(a: Any, b: Any, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def masks() -> dict[str, Tensor]:
    """Masks [3, 9] of every pattern; each has a row without any real step."""
    right = torch.arange(9) < torch.tensor([[9], [5], [0]])
    holes = torch.tensor([[1, 0, 1, 1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 1, 1, 0, 0], [0] * 9]).bool()
    return {"right": right, "left": right.flip(1), "holes": holes}


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(sorted(LAYERS)),
    length=st.integers(0, 40),
    batch=st.integers(0, 3),
    width=st.integers(1, 7),
    states=st.integers(1, 9),
    conv=st.integers(1, 6),
    cut=st.floats(0, 1),
)
def test_whole_pieces_and_steps_agree(
    kind: str, length: int, batch: int, width: int, states: int, conv: int, cut: float
) -> None:
    model = layer(kind, width, d_state=states, **({"d_conv": conv, "bias": True} if kind == "mamba" else {}))
    x = noise(batch, length, width)
    with torch.no_grad():
        y, state = model(x, return_state=True)
        assert y.shape == x.shape
        close(model(x), y)
        middle = round(cut * length)
        first, carried = model(x[:, :middle], return_state=True)
        second, final = model(x[:, middle:], state=carried, return_state=True)
        close(torch.cat((first, second), 1), y)
        close(final, state)
        if length and batch:
            close(streamed(model, x), (y, state))


@both
def test_layers_have_the_common_face(kind: str) -> None:
    model = layer(kind)
    assert model.config.d_model == 6
    close(model(noise(2, 5, 6), state=model.initial_state(2)), model(noise(2, 5, 6)))


@both
@pytest.mark.parametrize("pattern", ["right", "left", "holes"])
def test_only_real_steps_count(kind: str, pattern: str) -> None:
    """The result is that of the sequence without the other steps, whatever stands in them."""
    model, valid = layer(kind, **({"bias": True} if kind == "mamba" else {})), masks()[pattern]
    before = tuple(0.3 * noise(*part.shape, seed=5) for part in model.initial_state(3))
    x = noise(3, 9, 6)
    y, final = model(x, valid, state=before, return_state=True)
    assert not y[~valid].any()
    for b in range(3):
        state = tuple(part[b : b + 1] for part in before)
        alone, end = model(x[b][valid[b]][None], state=state, return_state=True)
        close(y[b][valid[b]][None], alone)
        close(tuple(part[b : b + 1] for part in final), tuple(end))


@both
@pytest.mark.parametrize("pattern", ["right", "left", "holes"])
@pytest.mark.parametrize("junk", [1e30, math.nan, math.inf])
def test_padding_changes_no_output_and_no_gradient(kind: str, pattern: str, junk: float) -> None:
    model, valid = layer(kind), masks()[pattern]

    def run(padding: float) -> list[Tensor]:
        x = noise(3, 9, 6).masked_fill(~valid[..., None], padding).requires_grad_()
        y, state = model(x, valid, return_state=True)
        loss = (y * noise(3, 9, 6, seed=2)).sum() + sum(part.square().sum() for part in state)
        return [y.detach(), *torch.autograd.grad(loss, [x, *model.parameters()])]

    quiet, loud = run(0.0), run(junk)
    assert all(torch.equal(a, b) for a, b in zip(quiet, loud, strict=True))
    assert not loud[1][~valid].any()
    assert loud[1][valid].abs().min() > 0


@both
def test_outputs_do_not_see_later_inputs(kind: str) -> None:
    model, x = layer(kind), noise(1, 12, 6)
    for t in range(12):
        moved = x.clone()
        moved[:, t] += 1
        change = (model(moved) - model(x)).abs().amax((0, 2))
        assert not change[:t].any()
        assert change[t] > 0


@both
def test_gradients_in_double_precision(kind: str) -> None:
    model = layer(kind, 3, d_state=2).double()
    names = [name for name, _ in model.named_parameters()]
    valid = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0]]).bool()
    before = tuple(noise(*part.shape, seed=3, dtype=torch.float64) for part in model.initial_state(2))

    def run(x: Tensor, *rest: Tensor) -> Any:
        parameters = dict(zip(names, rest[len(before) :], strict=True))
        call = (x, valid, rest[: len(before)], True)
        y, state = torch.func.functional_call(model, parameters, call)
        return y, *state

    inputs = [noise(2, 5, 3, dtype=torch.float64), *before, *(p.detach().clone() for p in model.parameters())]
    assert torch.autograd.gradcheck(run, [value.requires_grad_() for value in inputs], fast_mode=True)


def test_second_derivatives_in_double_precision() -> None:
    model = layer("mamba", 2, d_state=2, backend="reference").double()
    x = noise(1, 4, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(model, [x], fast_mode=True)


@both
def test_same_gradients_every_time(kind: str) -> None:
    model, valid = layer(kind, 16), masks()["holes"]

    def run() -> tuple[Tensor, ...]:
        x = noise(3, 9, 16).requires_grad_()
        return torch.autograd.grad(model(x, valid).square().sum(), [x, *model.parameters()])

    torch.set_deterministic_debug_mode("error")
    try:
        assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
    finally:
        torch.set_deterministic_debug_mode("default")


@both
def test_autocast_is_close_to_single_precision(kind: str) -> None:
    model, x = layer(kind, 16, seed=3), noise(2, 30, 16).requires_grad_()
    y, state = model(x, return_state=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, low_state = model(x, return_state=True)
        step, _ = model.step(x[:, 0], model.initial_state(2))
    assert low_state.ssm.dtype == torch.float32
    scale = y.detach().abs().max()
    assert (low - y).abs().max() < 0.04 * scale
    assert (step - y[:, 0]).abs().max() < 0.04 * scale
    assert (low_state.ssm - state.ssm).abs().max() < 0.04 * state.ssm.detach().abs().max()
    want = torch.autograd.grad(y.square().sum(), [x, *model.parameters()])
    got = torch.autograd.grad(low.float().square().sum(), [x, *model.parameters()])
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.1 * b.norm()


@both
def test_layers_in_bfloat16(kind: str) -> None:
    model, x = layer(kind, 16, seed=3), noise(2, 30, 16)
    with torch.no_grad():
        y = model(x)
        low, state = model.bfloat16()(x.bfloat16(), return_state=True)
        stepped, _ = streamed(model, x.bfloat16())
    assert low.dtype == torch.bfloat16
    assert state.ssm.dtype == torch.float32
    assert (low - y).abs().max() < 0.08 * y.abs().max()
    assert (stepped - low).abs().max() < 0.08 * y.abs().max()


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@both
@pytest.mark.usefixtures("whole_graph")
def test_compiles_as_one_graph(kind: str, backend: str) -> None:
    model, valid = layer(kind), masks()["holes"]

    def run(call: Any) -> list[Tensor]:
        x = noise(3, 9, 6).requires_grad_()
        y, state = call(x, valid, return_state=True)
        return [y, *state, *torch.autograd.grad(y.square().sum(), [x, *model.parameters()])]

    close(run(torch.compile(model, fullgraph=True, backend=backend)), run(model))


def test_official_names_and_shapes_load() -> None:
    """A state dictionary as mamba_simple.py writes it, d_model = 24."""
    model = Mamba(24)
    shapes = {
        "A_log": (48, 16),
        "D": (48,),
        "in_proj.weight": (96, 24),
        "conv1d.weight": (48, 1, 4),
        "conv1d.bias": (48,),
        "x_proj.weight": (2 + 32, 48),
        "dt_proj.weight": (48, 2),
        "dt_proj.bias": (48,),
        "out_proj.weight": (24, 48),
    }
    model.load_state_dict({name: noise(*shape) for name, shape in shapes.items()}, strict=True)
    assert torch.equal(model.A_log, noise(48, 16))


@both
def test_first_values_are_the_official_ones(kind: str) -> None:
    torch.manual_seed(0)
    model = LAYERS[kind](64, dt_rank=4)
    assert torch.equal(model.A_log[3].exp().round(), torch.arange(1.0, 17.0))
    assert torch.equal(model.D, torch.ones_like(model.D))
    sizes = torch.nn.functional.softplus(model.dt_proj.bias)
    assert 0.00099 <= sizes.min() < 0.003
    assert 0.03 < sizes.max() <= 0.101
    assert model.dt_proj.weight.abs().max() <= 4**-0.5
    constant = LAYERS[kind](64, dt_init="constant", dt_scale=2.0, dt_rank=4)
    assert torch.equal(constant.dt_proj.weight, torch.ones_like(constant.dt_proj.weight))


def test_step_sizes_are_those_of_the_scan() -> None:
    """An S6 with one state, A = -1: the state decays by exp(-Delta) where the input is passed no further."""
    model, valid = layer("s6", 3, d_state=1), masks()["holes"]
    x = noise(3, 9, 3)
    sizes = model.step_sizes(x, valid)
    assert sizes.shape == x.shape
    assert (sizes[valid] > 0).all()
    assert not sizes[~valid].any()
    with torch.no_grad():
        model.A_log.zero_()
        model.x_proj.weight[model.config.rank : model.config.rank + 1].zero_()  # B = 0
        _, state = model(x, valid, state=(torch.ones(3, 3, 1),), return_state=True)
    close(state.ssm.squeeze(-1), torch.exp(-model.step_sizes(x, valid).sum(1)))


def test_step_sizes_of_a_block_continue_from_a_state() -> None:
    model, x = layer("mamba"), noise(2, 11, 6)
    _, state = model(x[:, :5], return_state=True)
    sizes = model.step_sizes(x)
    assert sizes.shape == (2, 11, 12)
    close(model.step_sizes(x[:, 5:], state=state), sizes[:, 5:])


@both
def test_messages(kind: str) -> None:
    model = layer(kind)
    state = model.initial_state(2)
    x = noise(2, 5, 6)
    for call in (
        lambda: model(noise(2, 5, 7)),
        lambda: model(noise(5, 6)),
        lambda: model(x.long()),
        lambda: model(x.double()),
        lambda: model(x, torch.ones(2, 5)),
        lambda: model(x, torch.ones(2, 4, dtype=torch.bool)),
        lambda: model(x, state=model.initial_state(3)),
        lambda: model(x, state=state[:-1]),
        lambda: model(x, state=torch.zeros(2, 6, 4)),
        lambda: model.step(x, state),
        lambda: model.step(noise(3, 6), state),
        lambda: model.step_sizes(noise(5, 6)),
    ):
        with pytest.raises(ShapeError, match=r"expected|convert"):
            call()


@pytest.mark.parametrize(
    "options",
    [
        {"d_states": 4},
        {"d_state": 0},
        {"dt_rank": 0},
        {"dt_rank": "many"},
        {"dt_init": "zero"},
        {"dt_min": 0.2},
        {"d_conv": 0},
        {"expand": 0},
    ],
)
def test_settings_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Mamba(8, **options)


def test_inputs_need_not_be_contiguous() -> None:
    model, x = layer("mamba"), noise(6, 9, 3)
    close(model(x.permute(2, 1, 0)), model(x.permute(2, 1, 0).contiguous()))


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 7),
    channels=st.integers(1, 5),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    carried=st.booleans(),
)
def test_convolution_by_rows_and_by_steps(width: int, channels: int, lengths: list[int], carried: bool) -> None:
    x, weight, bias = noise(len(lengths), 12, channels), noise(channels, width, seed=2), noise(channels, seed=3)
    state = noise(len(lengths), channels, width, seed=4) if carried else None
    y, final = causal_convolution(x, weight, bias, state, torch.tensor(lengths), return_state=True)
    assert final is not None
    running = torch.zeros(len(lengths), channels, width) if state is None else state
    for b, length in enumerate(lengths):
        row = running[b : b + 1]
        for t in range(length):
            y_t, row = convolution_step(x[b : b + 1, t], weight, bias, row)
            close(y[b, t], y_t[0])
        close(final[b], row[0])


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=4), reverse=st.booleans())
def test_packing_keeps_the_order_and_comes_back(rows: list[list[bool]], reverse: bool) -> None:
    valid, x = torch.tensor(rows), noise(len(rows), 7, 2)
    steps = RealSteps.of(valid, reverse)
    packed = steps.pack(x)
    for b, row in enumerate(valid):
        real = x[b][row].flip(0) if reverse else x[b][row]
        assert torch.equal(packed[b, : len(real)], real)
        assert not packed[b, len(real) :].any()
    assert torch.equal(steps.unpack(packed), x * valid[..., None])
    assert torch.equal(RealSteps.of(steps.packed).lengths, steps.lengths)


def test_states_may_be_plain_tuples() -> None:
    model, x = layer("mamba"), noise(2, 5, 6)
    _, state = model(x, return_state=True)
    assert isinstance(state, MambaState)
    close(model(x, state=tuple(state)), model(x, state=state))
