"""The Triton scan: on a CUDA device, or in Triton's interpreter, which `test_the_interpreter_agrees` starts."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.gpu import launch as scan
from exuvia_ssm.gpu.partition import LANES, STEPS, plan
from exuvia_ssm.scan.fused_kernel import fused_scan
from exuvia_ssm.scan.kernel_arguments import ScanGradients, ScanRows
from exuvia_ssm.scan.selective_scan import selective_scan

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
FIELDS = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial")
INTERPRETER = (3, 9)
"""Version of Triton whose interpreter is known to run the kernels."""

runs = pytest.mark.skipif(scan.unavailable_reason() is not None, reason=str(scan.unavailable_reason()))
on_cuda = pytest.mark.skipif(not CUDA or scan.unavailable_reason() is not None, reason="no CUDA device with Triton")


def triton_version() -> tuple[int, ...]:
    triton = pytest.importorskip("triton", reason="Triton is not installed")
    return tuple(int(part) for part in triton.__version__.split(".")[:2])


def drawn(
    lengths: list[int], D: int, N: int, G: int = 1, *, gap: int = 0, bare: bool = False, reverse: bool = False
) -> ScanRows:
    """Rows of sequences, `gap` rows of none before and after each; a bare scan has none of what may be left out."""
    random = torch.Generator().manual_seed(len(lengths) + D + N)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random).to(DEVICE)

    R, S = sum(lengths) + gap * (len(lengths) + 1), len(lengths)
    offsets = [gap + sum(lengths[:s]) + gap * s for s in range(S)]
    return ScanRows(
        x=normal(R, D),
        dt=normal(R, D).abs() * 0.2 if bare else normal(R, D) - 2,
        A=-normal(D, N).abs() * 4,
        B=normal(R, G, N),
        C=normal(R, G, N),
        D=None if bare else normal(D),
        z=None if bare else normal(R, D) * 2,
        dt_bias=None if bare else normal(D) * 0.5,
        initial=None if bare else normal(S, D, N),
        offsets=torch.tensor(offsets, device=DEVICE),
        lengths=torch.tensor(lengths, device=DEVICE),
        softplus=not bare,
        reverse=reverse,
    )


def equations(rows: ScanRows) -> tuple[Tensor, Tensor]:
    """The recurrence in float64, step by step: y [R, D], final [S, D, N]."""
    r, share = rows, rows.A.shape[0] // rows.B.shape[1]
    dt = r.dt if r.dt_bias is None else r.dt + r.dt_bias
    dt = torch.nn.functional.softplus(dt) if r.softplus else dt
    lines, finals = [torch.zeros_like(row) for row in r.x.unbind()], []
    for s, (first, length) in enumerate(zip(r.offsets.tolist(), r.lengths.tolist(), strict=True)):
        h = torch.zeros_like(r.A) if r.initial is None else r.initial[s]
        steps = range(first, first + length)
        for t in reversed(steps) if r.reverse else steps:
            B, C = (m[t].repeat_interleave(share, 0) for m in (r.B, r.C))
            h = torch.exp(dt[t][:, None] * r.A) * h + (dt[t] * r.x[t])[:, None] * B
            y = (h * C).sum(1) if r.D is None else (h * C).sum(1) + r.D * r.x[t]
            lines[t] = y if r.z is None else y * torch.nn.functional.silu(r.z[t])
        finals.append(h)
    return torch.stack(lines), torch.stack(finals)


def with_fields(rows: ScanRows, change: Any) -> ScanRows:
    return rows._replace(**{n: None if (t := getattr(rows, n)) is None else change(t) for n in FIELDS})


def close(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-5) -> None:
    error, scale = (found.double() - wanted).abs().max().item(), wanted.abs().max().item()
    assert error <= tolerance * max(scale, 1e-2), f"{what}: off by {error:.2e} at a scale of {scale:.2e}"


def weights(rows: ScanRows) -> tuple[Tensor, Tensor]:
    """Gradients to pull back: of y and of the final states."""
    random = torch.Generator().manual_seed(0)
    shapes = (rows.x.shape, (rows.lengths.numel(), *rows.A.shape))
    grad_y, grad_final = (torch.randn(*shape, generator=random).to(DEVICE) for shape in shapes)
    return grad_y, grad_final


def check_parity(rows: ScanRows, segment: int | None = None, tolerance: float = 1e-5) -> ScanGradients:
    grad_y, grad_final = weights(rows)
    y, final, saved = scan.forward(rows, True, segment)
    grads = scan.backward(rows, saved, grad_y.to(rows.x.dtype), grad_final, segment)
    exact = with_fields(rows, lambda t: t.detach().double().requires_grad_())
    wanted = equations(exact)
    torch.autograd.backward(wanted, [grad_y.double(), grad_final.double()])
    close(y, wanted[0], "y", tolerance)
    close(final, wanted[1], "final state", tolerance)
    for name in FIELDS:
        given, grad = getattr(exact, name), getattr(grads, name)
        if given is None:
            assert grad is None
        else:
            assert grad.dtype == getattr(rows, name).dtype
            close(grad, torch.zeros_like(given) if given.grad is None else given.grad, f"gradient of {name}", tolerance)
    return grads


CASES: list[tuple[list[int], int, int, int, dict[str, Any], int | None]] = [
    ([20], 5, 2, 1, {}, None),
    ([1, 0, 17], 33, 1, 1, {"bare": True}, None),
    ([17, 0, 3], 6, 2, 2, {"gap": 2, "reverse": True}, None),
    ([40, 0, 5], 3, 2, 1, {"gap": 1}, 16),
    ([35, 16], 4, 1, 2, {"reverse": True}, 32),
    ([33], 2, 1, 1, {"bare": True, "reverse": True}, 16),
]


@runs
@pytest.mark.parametrize("processors", [0, 10])
@pytest.mark.parametrize(("lengths", "D", "N", "G", "options", "segment"), CASES)
def test_values_and_gradients_are_the_equations(
    lengths: list[int],
    D: int,
    N: int,
    G: int,
    options: dict[str, Any],
    segment: int | None,
    processors: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if processors and len(lengths) == 1:
        pytest.skip("one sequence has one lane either way")
    monkeypatch.setattr(scan, "_processors", lambda device: processors)  # 0: one lane goes through all sequences
    check_parity(drawn(lengths, D, N, G, **options), segment)


@runs
def test_nothing_kept_is_the_same_and_so_is_every_call() -> None:
    rows = drawn([18, 4], 3, 2, gap=1)
    y, final, saved = scan.forward(rows, True)
    again = scan.forward(rows, False)
    assert torch.equal(y, again[0])
    assert torch.equal(final, again[1])
    assert again[2] == ()
    assert saved[0].shape == (25 // scan.steps_between_states() + 2, 3, 2)
    grad_y, _ = weights(rows)
    first, second = (scan.backward(rows, saved, grad_y, None) for _ in range(2))
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in FIELDS)
    zero = scan.backward(rows, saved, grad_y, torch.zeros_like(final))
    assert torch.equal(first.initial, zero.initial)


@runs
def test_half_precision_is_read_as_it_is() -> None:
    whole = drawn([18, 4], 3, 2)
    half = {name: getattr(whole, name).bfloat16() for name in ("x", "dt", "z", "B", "C", "D")}
    rows = whole._replace(**half)
    y, final, _ = scan.forward(rows, False)
    assert (y.dtype, final.dtype) == (torch.bfloat16, torch.float32)
    check_parity(rows, tolerance=1e-2)


@runs
def test_what_is_not_finite_stays_in_its_channel_and_its_future() -> None:
    rows = drawn([20, 5], 3, 1, gap=1)
    y, _, saved = scan.forward(rows, True)
    rows.x[:1] = torch.nan  # a row of no sequence
    assert torch.equal(scan.forward(rows, True)[0], y)
    grads = scan.backward(rows, saved, *weights(rows))
    assert all(bool(getattr(grads, name).isfinite().all()) for name in FIELDS)
    rows.x[9, 1] = torch.inf
    spoiled = ~scan.forward(rows, False)[0].isfinite()
    assert spoiled[9, 1]
    assert not spoiled[:9].any()
    assert not spoiled[:, [0, 2]].any()
    assert not spoiled[22:].any()


@runs
def test_large_step_sizes_are_the_softplus_of_pytorch() -> None:
    rows = drawn([16], 8, 1, bare=True)
    raw = torch.tensor([-1e4, -90.0, -20.0, -1e-3, 1e-3, 19.0, 25.0, 500.0], device=DEVICE).repeat(16, 1)
    rows = rows._replace(dt=raw, A=rows.A * 0, softplus=True)
    _, final, _ = scan.forward(rows, False)
    wanted = torch.nn.functional.softplus(raw.double()) * rows.x * rows.B[:, 0]
    assert torch.allclose(final[0, :, 0].double(), wanted.sum(0), rtol=1e-5, atol=0)


@runs
def test_nothing_to_scan() -> None:
    for rows in (drawn([], 3, 2, gap=4), drawn([0, 0], 3, 2, gap=2), drawn([0, 0], 3, 2)):
        y, final, saved = scan.forward(rows, True)
        assert not y.any()
        assert torch.equal(final, rows.initial)
        grads = scan.backward(rows, saved, *weights(rows))
        assert torch.equal(grads.initial, weights(rows)[1])
        assert not any(getattr(grads, name).any() for name in FIELDS[:-1])


@runs
def test_the_operator_runs_it_compiled_or_not() -> None:
    def tensors(length: int) -> dict[str, Tensor]:
        rows = drawn([length] * 2, 4, 1)
        named = {n: getattr(rows, n) for n in ("x", "dt", "B", "C", "z")}
        named = {n: t.view(2, length, *t.shape[1:]) for n, t in named.items()}
        named |= {"A": rows.A, "D": rows.D, "dt_bias": rows.dt_bias, "initial_state": rows.initial}
        return {name: tensor.requires_grad_() for name, tensor in named.items()}

    a = tensors(18)
    options = {"dt_softplus": True, "lengths": torch.tensor([18, 7], device=DEVICE), "return_state": True}
    found = []
    compiled = torch.compile(selective_scan, backend="inductor" if CUDA else "aot_eager", fullgraph=True)
    for function, backend in ((selective_scan, "reference"), (selective_scan, "triton"), (compiled, "triton")):
        y, state = function(**a, **options, backend=backend)
        found.append([y, state, *torch.autograd.grad(y.square().sum() + state.sum(), list(a.values()))])
    for mine, theirs in zip(found[1] + found[2], found[0] * 2, strict=True):
        close(mine.detach(), theirs.detach().double(), "operator")


def test_the_interpreter_agrees() -> None:
    if CUDA or scan.interpreted():
        pytest.skip("the tests above run here")
    if triton_version() < INTERPRETER:
        pytest.skip(f"the interpreter of Triton before {INTERPRETER[0]}.{INTERPRETER[1]} may not run the kernels")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    found = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-4000:]
    assert " passed" in found.stdout


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 200)), min_size=1, max_size=12),
    st.sampled_from([STEPS, 2 * STEPS, 160]),
)
def test_slots_never_overlap(sequences: list[tuple[int, int]], per: int) -> None:
    at, offsets, lengths = 0, [], []
    for gap, length in sequences:
        offsets, lengths, at = [*offsets, at + gap], [*lengths, length], at + gap + length
    begins = [offset // per + s for s, offset in enumerate(offsets)]
    ends = [begin + max(-(-length // per), 1) for begin, length in zip(begins, lengths, strict=True)]
    assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
    assert ends[-1] <= at // per + len(sequences)


def test_sequences_are_cut_where_the_device_would_be_empty() -> None:
    rows = 16384
    cut = plan(rows, 1, 128, 1, processors=132)
    assert cut.segment % STEPS == 0
    assert 4 * STEPS <= cut.segment <= rows // 64
    for size in ((8 * 2048, 8, 1536), (4096 * 16, 4096, 256), (64, 1, 256)):
        assert plan(*size, 1, processors=132).segment > size[0]
        assert plan(*size, 1, processors=132).segments == size[1]
    for sequences, channels in ((4096, 256), (3, 64), (1000, 4096)):
        found = plan(16 * sequences, sequences, channels, 1, processors=132)
        assert 1 <= found.lanes <= found.segments
        assert (found.lanes - 1) * found.per_group(channels, 1) < LANES * 132
    with pytest.raises(ValueError, match="multiple of 16"):
        plan(100, 1, 1, 1, 1, segment=20)


def test_why_it_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = scan.unavailable_reason.__wrapped__
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "CUDA" in reason()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "triton", None)
    assert "pip install triton" in reason()
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.1.0"))
    assert "found Triton 3.1.0" in reason()
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.10.0+git"))
    assert reason() is None
    rows = drawn([2], 2, 1)
    monkeypatch.setattr(scan, "unavailable_reason", lambda: None)
    with pytest.raises(ConfigError, match="expected a CUDA device"):
        scan.forward(with_fields(rows, Tensor.cpu), False)
    monkeypatch.setattr(scan, "unavailable_reason", lambda: "no reason")
    with pytest.raises(ConfigError, match="not available: no reason"):
        scan.forward(rows, False)


@pytest.mark.slow
def test_every_launch_compiles_for_hopper_without_shared_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Compiled, not run: no device is needed. Shared memory would mean that channels are spread over threads."""
    if CUDA or scan.interpreted() or triton_version() < scan.OLDEST:
        pytest.skip("needs Triton without a device")
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    fake = SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        map_python_to_cpp_type=lambda kind: kind,
    )
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    driver.set_active(fake)
    compiled: dict[str, list[Any]] = {}

    def compile_only(module: str, name: str, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        kernel = getattr(importlib.import_module(f"exuvia_ssm.gpu.{module}"), name)
        options = {"num_warps": 1, "enable_fp_fusion": True, **options}
        compiled.setdefault(name, []).append(kernel.warmup(*arguments, grid=grid, **options))

    monkeypatch.setattr(scan, "_launch", compile_only)
    monkeypatch.setattr(scan, "_require", lambda rows: None)
    try:
        for bare, segment, kind in (
            (False, None, torch.float32),
            (True, 16, torch.float32),
            (False, 16, torch.bfloat16),
        ):
            whole = drawn([64, 64], 64, 16, 2, bare=bare, reverse=segment is not None)
            rows = whole._replace(x=whole.x.to(kind))
            _, _, saved = scan.forward(rows, True, segment)
            scan.forward(rows, False, segment)
            scan.backward(rows, saved, rows.x, None if bare else weights(rows)[1], segment)
    finally:
        driver.set_active(None)
    names = ("pack_maps", "scan_forward", "join_segments", "adjoint_ends", "scan_backward", "unpack_gradients")
    assert set(compiled) == set(names)
    for name in ("scan_forward", "adjoint_ends", "scan_backward"):
        assert all(kernel.metadata.shared == 0 for kernel in compiled[name])
        assert all("ld.global.v4" in kernel.asm["ptx"] for kernel in compiled[name])


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("segment", [None, 256])
def test_larger_sizes_on_the_device(segment: int | None) -> None:
    for reverse in (False, True):
        rows = drawn([700, 0, 1024, 333], 256, 16, 2, gap=3, reverse=reverse)
        grad_y, grad_final = weights(rows)
        y, final, saved = scan.forward(rows, True, segment)
        grads = scan.backward(rows, saved, grad_y, grad_final, segment)
        again = scan.backward(rows, saved, grad_y, grad_final, segment)
        assert all(torch.equal(getattr(grads, name), getattr(again, name)) for name in FIELDS)
        cpu = with_fields(rows, lambda t: t.cpu().requires_grad_())
        cpu = cpu._replace(offsets=rows.offsets.cpu(), lengths=rows.lengths.cpu())
        wanted = fused_scan(cpu, "cpu")
        torch.autograd.backward(wanted, [grad_y.cpu(), grad_final.cpu()])
        close(y.cpu(), wanted[0].detach().double(), "y")
        close(final.cpu(), wanted[1].detach().double(), "final state")
        for name in FIELDS:
            close(getattr(grads, name).cpu(), getattr(cpu, name).grad.double(), f"gradient of {name}", 3e-5)


@pytest.mark.gpu
@pytest.mark.slow
@on_cuda
def test_more_values_than_32_bits_count() -> None:
    """2.2e9 values a tensor, 9 GB each."""
    rows, channels = 1 << 20, 2112
    x = torch.zeros(1, rows, channels, device="cuda")
    dt = torch.full_like(x, 0.1)
    B = torch.ones(1, rows, 1, device="cuda")
    x[0, -1] = 1
    y = selective_scan(x, dt, -torch.ones(channels, 1, device="cuda"), B, B, backend="triton")
    assert torch.allclose(y[0, -1], torch.full_like(y[0, -1], 0.1))
    assert not y[0, :-1].any()
