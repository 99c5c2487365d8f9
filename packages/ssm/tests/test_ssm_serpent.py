"""SeRpEnt: no leak from the future, streaming = parallel, padding without effect, and where the gradients go."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.serpent.serpent import SeRpEnt
from exuvia_ssm.serpent.state import SeRpEntState, select_rows


class Decay(nn.Module):
    """The smallest state-space layer: h_t = a h_{t-1} + x_t, y_t = tanh(h_t); rows do not touch one another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.linspace(0.3, 0.9, width))

    def forward(
        self, x: Tensor, valid: Tensor | None = None, state: Tensor | None = None, return_state: bool = False
    ) -> Any:
        h = x.new_zeros(x.shape[0], x.shape[2]) if state is None else state
        out = []
        for t in range(x.shape[1]):
            new = self.a * h + x[:, t]
            h = new if valid is None else torch.where(valid[:, t, None], new, h)
            out.append(torch.tanh(h) if valid is None else torch.tanh(h) * valid[:, t, None])
        y = torch.stack(out, 1) if out else x
        return (y, h) if return_state else y

    def step(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h = self.a * state + x_t
        return torch.tanh(h), h

    def initial_state(self, batch: int, device: Any = None, dtype: Any = None) -> Tensor:
        return torch.zeros(batch, len(self.a), device=device, dtype=dtype or self.a.dtype)


def layer(d_model: int = 6, seed: int = 0, **options: Any) -> SeRpEnt:
    torch.manual_seed(seed)
    options = {"ssm": Decay, "interval_bias": -0.5} | options
    return SeRpEnt(d_model, **options).double()


def data(batch: int = 2, length: int = 23, d_model: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(batch, length, d_model, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


CAUSAL = [
    {},
    {"restore": "blank"},
    {"mix": "depthwise", "branch_width": 6},
    {"mix": "depthwise", "branch_width": 5},
    {"expansion": "none"},
    {"intervals": "uniform"},
    {"rates": (0.25,), "K": 1, "phase": 0.4},
    {"rates": (1.0, 0.05), "K": 5, "skip": False},
]
ANY = [
    *CAUSAL,
    {"neighbours": "nearest", "causal": False},
    {"restore": "linear", "causal": False},
    {"neighbours": "nearest", "restore": "linear", "expansion": "none", "causal": False, "K": 4},
]


@pytest.mark.parametrize("options", CAUSAL)
def test_no_output_sees_a_later_input(options: dict[str, Any]) -> None:
    model, x = layer(**options), data()
    before = model(x)
    for t in range(x.shape[1]):
        changed = x.clone()
        changed[:, t] += 3.0
        after = model(changed)
        assert torch.equal(after[:, :t], before[:, :t]), f"element {t} moves something before it"
        assert not torch.equal(after[:, t], before[:, t])


@pytest.mark.parametrize("options", [{"neighbours": "nearest"}, {"restore": "linear"}])
def test_layers_that_see_the_future_do_not_call_themselves_causal(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="depends on later elements"):
        layer(**options)
    model, x = layer(causal=False, **options), data()
    changed = x.clone()
    changed[:, 12:] += 1.0
    assert not torch.equal(model(changed)[:, :12], model(x)[:, :12])
    for call in (
        lambda: model.step(x[:, 0], model.initial_state(2)),
        lambda: model(x, return_state=True),
    ):
        with pytest.raises(ConfigError, match="causal"):
            call()


@pytest.mark.parametrize("options", CAUSAL)
def test_streaming_equals_the_parallel_form(options: dict[str, Any]) -> None:
    model, x = layer(**options), data()
    whole, last = model(x, return_state=True)
    assert torch.equal(whole, model(x))
    state, steps = model.initial_state(2), []
    for t in range(x.shape[1]):
        y, state = model.step(x[:, t], state)
        steps.append(y)
    assert torch.allclose(torch.stack(steps, 1), whole, atol=1e-12)
    assert_same_state(state, last)
    for cuts in ([11], [1, 2, 3, 20], [0, 22]):
        state, parts = model.initial_state(2), []
        for piece in torch.tensor_split(x, cuts, dim=1):
            y, state = model(piece, state=state, return_state=True)
            parts.append(y)
        assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-12)
        assert_same_state(state, last)


def assert_same_state(a: Any, b: Any) -> None:
    if isinstance(a, Tensor):
        assert a.dtype == b.dtype
        assert torch.allclose(a.double(), b.double(), atol=1e-12)
        return
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert_same_state(one, other)


@pytest.mark.parametrize("options", ANY)
def test_holes_and_padding_are_as_if_they_were_not_there(options: dict[str, Any]) -> None:
    model, x = layer(**options), data(3)
    rng = torch.Generator().manual_seed(5)
    valid = torch.rand(3, 23, generator=rng) < 0.6
    valid[2] = False
    x[~valid] = float("nan")
    x.requires_grad_()
    y = model(x, valid)
    assert torch.equal(y[~valid], torch.zeros_like(y[~valid]))
    (y * data(3, seed=1)).sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert torch.equal(x.grad[~valid], torch.zeros_like(x.grad[~valid]))
    model.zero_grad()
    for b in range(2):
        short = x[b : b + 1, valid[b]].detach().requires_grad_()
        alone = model(short)
        assert torch.allclose(alone[0], y[b][valid[b]], atol=1e-12)
        (alone * data(3, seed=1)[b : b + 1, valid[b]]).sum().backward()
        assert torch.allclose(short.grad[0], x.grad[b][valid[b]], atol=1e-10)
    for name, p in model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(p.grad, grads[name], atol=1e-9), name


def test_states_pass_over_padding() -> None:
    model, x = layer(), data(2, 20)
    valid = torch.ones(2, 20, dtype=torch.bool)
    valid[1, [0, 3, 4, 18, 19]] = False
    valid[0, :] = False
    y, state = model(x, valid, return_state=True)
    alone, expected = model(x[1:, valid[1]], return_state=True)
    assert torch.allclose(y[1, valid[1]], alone[0], atol=1e-12)
    fresh = model.initial_state(1)
    assert_same_state(_row(state, 1), expected)
    assert_same_state(_row(state, 0), fresh)


def _row(state: Any, b: int) -> Any:
    if isinstance(state, Tensor):
        return state[b : b + 1]
    return tuple(_row(part, b) for part in state)


@given(
    st.integers(0, 40),
    st.lists(st.sampled_from([0.04, 0.2, 1 / 3, 0.5, 0.9, 1.0]), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from([("trailing", "hold"), ("trailing", "blank"), ("nearest", "linear"), ("nearest", "hold")]),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_any_length_mask_and_rates(length: int, rates: list[float], K: int, how: tuple[str, str], seed: int) -> None:
    causal = how[0] == "trailing"
    model = layer(4, seed % 7, rates=tuple(rates), K=K, neighbours=how[0], restore=how[1], causal=causal)
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(3, length, 4, dtype=torch.float64, generator=rng)
    valid = torch.rand(3, length, generator=rng) < 0.6
    x.requires_grad_()
    y = model(x, valid)
    assert y.shape == x.shape
    assert bool(y.isfinite().all())
    y.sum().backward()
    assert bool(x.grad.isfinite().all())
    for part in model.resampling(x, valid):
        assert bool((part.count <= valid.sum(1)).all())
        assert bool((part.count >= torch.floor(part.rate * valid.sum(1) * (1 - 1e-12))).all())
    if causal:
        state, out = model.initial_state(3), torch.zeros_like(y)
        for t in range(length):
            now, new = model.step(x[:, t], state)
            out[:, t] = torch.where(valid[:, t, None], now, 0)
            state = select_rows(valid[:, t], new, state)
        assert torch.allclose(out, y, atol=1e-12)


def plain(**options: Any) -> SeRpEnt:
    return layer(rates=(1.0,), K=1, expansion="none", mix="none", combine="none", **options)


def test_one_rate_of_one_is_the_plain_layer_and_the_skip() -> None:
    x = data()
    model = plain()
    assert torch.equal(model(x), x + model.layers[0](x))
    assert torch.equal(plain(skip=False)(x), model.layers[0](x))
    valid = torch.ones(2, 23, dtype=torch.bool)
    valid[1, 15:] = False
    assert torch.allclose(plain(skip=False)(x, valid), model.layers[0](x, valid), atol=1e-14)
    for options in ({"restore": "blank"}, {"restore": "linear", "neighbours": "nearest", "causal": False}):
        assert torch.allclose(plain(**options)(x), model(x), atol=1e-14)


@pytest.mark.parametrize("restore", ["hold", "blank", "linear"])
def test_output_map_before_restoring_is_the_map_of_the_concatenation(restore: str) -> None:
    model, x = layer(restore=restore, expansion="none", causal=False), data()
    parts = model.resampling(x)
    restored = []
    for j, part in enumerate(parts):
        rows = torch.zeros(2, 23, model.config.width, dtype=torch.float64)
        for b in range(2):
            at = part.selected[b].nonzero().flatten()
            window = torch.zeros(len(at), 3, 6, dtype=torch.float64)
            for m, i in enumerate(at.tolist()):
                for k in range(3):
                    if i - 2 + k >= 0:
                        window[m, k] = x[b, i - 2 + k]
            y = model.layers[j](model.mixes[j](window, None).unsqueeze(0))[0]
            for l in range(23):
                before = int((at <= l).sum()) - 1
                if restore == "hold" and before >= 0:
                    rows[b, l] = y[before]
                elif restore == "blank" and before >= 0 and int(at[before]) == l:
                    rows[b, l] = y[before]
                elif restore == "linear" and len(at):
                    low, high = max(before, 0), min(before + 1, len(at) - 1)
                    t, t0, t1 = part.times[b, l], part.times[b, at[low]], part.times[b, at[high]]
                    share = (t - t0) / (t1 - t0) if high > low else 0.0
                    rows[b, l] = (1 - share) * y[low] + share * y[high]
        restored.append(rows)
    expected = x + model.output(torch.cat(restored, -1))
    assert torch.allclose(model(x), expected, atol=1e-12)


def interval_gradient(**options: Any) -> float:
    model = layer(**options)
    (model(data()) * data(seed=1)).sum().backward()
    grad = model.interval.weight.grad
    return 0.0 if grad is None else float(grad.abs().sum() + model.interval.bias.grad.abs().sum())


def test_intervals_learn_through_the_time_differences_only() -> None:
    assert interval_gradient() > 1e-3
    assert interval_gradient(mix="depthwise") > 1e-3
    assert interval_gradient(restore="blank") > 1e-3
    assert interval_gradient(restore="linear", expansion="none", causal=False) > 1e-3
    assert interval_gradient(expansion="none") == 0.0
    assert interval_gradient(expansion="none", restore="blank") == 0.0


@pytest.mark.parametrize(
    "options", [{}, {"mix": "depthwise"}, {"restore": "blank"}, {"restore": "linear", "causal": False}]
)
def test_gradients_in_double_precision(options: dict[str, Any]) -> None:
    model = layer(3, rates=(0.5, 0.3), branch_width=2, num_centres=2, **options)
    x = data(2, 8, 3)
    valid = torch.ones(2, 8, dtype=torch.bool)
    valid[1, [2, 7]] = False
    for part in model.resampling(x, valid):
        distance = (part.times - part.times.round()).abs()[valid].detach()
        assert float(distance.min()) > 1e-4, "no crossing flips under the epsilon"
    parameters = dict(model.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(model, dict(zip(parameters, values, strict=True)), (x, valid))

    inputs = (x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in parameters.values()))
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_future(value: float) -> None:
    model, x = layer(), data()
    clean = model(x)
    x[0, 12, 3] = value
    y = model(x)
    assert torch.equal(y[0, :12], clean[0, :12])
    assert torch.equal(y[1], clean[1])
    assert not bool(y[0, 12].isfinite().all())


def test_time_is_exact_over_a_long_stream() -> None:
    model = layer(2, rates=(0.25,), intervals="uniform", K=1, mix="depthwise", branch_width=2).float()
    state = model.initial_state(1)
    for _ in range(3):
        _, state = model(torch.zeros(1, 1002, 2), state=state, return_state=True)
    assert int(state.ticks) == (3 * 1002 % 4) * (1 << 38)


def test_short_sequences_select_nothing_and_pass_through_the_skip() -> None:
    model = layer(rates=(0.2,), interval_bias=-20.0)
    x = data(2, 4)
    y, state = model(x, return_state=True)
    assert torch.equal(y, x + model.output.bias)
    assert not bool(state.started.any())
    assert [int(c) for part in model.resampling(x) for c in part.count] == [0, 0]


def test_empty_and_padded_batches() -> None:
    model = layer()
    assert model(data(2, 0)).shape == (2, 0, 6)
    assert model(data(0, 5)).shape == (0, 5, 6)
    _, state = model(data(2, 0), return_state=True)
    assert_same_state(state, model.initial_state(2))
    nothing = model(data(2, 5), torch.zeros(2, 5, dtype=torch.bool))
    assert torch.equal(nothing, torch.zeros_like(nothing))
    assert layer(K=40)(data(2, 3)).shape == (2, 3, 6)


def test_wrong_shapes_and_settings_are_one_sentence() -> None:
    with pytest.raises(ShapeError):
        layer()(data()[..., :5])
    with pytest.raises(ShapeError):
        layer()(data(), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"initial_state\(2\)"):
        layer()(data(), state=layer().initial_state(3))
    with pytest.raises(ShapeError, match="earlier elements"):
        layer().step(data()[:, 0], layer(K=2).initial_state(2))
    for options, words in [
        ({"rates": (0.5, 1.5)}, "expected 0 < kappa <= 1"),
        ({"rates": ()}, "at least one"),
        ({"K": 0}, "at least 1"),
        ({"phase": 1.0}, "phase"),
        ({"mix": "ful"}, "did you mean 'full'"),
        ({"mix": "none"}, "K=1"),
        ({"combine": "none"}, "one branch"),
        ({"rate": 0.5}, "options: d_model, ssm"),
        ({"ssm": "manba"}, "did you mean 'mamba'"),
        ({"ssm_options": {"d_state": 4}}, "named layer"),
    ]:
        with pytest.raises(ConfigError, match=words):
            layer(**options)


def test_same_input_same_gradients() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            model, x = layer(), data().requires_grad_()
            model(x).square().sum().backward()
            runs.append([x.grad, *(p.grad for p in model.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


def test_gradient_reaches_earlier_pieces_through_the_state() -> None:
    model, x = layer(), data().requires_grad_()
    _, state = model(x[:, :12], return_state=True)
    assert isinstance(state, SeRpEntState)
    model(x[:, 12:], state=state).sum().backward()
    assert float(x.grad[:, :12].abs().sum()) > 0


def test_layer_learns_to_keep_the_marked_elements() -> None:
    """Sum of the marked elements' values: the intervals can serve it by growing at the marks."""
    torch.manual_seed(0)
    model = SeRpEnt(8, ssm=Decay, rates=(0.3,), branch_width=8, K=2)
    head = nn.Linear(8, 1)
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for step in range(60):
        rng = torch.Generator().manual_seed(step)
        x = torch.randn(16, 24, 8, generator=rng)
        mark = (torch.rand(16, 24, generator=rng) < 0.2).float()
        x[..., 0] = mark
        target = torch.tanh((mark * x[..., 1]).sum(1))
        loss = functional.mse_loss(head(model(x)[:, -1]).squeeze(-1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
