"""The compiled scan against the equations in float64, and its building, caching and refusing."""

import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exuvia_ssm.cpu import build, native
from exuvia_ssm.errors import ShapeError
from exuvia_ssm.scan.kernel_arguments import ScanGradients, ScanRows

needs_compiler = pytest.mark.skipif(native.unavailable_reason() is not None, reason=str(native.unavailable_reason()))
INPUTS = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial")


def equations(rows: ScanRows) -> tuple[Tensor, Tensor]:
    """The recurrence step by step in the dtype of the rows: y [R, D], final [S, D, N]."""
    groups = rows.A.shape[0] // rows.B.shape[1]
    lines: list[Tensor] = [torch.zeros_like(rows.x[0])] * rows.x.shape[0]
    finals = []
    dt = rows.dt if rows.dt_bias is None else rows.dt + rows.dt_bias
    dt = torch.nn.functional.softplus(dt) if rows.softplus else dt
    for s, (first, length) in enumerate(zip(rows.offsets.tolist(), rows.lengths.tolist(), strict=True)):
        h = torch.zeros_like(rows.A) if rows.initial is None else rows.initial[s]
        order = range(first, first + length)
        for r in reversed(order) if rows.reverse else order:
            B, C = rows.B[r].repeat_interleave(groups, 0), rows.C[r].repeat_interleave(groups, 0)
            h = torch.exp(dt[r][:, None] * rows.A) * h + (dt[r] * rows.x[r])[:, None] * B
            y = (h * C).sum(1) if rows.D is None else (h * C).sum(1) + rows.D * rows.x[r]
            lines[r] = y if rows.z is None else y * torch.nn.functional.silu(rows.z[r])
        finals.append(h)
    return torch.stack(lines), torch.stack(finals)


def drawn(
    seed: int,
    lengths: list[int],
    D: int,
    N: int,
    G: int = 1,
    *,
    gap: int = 0,
    optional: int = 31,
    reverse: bool = False,
) -> ScanRows:
    """Rows of sequences with `gap` rows of none after each; the bits of `optional` say which inputs are there."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    R, S = sum(lengths) + gap * len(lengths), len(lengths)
    offsets = [sum(lengths[:s]) + gap * s for s in range(S)]
    softplus = bool(optional & 1)
    return ScanRows(
        x=normal(R, D),
        dt=normal(R, D) - 3 if softplus else torch.rand(R, D, generator=random) * 0.3,
        A=-torch.rand(D, N, generator=random) * 16,
        B=normal(R, G, N),
        C=normal(R, G, N),
        D=normal(D) if optional & 2 else None,
        z=normal(R, D) * 3 if optional & 4 else None,
        dt_bias=normal(D) * 0.5 if optional & 8 and softplus else None,
        initial=normal(S, D, N) if optional & 16 else None,
        offsets=torch.tensor(offsets),
        lengths=torch.tensor(lengths),
        softplus=softplus,
        reverse=reverse,
    )


def expected(rows: ScanRows, grad_y: Tensor, grad_final: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    exact = {n: None if (t := getattr(rows, n)) is None else t.double().requires_grad_() for n in INPUTS}
    y, final = equations(rows._replace(**exact))
    torch.autograd.backward([y, final], [grad_y.double(), grad_final.double()])
    zero = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in exact.items() if t is not None}
    return y.detach(), final.detach(), zero


def close(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-5) -> None:
    error = (found.double() - wanted).abs().max().item() if wanted.numel() else 0.0
    scale = wanted.abs().max().item() if wanted.numel() else 1.0
    assert error <= tolerance * max(scale, 1e-3), f"{what}: off by {error:.2e} at a scale of {scale:.2e}"


def check_parity(rows: ScanRows, seed: int = 0, library: object = None) -> None:
    random = torch.Generator().manual_seed(seed)
    grad_y = torch.randn(rows.x.shape, generator=random)
    y, final, saved = native.forward(rows, save=True, library=library)
    grad_final = torch.randn(final.shape, generator=random)
    grads = native.backward(rows, saved, grad_y, grad_final, library=library)
    exact_y, exact_final, exact = expected(rows, grad_y, grad_final)
    close(y, exact_y, "y")
    close(final, exact_final, "final")
    for name in INPUTS:
        if getattr(rows, name) is None:
            assert getattr(grads, name) is None
        else:
            close(getattr(grads, name), exact[name], f"gradient of {name}")


@needs_compiler
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 70), min_size=1, max_size=4),
    st.sampled_from([(1, 1), (3, 1), (8, 2), (16, 1), (21, 3), (33, 1), (40, 2)]),
    st.integers(1, 19),
    st.integers(0, 2),
    st.integers(0, 31),
    st.booleans(),
)
def test_values_and_gradients_are_the_equations(
    seed: int, lengths: list[int], width: tuple[int, int], N: int, gap: int, optional: int, reverse: bool
) -> None:
    if not any(lengths):
        lengths = [1]
    check_parity(drawn(seed, lengths, width[0], N, width[1], gap=gap, optional=optional, reverse=reverse), seed)


@needs_compiler
@pytest.mark.parametrize("N", [4, 8, 16, 32, 64])
def test_common_state_sizes(N: int) -> None:
    check_parity(drawn(N, [100, 33], 48, N))


@needs_compiler
@pytest.mark.parametrize("arch", [None, "haswell"])
def test_plain_and_avx2_builds(arch: str | None) -> None:
    features = Path("/proc/cpuinfo")
    if arch and not (features.exists() and "avx2" in features.read_text()):
        pytest.skip(f"this processor cannot run {arch}")
    library = native.load(arch)
    assert library.exuvia_scan_lanes() == (8 if arch else 4)
    for optional in (31, 0):
        check_parity(drawn(7, [40, 0, 65], 21, 7, optional=optional), library=library)


@needs_compiler
def test_rows_of_no_sequence_are_zero() -> None:
    rows = drawn(3, [5, 4], 6, 4, gap=3)
    y, _, saved = native.forward(rows, save=True)
    grads = native.backward(rows, saved, torch.ones_like(rows.x), None)
    for outside in (slice(5, 8), slice(12, 15)):
        for tensor in (y, grads.x, grads.dt, grads.z, grads.B, grads.C):
            assert tensor is not None
            assert not tensor[outside].any()


@needs_compiler
def test_large_steps_underflow_to_exactly_nothing_and_zero_steps_hold_the_state() -> None:
    rows = drawn(5, [3], 20, 16, optional=1 | 16)
    held = rows._replace(dt=torch.full_like(rows.dt, -1e4))
    assert torch.equal(native.forward(held, save=False)[1], held.initial)
    wiped = rows._replace(dt=torch.full_like(rows.dt, 1e4), x=torch.zeros_like(rows.x))
    assert not native.forward(wiped, save=False)[1].any()


@needs_compiler
def test_growing_states_reach_infinity_like_floats_do() -> None:
    rows = drawn(5, [4], 20, 4, optional=16)
    rows = rows._replace(A=torch.full_like(rows.A, 400.0), dt=torch.ones_like(rows.dt))
    assert native.forward(rows, save=False)[1].abs().isinf().all()


@needs_compiler
@pytest.mark.parametrize("name", ["x", "dt", "B", "C", "z"])
def test_a_nan_stays_in_its_sequence(name: str) -> None:
    rows = drawn(9, [40, 40, 40], 20, 5)
    getattr(rows, name)[50] = float("nan")
    y, final, saved = native.forward(rows, save=True)
    grads = native.backward(rows, saved, torch.ones_like(y), None)
    assert y[50].isnan().all()
    for tensor in (y, grads.x, grads.dt, grads.B, grads.C):
        assert tensor[:40].isfinite().all()
        assert tensor[80:].isfinite().all()
    assert final[1].isnan().all() == (name in "xdtB")
    assert final[[0, 2]].isfinite().all()


@needs_compiler
def test_a_nan_in_A_shows() -> None:
    rows = drawn(9, [4], 20, 5, optional=16)
    rows.A[3, 2] = float("nan")
    final = native.forward(rows, save=False)[1]
    assert final[0, 3, 2].isnan()
    assert final.isnan().sum() == 1


def run(rows: ScanRows, threads: int) -> tuple[Tensor, Tensor, ScanGradients]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y, final, saved = native.forward(rows, save=True)
        return y, final, native.backward(rows, saved, torch.cos(y), torch.sin(final))
    finally:
        torch.set_num_threads(before)


@needs_compiler
@pytest.mark.parametrize("lengths", [[1300], [800, 0, 500], [150] * 9, [5] * 250])
def test_same_bits_for_every_number_of_threads(lengths: list[int]) -> None:
    rows = drawn(2, lengths, 140, 8, G=2)  # enough work for several threads
    one = run(rows, 1)
    for threads in (2, 3, 7):
        other = run(rows, threads)
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        for name in INPUTS:
            assert torch.equal(getattr(one[2], name), getattr(other[2], name)), name


@needs_compiler
def test_many_rounds_and_long_sequences() -> None:
    check_parity(drawn(4, [1100], 34, 5, optional=23))


@needs_compiler
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": torch.tensor([9])}, "leave the 4 rows"),
        ({"lengths": torch.tensor([-1])}, "leave the 4 rows"),
        ({"offsets": torch.tensor([-1]), "lengths": torch.tensor([2])}, "leave the 4 rows"),
        ({"offsets": torch.tensor([2**62]), "lengths": torch.tensor([2**62])}, "leave the 4 rows"),
        ({"offsets": torch.tensor([0, 1]), "lengths": torch.tensor([2, 1]), "initial": None}, "overlap"),
    ],
)
def test_sequences_outside_the_rows_are_refused(change: dict[str, Tensor | None], message: str) -> None:
    rows = drawn(1, [4], 3, 2)
    with pytest.raises(ShapeError, match=message):
        native.forward(rows._replace(**change), save=False)


@needs_compiler
def test_nothing_to_do() -> None:
    rows = drawn(1, [0, 0], 3, 2)
    y, final, saved = native.forward(rows, save=True)
    assert y.shape == (0, 3)
    assert torch.equal(final, rows.initial)
    grads = native.backward(rows, saved, y, torch.ones_like(final))
    assert torch.equal(grads.initial, torch.ones_like(final))


@needs_compiler
@pytest.mark.parametrize("lengths", [[1000], [100] * 10, [7] * 100])
def test_what_is_kept_for_the_backward_is_a_state_every_32_steps(lengths: list[int]) -> None:
    rows = drawn(1, lengths, 32, 16)
    _, _, saved = native.forward(rows, save=True)
    every = native.steps_between_states()
    states = sum(tensor.numel() for tensor in saved) / rows.A.numel()
    assert every == 32
    assert sum(lengths) / every <= states <= sum(lengths) / every + len(lengths)


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_NO_COMPILER", "1")
    native._state.cache_clear()
    try:
        assert native.unavailable_reason()
        assert "switched off by EXUVIA_NO_COMPILER" in str(native.unavailable_reason())
        with pytest.raises(native.NativeError, match="choose another backend"):
            native.forward(drawn(1, [2], 2, 2), save=False)
    finally:
        native._state.cache_clear()


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("arch", ["native", None])
def test_sanitizers_find_nothing(arch: str | None, tmp_path: Path) -> None:
    flags = ("-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-pthread")
    march = () if arch is None else (build._arch_flag(arch),)
    program = tmp_path / "self_check"
    build._compile(build._compiler(), build.SOURCES / "self_check.cpp", [(*flags, *march)], program)
    done = subprocess.run([program, "60"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
