"""S4D: parity, step by step = whole, states, masks, gradients, precision, messages."""

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exuvia_ssm import S4D
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.s4d import diagonal_scan
from exuvia_ssm.s4d.s4d import S4DState, optim_groups

pytestmark = pytest.mark.filterwarnings("ignore:.*complex operators.*")


def layer(width: int = 5, seed: int = 0, **options: Any) -> S4D:
    torch.manual_seed(seed)
    return S4D(width, **({"d_state": 8} | options))


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def streamed(model: S4D, x: Tensor, state: S4DState | None = None) -> tuple[Tensor, S4DState]:
    state = state or model.initial_state(x.shape[0])
    outputs = []
    for t in range(x.shape[1]):
        y, state = model.step(x[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def close(a: Any, b: Any, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 150),
    batch=st.integers(1, 3),
    width=st.integers(1, 4),
    states=st.sampled_from([2, 6, 16]),
    rule=st.sampled_from(["zoh", "bilinear"]),
    start=st.sampled_from(["lin", "legs", "inv", "real"]),
    output=st.sampled_from(["glu", "none"]),
    cut=st.floats(0, 1),
)
def test_whole_pieces_and_steps_agree(
    length: int, batch: int, width: int, states: int, rule: str, start: str, output: str, cut: float
) -> None:
    model = layer(width, d_state=states, discretization=rule, init=start, output=output).eval()
    x = noise(batch, length, width)
    with torch.no_grad():
        y, state = model(x, return_state=True)
        close(model(x), y)  # by FFT
        middle = round(cut * length)
        first, carried = model(x[:, :middle], return_state=True)
        second, final = model(x[:, middle:], state=carried, return_state=True)
        close(torch.cat((first, second), 1), y)
        close(final, state)
        close(model(x[:, middle:], state=carried), second)
        steps, stepped = streamed(model, x)
        close(steps, y)
        close(stepped, state)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), length=st.integers(1, 100), method=st.sampled_from(["fft", "chunked"]))
def test_padding_changes_nothing(data: st.DataObject, length: int, method: str) -> None:
    """Left, right and inner padding, filled with anything: outputs, states and gradients of the real steps stay."""
    model = layer(3, method=method, output="glu")
    valid = torch.tensor(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    x = noise(1, length, 3)
    real = x[:, valid].clone().requires_grad_()
    filled = torch.where(valid[:, None], x, torch.nan).requires_grad_()
    weights, state_weights = noise(1, length, 3, seed=2), noise(1, 3, 4, 2, seed=3)
    parameters = list(model.parameters())

    def gradients(x: Tensor, mask: Tensor | None, weights: Tensor) -> tuple[Any, ...]:
        y, state = model(x, mask, return_state=True)
        alone = model(x, mask)
        total = (y * weights).sum() + (alone * weights).sum() + (torch.view_as_real(state.h) * state_weights).sum()
        return y, alone, state.h, torch.autograd.grad(total, [x, *parameters])

    y, alone, state, grads = gradients(filled, valid[None], weights)
    y_real, alone_real, state_real, grads_real = gradients(real, None, weights[:, valid])
    close((y[:, valid], alone[:, valid], state), (y_real, alone_real, state_real))
    assert not y[:, ~valid].any()
    assert not alone[:, ~valid].any()
    close(grads[0][:, valid], grads_real[0], 1e-3)
    assert not grads[0][:, ~valid].any()
    close(grads[1:], grads_real[1:], 1e-3)


def test_rows_of_different_lengths_end_at_their_own_last_step() -> None:
    model, x = layer().eval(), noise(4, 90, 5)
    lengths = [90, 64, 1, 0]
    valid = torch.arange(90) < torch.tensor(lengths)[:, None]
    entering = S4DState(torch.view_as_complex(noise(4, 5, 4, 2, seed=5)))
    _, final = model(x, valid, state=entering, return_state=True)
    for row, length in enumerate(lengths):
        before = S4DState(entering.h[row : row + 1])
        _, alone = model(x[row : row + 1, :length], state=before, return_state=True)
        close(final.h[row : row + 1], alone.h)
    close(final.h[3], entering.h[3])


@pytest.mark.parametrize("return_state", [False, True])
def test_no_steps_and_no_rows(return_state: bool) -> None:
    model = layer()
    for shape in ((2, 0, 5), (0, 7, 5)):
        out = model(torch.zeros(shape), return_state=return_state)
        assert (out[0] if return_state else out).shape == shape
    entering = S4DState(torch.view_as_complex(noise(2, 5, 4, 2)))
    _, final = model(torch.zeros(2, 0, 5), state=entering, return_state=True)
    close(final, entering)
    (grad,) = torch.autograd.grad(model(x := torch.zeros(2, 0, 5, requires_grad=True)).sum(), x)
    assert grad.shape == (2, 0, 5)


@pytest.mark.parametrize("method", ["fft", "chunked"])
def test_gradients_in_double_precision(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diagonal_scan._SEGMENT, "cpu", 2 * 2 * 16)  # several segments
    model = layer(2, d_state=4, method=method).double()
    x = noise(2, 37, 2, dtype=torch.float64).requires_grad_()
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)
    valid = torch.arange(37) < torch.tensor([37, 20])[:, None]

    def outputs(x: Tensor, h: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(names, values, strict=True))
        if method == "fft":
            return (torch.func.functional_call(model, named, (x, valid)),)
        state = S4DState(torch.view_as_complex(h))
        y, final = torch.func.functional_call(model, named, (x, valid, state, True))
        return y, torch.view_as_real(final.h)

    h = noise(2, 2, 2, 2, dtype=torch.float64).requires_grad_(method == "chunked")
    assert torch.autograd.gradcheck(outputs, (x, h, *values), fast_mode=True)


def test_causal() -> None:
    model, x = layer().eval(), noise(1, 70, 5)
    changed = x.clone()
    changed[:, 33] += 1
    for arguments in ({}, {"return_state": True}):
        a, b = (out[0] if arguments else out for out in (model(x, **arguments), model(changed, **arguments)))
        close(a[:, :33], b[:, :33])
        assert (a[:, 33:] != b[:, 33:]).any(-1).all()


def test_half_the_interval_for_twice_the_samples() -> None:
    """An input held for two samples at half the interval gives the same values at shared instants (exact for ZOH)."""
    model, x = layer(output="none").eval(), noise(1, 60, 5)
    with torch.no_grad():
        model.D.zero_()
        fine = model(x.repeat_interleave(2, 1), rate=0.5)[:, 1::2]
        close(fine, model(x), 1e-4)
        steps = model.step(x[:, 0], model.initial_state(1), rate=0.5)[0]
        close(steps, model(x[:, :1], rate=0.5)[:, 0])


def test_real_poles_stay_real() -> None:
    model = layer(init="real")
    assert "kernel.A_imag" not in dict(model.named_parameters())
    model(noise(1, 9, 5)).sum().backward()
    assert not model.kernel.C.grad[..., 1].any()
    model.load_state_dict(layer(init="real", seed=3).state_dict())


def test_kept_tables_follow_the_parameters() -> None:
    model, x = layer(d_state=4).eval(), noise(1, 200, 5)
    for change in (
        lambda: model.kernel.log_dt.add_(0.3),
        lambda: model.load_state_dict(layer(d_state=4, seed=9).state_dict()),
        lambda: model.double().float(),
    ):
        with torch.no_grad():
            before = model(x), model(x, return_state=True)[0], model.step(x[:, 0], model.initial_state(1))[0]
            change()
            after = model(x), model(x, return_state=True)[0], model.step(x[:, 0], model.initial_state(1))[0]
            fresh = layer(d_state=4)
            fresh.load_state_dict(model.state_dict())
            close(after, (fresh(x), fresh(x, return_state=True)[0], fresh.step(x[:, 0], fresh.initial_state(1))[0]))
            del before
    assert len(pickle.dumps(model)) < 20_000
    with torch.inference_mode():
        kept = model(x)
    close(model(x), kept)  # outside, with gradients


def test_dropout_is_the_same_at_every_step_and_absent_from_steps() -> None:
    model = layer(64, dropout=0.5)
    hidden: list[Tensor] = []
    handle = model.output_linear[0].weight
    with torch.no_grad():
        handle.zero_()
        handle[:64, :, 0] = torch.eye(64)
        model.output_linear[0].bias.fill_(0)
        model.output_linear[0].bias[64:] = 100.0
        hidden.append(model(noise(1, 20, 64)))
        x = noise(1, 1, 64)
        close(model.step(x[:, 0], model.initial_state(1))[0], model.eval()(x)[:, 0])
    dropped = (hidden[0] == 0).all(1)
    assert 10 < dropped.sum() < 54
    assert (hidden[0] != 0).any(1).logical_or(dropped).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_computed_in_float32(dtype: torch.dtype) -> None:
    model = layer(output="none")
    x = noise(2, 50, 5).to(dtype)
    y, state = model(x, return_state=True)
    assert (y.dtype, state.h.dtype) == (dtype, torch.complex64)
    close(y, model(x.float()).to(dtype), 1e-2)
    assert model.step(x[:, 0], model.initial_state(2))[0].dtype == dtype


def test_autocast_touches_the_output_map_only() -> None:
    model, x = layer(), noise(2, 50, 5).requires_grad_()
    plain = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = model(x, return_state=True)
        model(x).float().sum().backward()
    close(y.float(), plain, 3e-2)
    close(state, model(x, return_state=True)[1])
    assert x.grad is not None


def test_values_that_are_not_finite_stay_in_their_row_and_channel() -> None:
    model, x = layer(output="none", method="chunked").eval(), noise(2, 90, 5)
    clean = model(x)
    x[0, 70, 2] = torch.inf
    y = model(x)
    keep = torch.ones_like(y, dtype=torch.bool)
    keep[0, :, 2] = False
    close(y[keep], clean[keep])
    assert not y[0, 70:, 2].isfinite().any()


def test_slow_parameters_of_a_whole_model() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), layer(), layer(init="real"))
    fast, slow = optim_groups(model, lr=0.01, weight_decay=0.05)
    assert (fast["lr"], fast["weight_decay"], slow["lr"], slow["weight_decay"]) == (0.01, 0.05, 0.001, 0.0)
    assert len(slow["params"]) == 3 + 2
    assert len(fast["params"]) + len(slow["params"]) == len(list(model.parameters()))
    torch.optim.AdamW([fast, slow])
    assert layer().optim_groups(1e-4, 0.0)[1]["lr"] == 1e-4


def test_it_learns_a_delay() -> None:
    torch.manual_seed(0)
    model = S4D(4, d_state=16, output="none", dt_min=0.05, dt_max=0.3)
    optimiser = torch.optim.AdamW(model.optim_groups(0.03, 0.0, ssm_lr=0.03))
    losses = []
    for step in range(120):
        x = noise(8, 40, 4, seed=step)
        loss = (model(x)[:, 3:] - x[:, :-3]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"d_state": 7}, "even number"),
        ({"init": "linn"}, "did you mean 'lin'"),
        ({"discretization": "euler"}, "discretization 'euler'"),
        ({"output": "gelu"}, "output"),
        ({"method": "loop"}, "method"),
        ({"dt_min": 0.5}, "dt_min"),
        ({"dropout": 1.0}, "dropout"),
        ({"width": 3}, "width"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        S4D(4, **options)


def test_inputs_that_do_not_fit() -> None:
    model, x = layer(), noise(2, 6, 5)
    for wrong in (x[0], x[..., :4], x.long()):
        with pytest.raises(ShapeError):
            model(wrong)
    for valid in (torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 6)):
        with pytest.raises(ShapeError):
            model(x, valid)
    for h in (torch.zeros(2, 5, 4), torch.zeros(1, 5, 4, dtype=torch.complex64)):
        with pytest.raises(ShapeError, match="initial_state"):
            model(x, state=S4DState(h))
    for state in (torch.zeros(2, 5, 4, dtype=torch.complex64), (), (1, 2)):
        with pytest.raises(ShapeError, match="initial_state"):
            model(x, state=state)
    with pytest.raises(ShapeError):
        model.step(x, model.initial_state(2))
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="rate"):
            model(x, rate=rate)


@pytest.mark.parametrize("output", ["glu", "none"])
def test_weights_of_another_dtype_than_the_input(output: str) -> None:
    model, x = layer(output=output), noise(2, 20, 5)
    plain = model(x)
    assert model(x.double()).dtype == torch.float64
    close(model(x.double()).float(), plain)
    assert model(x.bfloat16()).dtype == torch.bfloat16
    close(model.bfloat16()(x), plain, 0.2)


def test_strided_inputs() -> None:
    model, x = layer(method="chunked"), noise(2, 5, 80).transpose(1, 2)
    close(model(x), model(x.contiguous()))
