"""S4D's machinery: kernels, poles, operators, long sequences, memory, repeatability, compilation."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exuvia_ssm import S4D
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.s4d import diagonal_scan
from exuvia_ssm.s4d.diagonal_system import Modes, chunk_tables, kernel
from exuvia_ssm.s4d.dynamics import initial_poles
from exuvia_ssm.s4d.long_convolution import convolve, fast_size

pytestmark = pytest.mark.filterwarnings("ignore:.*complex operators.*")


def layer(width: int = 5, seed: int = 0, **options: Any) -> S4D:
    torch.manual_seed(seed)
    return S4D(width, **({"d_state": 8} | options))


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a: Any, b: Any, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def naive_kernel(modes: Modes, length: int) -> Tensor:
    """The kernel as its definition says, complex128, [H, P, L] in memory: the reference of `kernel`.   [H, L]"""
    log_a = torch.complex(modes.log_radius, 2 * math.pi * modes.turns)
    steps = torch.arange(length, dtype=torch.float64, device=log_a.device)
    c = torch.complex(modes.c_real, modes.c_imag)
    return 2 * torch.einsum("hp,hpl->hl", c, torch.exp(log_a[..., None] * steps)).real


@pytest.mark.parametrize("rule", ["zoh", "bilinear"])
@pytest.mark.parametrize("length", [1, 2, 40, 300])
def test_kernel_equals_its_definition(rule: str, length: int) -> None:
    modes = layer(discretization=rule, init="legs").kernel.modes()
    close(kernel(modes, length, torch.float64), naive_kernel(modes, length), 1e-11)


def test_bilinear_and_zero_order_hold_agree_at_small_intervals() -> None:
    zoh, bilinear = (layer(discretization=rule, dt_max=0.001).kernel for rule in ("zoh", "bilinear"))
    close(zoh(64, 0.1), bilinear(64, 0.1), 1e-4)


@pytest.mark.parametrize("rule", ["zoh", "bilinear"])
def test_discretised_system_is_what_the_rule_says(rule: str) -> None:
    model = layer(discretization=rule)
    part = model.kernel
    A = torch.complex(-part.log_A_real.double().exp(), part.A_imag.double())
    dt, C = part.log_dt.double().exp()[:, None], torch.view_as_complex(part.C.double())
    a, b = (
        (torch.exp(dt * A), (torch.exp(dt * A) - 1) / A)
        if rule == "zoh"
        else ((1 + dt * A / 2) / (1 - dt * A / 2), dt / (1 - dt * A / 2))
    )
    modes = part.modes()
    close(torch.polar(modes.log_radius.exp(), 2 * np.pi * modes.turns), a, 1e-12)
    close(torch.complex(modes.c_real, modes.c_imag), C * b, 1e-12)


def test_convolution_is_differentiable_twice() -> None:
    u, filters = noise(2, 6, 2, dtype=torch.float64), noise(2, 6, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(convolve, (u.requires_grad_(), filters.requires_grad_()))


def test_second_derivative_of_the_chunked_form_is_refused_not_wrong() -> None:
    x = noise(1, 80, 5).requires_grad_()
    (grad,) = torch.autograd.grad(layer(method="chunked")(x).sum(), x, create_graph=True)
    with pytest.raises(ConfigError, match="method='fft'"):
        grad.square().sum().backward()


def test_operators_are_registered_as_pytorch_wants_them() -> None:
    modes = layer(3, d_state=4).kernel.modes()
    t = chunk_tables(modes, 16, torch.float32)
    tables = [v.detach().requires_grad_() for v in (t.kernel, t.write, t.read, t.decay)]
    u, last = noise(2, 40, 3).requires_grad_(), torch.tensor([2, 0])
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for initial in (None, noise(2, 3, 4).requires_grad_()):
        torch.library.opcheck(torch.ops.exuvia.diagonal_scan, (u, *tables, initial, last), test_utils=checks)
    filters = noise(3, 40).requires_grad_()
    torch.library.opcheck(torch.ops.exuvia.long_convolution, (u, filters), test_utils=checks)


def test_long_sequences_keep_their_digits() -> None:
    """Slow decay and fast turning for 262,144 steps: angles of float32 would be off by tenths of a radian."""
    model = layer(2, d_state=4, output="none").eval()
    with torch.no_grad():
        model.kernel.log_A_real.fill_(np.log(2e-4))
        model.kernel.A_imag.copy_(torch.tensor([[31.0, 90.0], [3.0, 64.0]]))
        model.kernel.log_dt.copy_(torch.tensor([0.09, 0.02]).log())
        length = 262_144
        exact = naive_kernel(model.kernel.modes(), length)
        error = (model.kernel(length) - exact).abs().max() / exact.abs().max()
        assert error < 2e-6
        x = noise(1, length, 2)
        reference = copy.deepcopy(model).double()(x.double())
        for method in ("fft", "chunked"):
            object.__setattr__(model.config, "method", method)
            difference = (model(x) - reference).norm() / reference.norm()
            assert difference < 1e-5, method


def test_long_inputs_need_little_memory_beside_themselves() -> None:
    """What autograd keeps is the input and tables, not [B, L, D, N] or spectra."""
    x = noise(1, 65_536, 2).requires_grad_()
    for method in ("fft", "chunked"):
        model = layer(2, d_state=64, method=method, output="none")
        kept: dict[int, int] = {}

        def count(t: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            model(x)
        assert sum(kept.values()) < 6 * x.nbytes, method


def test_segments_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = layer(method="chunked"), noise(2, 500, 5).requires_grad_()
    valid = torch.arange(500) < torch.tensor([500, 130])[:, None]

    def run() -> tuple[Any, ...]:
        y, state = model(x, valid, return_state=True)
        return y, state.h, *torch.autograd.grad(y.square().sum() + state.h.abs().sum(), [x, *model.parameters()])

    whole = run()
    monkeypatch.setitem(diagonal_scan._SEGMENT, "cpu", 1)
    close(run(), whole, 1e-3)


def test_poles_at_the_start() -> None:
    n = torch.arange(4, dtype=torch.float64)
    close(initial_poles("lin", 8)[1], np.pi * n, 1e-12)
    close(initial_poles("inv", 8)[1], 8 / np.pi * (8 / (2 * n + 1) - 1), 1e-12)
    close(initial_poles("real", 8), (-(n + 1), 0 * n), 1e-12)
    root = np.sqrt(2 * np.arange(8) + 1)
    legs = -np.tril(np.outer(root, root), -1) - np.diag(np.arange(8) + 1.0)
    normal = np.linalg.eigvals(legs + np.outer(root, root) / 2)
    real, imag = initial_poles("legs", 8)
    np.testing.assert_allclose(normal.real, -0.5, atol=1e-9)
    np.testing.assert_allclose(np.sort(normal.imag[normal.imag > 0]), imag, atol=1e-9)
    assert (real == -0.5).all()


def test_results_repeat_to_the_bit() -> None:
    def run(method: str) -> list[Tensor]:
        model, x = layer(method=method), noise(3, 300, 5).requires_grad_()
        y = model(x)
        return [y, *torch.autograd.grad(y.square().sum(), [x, *model.parameters()])]

    torch.use_deterministic_algorithms(True)
    try:
        for method in ("fft", "chunked"):
            assert all(torch.equal(a, b) for a, b in zip(run(method), run(method), strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("method", ["fft", "chunked"])
@pytest.mark.usefixtures("whole_graph")
def test_compiles_without_graph_breaks(method: str) -> None:
    model = layer(method=method)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = noise(2, 70, 5).requires_grad_()
    valid = torch.arange(70) < torch.tensor([70, 30])[:, None]

    def run(model: Any) -> list[Tensor]:
        if method == "fft":
            y = model(x, valid)
        else:
            y, state = model(x, valid, return_state=True)
            y = y + state.h.abs().sum()
        return [y, *torch.autograd.grad(y.square().mean(), [x, *layer_parameters])]

    layer_parameters = list(model.parameters())
    close(run(compiled), run(model), 1e-4)


@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.usefixtures("whole_graph")
def test_one_compiled_graph_serves_all_lengths(return_state: bool) -> None:
    torch._dynamo.reset()
    model = layer().eval()
    compiled = torch.compile(model, dynamic=True, fullgraph=True, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for length in (200, 201, 250):
            x = noise(2, length, 5)
            close(compiled(x, return_state=return_state), model(x, return_state=return_state))


def test_fast_sizes() -> None:
    for least in (1, 2, 3, 7, 121, 1999, 524_287):
        size = fast_size(least)
        assert size >= least
        assert size % 2 == 0
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        assert size == 1
    assert isinstance(layer().kernel.modes(), Modes)
