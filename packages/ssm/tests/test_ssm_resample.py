"""Learned intervals: which elements are selected, which neighbours they take, and how the times learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.serpent.gaussian_basis import GaussianBasis
from exuvia_ssm.serpent.resample import (
    ONE,
    RealElements,
    blocked_suffix_sums,
    bounded_steps,
    check_rate,
    counts,
    crossings,
    gather_rows,
    nearest_neighbours,
    running_times,
    selected_mask,
    ticks_of,
    trailing_neighbours,
    uniform_steps,
)
from exuvia_ssm.serpent.windows import lay_out, windows_of

FIGURE = [0.1, 0.2, 0.2, 0.4, 0.2, 0.1, 0.5, 0.5, 0.1, 0.1, 0.2, 0.2, 0.4]
"""Intervals drawn in Fig. 2 of the paper."""


def start(n: int, batch: int) -> torch.Tensor:
    return torch.zeros(n, batch, dtype=torch.int64)


def test_figure_2_selects_elements_5_8_and_13_with_their_trailing_windows() -> None:
    steps = torch.tensor(FIGURE, dtype=torch.float64).view(1, 1, -1)
    times = running_times(steps, (0.1,), None, start(1, 1))
    assert times.values[0, 0].tolist() == pytest.approx(
        [0.1, 0.3, 0.5, 0.9, 1.1, 1.2, 1.7, 2.2, 2.3, 2.4, 2.6, 2.8, 3.2], abs=1e-9
    )
    assert (selected_mask(times.ticks, start(1, 1))[0, 0].nonzero().flatten() + 1).tolist() == [5, 8, 13]
    index = crossings(times.ticks[0], 3)
    assert (index[0] + 1).tolist() == [5, 8, 13]
    position, exists = trailing_neighbours(index, 3, RealElements.of(None, 13))
    assert bool(exists.all())
    assert (position[0] + 1).tolist() == [[3, 4, 5], [6, 7, 8], [11, 12, 13]]


def test_figure_2_with_the_nearest_in_time() -> None:
    steps = torch.tensor(FIGURE, dtype=torch.float64).view(1, 1, -1)
    ticks = running_times(steps, (0.1,), None, start(1, 1)).ticks[0]
    position, exists = nearest_neighbours(crossings(ticks, 3), 3, RealElements.of(None, 13), ticks)
    # times .9 1.1 1.2 around 1; 1.7 2.2 2.3 around 2 (.3 .2 .3); 2.6 2.8 3.2 around 3
    assert bool(exists.all())
    assert (position[0] + 1).tolist() == [[4, 5, 6], [7, 8, 9], [11, 12, 13]]


@pytest.mark.parametrize("length", [1, 1000, 262_144])
def test_kappa_one_gives_the_exact_index_as_time(length: int) -> None:
    steps = bounded_steps(torch.randn(1, 1, length, generator=torch.Generator().manual_seed(0)), (1.0,))
    times = running_times(steps, (1.0,), None, start(1, 1))
    assert torch.equal(times.values[0, 0], torch.arange(1, length + 1, dtype=torch.float64))
    assert bool(selected_mask(times.ticks, start(1, 1)).all())


@pytest.mark.parametrize("kappa", [0.1, 0.2, 0.3, 1 / 3, 0.7, 1e-6])
def test_least_intervals_still_keep_kappa_l_elements(kappa: float) -> None:
    length = 3000
    for steps in (
        uniform_steps((kappa,), 1, length, torch.device("cpu")),
        bounded_steps(-1e4 * torch.ones(1, 1, length), (kappa,)),
    ):
        ticks = running_times(steps, (kappa,), None, start(1, 1)).ticks
        kept = selected_mask(ticks, start(1, 1))[0, 0].long().cumsum(0)
        assert all(int(kept[i - 1]) >= math.floor(kappa * i) for i in range(1, length + 1))
        assert int(kept[-1]) <= math.ceil(kappa * length)


@given(st.integers(1, 60), st.floats(0.01, 1.0), st.integers(0, 2**31), st.booleans(), st.floats(0, 0.99))
@settings(max_examples=60, deadline=None)
def test_properties_of_the_selection(length: int, kappa: float, seed: int, holes: bool, phase: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    batch, rates = 3, (kappa, 1.0)
    logits = 3 * torch.randn(2, batch, length, generator=rng)
    valid = torch.rand(batch, length, generator=rng) < 0.7 if holes else None
    begin = torch.full((2, batch), int(phase * ONE))
    steps = bounded_steps(logits, rates)
    assert float(steps[0].min()) >= kappa
    assert float(steps.max()) <= 1
    ticks = running_times(steps, rates, valid, begin).ticks
    selected, count = selected_mask(ticks, begin), counts(ticks, begin)
    real = torch.full((batch,), length) if valid is None else valid.sum(1)
    assert torch.equal(selected.sum(-1), count)
    assert bool((count <= real).all())
    assert bool((count[0] >= torch.floor(kappa * real.double() * (1 - 1e-12))).all())
    assert torch.equal(count[1], real)
    if valid is not None:
        assert not bool((selected & ~valid).any())
    for j in range(2):
        index = crossings(ticks[j], int(count[j].max()))
        for b in range(batch):
            found = index[b, : int(count[j, b])]
            assert found.tolist() == selected[j, b].nonzero().flatten().tolist()


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_neighbours_are_those_of_the_definition(length: int, K: int, seed: int, holes: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    valid = torch.rand(1, length, generator=rng) < 0.7 if holes else None
    steps = bounded_steps(2 * torch.randn(1, 1, length, generator=rng), (0.3,))
    times = running_times(steps, (0.3,), valid, start(1, 1))
    most = int(counts(times.ticks, start(1, 1)))
    real = list(range(length)) if valid is None else valid[0].nonzero().flatten().tolist()
    elements = lay_out(torch.randn(1, length, 2), times, valid, None)
    for neighbours in ("trailing", "nearest"):
        windows = windows_of(elements, 0, most, K, neighbours)
        for m in range(most):
            at = int(windows.selected[0, m])
            if neighbours == "trailing":
                expected = [p for p in real if p <= at][-K:]
            else:
                by_distance = sorted(real, key=lambda p: (abs(int(times.ticks[0, 0, p]) - (m + 1) * ONE), p))
                expected = sorted(by_distance[:K])
            got = windows.rows[0, m][windows.exists[0, m]].tolist()
            assert got == expected
            assert bool((windows.rows[0, m][~windows.exists[0, m]] == length).all()), "missing ones name the zero row"


def test_pieces_and_order_do_not_change_the_times() -> None:
    steps = bounded_steps(torch.randn(2, 3, 4000, generator=torch.Generator().manual_seed(1)), (0.3, 0.7))
    whole = running_times(steps, (0.3, 0.7), None, start(2, 3)).ticks
    first = running_times(steps[..., :1234], (0.3, 0.7), None, start(2, 3)).ticks
    second = running_times(steps[..., 1234:], (0.3, 0.7), None, first[..., -1]).ticks
    assert torch.equal(whole, torch.cat([first, second], -1))


def test_not_a_number_becomes_the_least_interval() -> None:
    ticks = ticks_of(torch.tensor([float("nan"), 0.5, 0.0, 2.0], dtype=torch.float64).view(1, 1, 4), (0.25,))
    assert ticks.flatten().tolist() == [ONE // 4, ONE // 2, ONE // 4, ONE]


def test_gradient_of_the_times_is_that_of_the_running_sum() -> None:
    steps = torch.rand(1, 2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.4
    valid = torch.tensor([[True] * 7, [True, False, True, True, False, True, False]])
    steps.requires_grad_()
    weight = torch.randn(1, 2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (running_times(steps, (0.3,), valid, start(1, 2)).values * weight).sum().backward()
    expected = weight.flip(-1).cumsum(-1).flip(-1) * valid
    assert torch.allclose(steps.grad, expected)
    assert torch.autograd.gradcheck(lambda s: running_times(s, (0.3,), valid, start(1, 2)).values, steps)


@given(st.integers(1, 200), st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_suffix_sums_by_matrix_products(length: int, block: int) -> None:
    values = torch.randn(2, length, dtype=torch.float64, generator=torch.Generator().manual_seed(length))
    block = max(2, block)
    assert torch.allclose(blocked_suffix_sums(values, block), values.flip(-1).cumsum(-1).flip(-1))


def test_gathered_rows_add_their_gradients() -> None:
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 0, 4], [2, 4, 4]])
    assert torch.equal(gather_rows(table, index), table[index])
    assert torch.autograd.gradcheck(lambda t: gather_rows(t, index), table)


def test_gaussian_basis_is_one_at_its_centres_and_nearly_flat_in_sum() -> None:
    basis = GaussianBasis(8, -2, 1)
    values = basis(basis.centres)
    assert torch.allclose(values.diagonal(), torch.ones(8))
    total = basis(torch.linspace(-1, 0, 50)).sum(-1)
    assert float(total.max() - total.min()) < 0.05
    with pytest.raises(ConfigError, match="at least 1"):
        GaussianBasis(0, 0, 1)
    with pytest.raises(ConfigError, match="positive"):
        GaussianBasis(3, 0, 1, width=0.0)


@pytest.mark.parametrize("rate", [0, -0.1, 1.01, float("nan"), float("inf"), "half", True])
def test_rates_outside_zero_to_one_are_refused(rate: object) -> None:
    with pytest.raises(ConfigError, match="expected 0 < kappa <= 1"):
        check_rate(rate)  # type: ignore[arg-type]
