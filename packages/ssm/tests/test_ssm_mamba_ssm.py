"""The functions of mamba-ssm and causal-conv1d against plain loops in float64: values, gradients, states, messages."""

import subprocess
import sys
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from exuvia_ssm.errors import ConfigError, ExuviaError, ShapeError
from exuvia_ssm.mamba_ssm import (
    causal_conv1d_fn,
    causal_conv1d_update,
    mamba_inner_fn,
    selective_scan_fn,
    selective_state_update,
)

BATCH, DIM, LENGTH, STATES = 2, 4, 9, 3


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=dtype)


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance, check_dtype=False)


def loop(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Any, z: Any, bias: Any, softplus: bool
) -> tuple[Tensor, Tensor]:
    """The equations one number at a time, in the layout of mamba-ssm."""
    batch, dim, length = u.shape

    def at(m: Tensor, b: int, d: int, t: int) -> Tensor:
        if m.dim() == 2:
            return m[d]
        row = m[b] if m.dim() == 3 else m[b, d // (dim // m.shape[1])]
        return torch.complex(row[:, 2 * t], row[:, 2 * t + 1]) if A.is_complex() else row[:, t]

    rows, states = [], []
    for b, d in product(range(batch), range(dim)):
        h, ys = torch.zeros(A.shape[1], dtype=A.dtype), []
        for t in range(length):
            dt = delta[b, d, t] if bias is None else delta[b, d, t] + bias[d]
            dt = torch.log1p(dt.exp()) if softplus else dt
            h = torch.exp(dt * A[d]) * h + dt * u[b, d, t] * at(B, b, d, t)
            y = (h * at(C, b, d, t)).sum()
            y = 2 * y.real if A.is_complex() else y
            y = y if D is None else y + D[d] * u[b, d, t]
            ys.append(y if z is None else y * z[b, d, t] * torch.sigmoid(z[b, d, t]))
        rows.append(torch.stack(ys))
        states.append(h)
    return torch.stack(rows).view(batch, dim, length), torch.stack(states).view(batch, dim, -1)


def scan_inputs(kind: str, b: str, c: str, skip: bool, gate: bool, bias: bool) -> list[Any]:
    paired = 2 if kind == "complex" else 1
    A = -noise(DIM, STATES).exp()
    maps = []
    for seed, shape in ((1, b), (2, c)):
        sizes = {"constant": (DIM, STATES), "one": (BATCH, STATES, LENGTH * paired)}
        m = noise(*sizes.get(shape, (BATCH, int(shape) if shape.isdigit() else 1, STATES, LENGTH * paired)), seed=seed)
        maps.append(torch.complex(m, m.flip(0)) if shape == "constant" and paired == 2 else m)
    A = torch.complex(A, noise(DIM, STATES, seed=3)) if paired == 2 else A
    u, delta, z = (noise(BATCH, DIM, LENGTH, seed=seed) for seed in (4, 5, 6))
    values = [u, 0.3 * delta.abs(), A, *maps, noise(DIM) if skip else None, z if gate else None]
    return [*values, 0.1 * noise(DIM, seed=7).abs() if bias else None]


@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize(
    "extras", [(False, False, False), (True, True, True), (True, False, True), (False, True, False)]
)
@pytest.mark.parametrize(
    ("b", "c"), [("constant", "constant"), ("one", "constant"), ("one", "one"), ("2", "one"), ("4", "2")]
)
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_the_scan_is_the_loop(kind: str, b: str, c: str, extras: tuple[bool, bool, bool], softplus: bool) -> None:
    values = scan_inputs(kind, b, c, *extras)
    leaves = [None if v is None else v.clone().requires_grad_() for v in values]
    found = selective_scan_fn(*leaves, delta_softplus=softplus, return_last_state=True)
    wanted = loop(*leaves, softplus)
    close(found, wanted)
    assert found[0].is_contiguous()
    close(selective_scan_fn(*values, delta_softplus=softplus), wanted[0].detach())
    used = [leaf for leaf in leaves if leaf is not None]
    ways = [noise(BATCH, DIM, LENGTH), noise(BATCH, DIM, STATES).to(wanted[1].dtype)]
    for a, w in zip(torch.autograd.grad(found, used, ways), torch.autograd.grad(wanted, used, ways), strict=True):
        close(a, w)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_lower_precision(kind: str, dtype: torch.dtype) -> None:
    """Like mixed precision in mamba-ssm: u, delta, B, C and z in half precision, A, D and the bias in float32."""
    values = scan_inputs(kind, "2", "one", True, True, True)
    wanted, state = loop(*values, True)
    single = torch.complex64 if kind == "complex" else torch.float32
    kinds = (dtype, dtype, single, dtype, dtype, torch.float32, dtype, torch.float32)
    leaves = [v.to(kind).requires_grad_() for v, kind in zip(values, kinds, strict=True)]
    y, last = selective_scan_fn(*leaves, delta_softplus=True, return_last_state=True)
    assert (y.dtype, last.dtype) == (dtype, single)
    y.float().sum().backward()
    assert [leaf.grad.dtype for leaf in leaves] == [*kinds]
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    close(y.float(), wanted.float(), tolerance)
    close(last, state.to(single), tolerance)


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_gradients_of_the_scan(kind: str) -> None:
    values = [v.requires_grad_() for v in scan_inputs(kind, "2", "one", True, True, True)]
    assert gradcheck(lambda *v: selective_scan_fn(*v, delta_softplus=True, return_last_state=True), values)


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("groups", [None, 1, 2])
@pytest.mark.parametrize("heads", [None, 4])
def test_the_step_is_a_step_of_the_scan(heads: int | None, groups: int | None, extras: bool) -> None:
    if heads is None and groups == 2:
        pytest.skip("groups need heads")
    wide = (DIM,) if heads is None else (heads, DIM)
    many = DIM if heads is None else heads * DIM
    A, D, bias = -noise(*wide, STATES).exp(), noise(*wide), noise(*wide, seed=1)
    inputs = [noise(BATCH, *wide, LENGTH, seed=seed) for seed in (2, 3, 4)]
    maps = [noise(BATCH, *(() if groups is None else (groups,)), STATES, LENGTH, seed=seed) for seed in (5, 6)]
    state, outputs = torch.zeros(BATCH, *wide, STATES, dtype=torch.float64), []
    held = state
    for t in range(LENGTH):
        x, dt, z = (v[..., t] for v in inputs)
        B, C = (m[..., t] for m in maps)
        rest = {"D": D, "z": z, "dt_bias": bias, "dt_softplus": True} if extras else {}
        outputs.append(selective_state_update(state, x, dt, A, B, C, **rest))
        assert outputs[-1].shape == x.shape
    flat = [v.flatten(1, -2) for v in inputs]
    more = (D.flatten(), flat[2], bias.flatten()) if extras else (None, None, None)
    y, last = loop(*flat[:2], A.flatten(0, -2), *maps, *more, extras)
    close(torch.stack(outputs, -1).flatten(1, -2), y)
    close(held.view(BATCH, many, STATES), last)


def test_gradients_and_dtypes_of_the_step() -> None:
    A = -noise(DIM, STATES).exp()

    def run(state: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        state = state.clone()
        first = selective_state_update(state, x, dt, A, B, B, dt_softplus=True)
        return selective_state_update(state, first, dt, A, B, B, D=A[:, 0], z=x), state

    values = [noise(BATCH, DIM, STATES), noise(BATCH, DIM), noise(BATCH, DIM, seed=1), A, noise(BATCH, STATES)]
    assert gradcheck(run, [v.requires_grad_() for v in values])
    state = torch.zeros(BATCH, DIM, STATES, dtype=torch.bfloat16)
    y = selective_state_update(state, *(v.detach().bfloat16() for v in (*values[1:], values[4])))
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.bfloat16)
    assert state.abs().max() > 0


def inner_inputs(paired: int, own: bool, bias: bool, norms: bool) -> tuple[list[Tensor], dict[str, Any]]:
    rank, size = 2, STATES * paired
    A = -noise(DIM, STATES).exp()
    A = torch.complex(A, noise(DIM, STATES, seed=1)) if paired == 2 else A
    rows = rank + (2 if own else 0) * size
    values = [noise(BATCH, 2 * DIM, LENGTH), noise(DIM, 1, 4), noise(DIM), noise(rows, DIM) / 2, noise(DIM, rank) / 2]
    values += [noise(5, DIM), noise(5), A]
    more: dict[str, Any] = {"D": noise(DIM, seed=1), "delta_bias": noise(DIM, seed=2)}
    if not own:
        more |= {"B": noise(BATCH, 2, STATES, LENGTH * paired), "C": noise(BATCH, STATES, LENGTH * paired)}
    if bias:
        more |= {"B_proj_bias": noise(size), "C_proj_bias": noise(size, seed=1)}
    if norms:
        more |= {"b_rms_weight": noise(size), "c_rms_weight": noise(size, seed=2), "dt_rms_weight": noise(DIM)}
    return values, more


@pytest.mark.parametrize("paired", [1, 2])
@pytest.mark.parametrize(("own", "bias", "norms"), [(True, False, False), (True, True, True), (False, False, False)])
def test_the_block_is_its_parts(paired: int, own: bool, bias: bool, norms: bool) -> None:
    values, more = inner_inputs(paired, own, bias, norms)
    xz, weight, conv_bias, x_proj, dt_proj, out, out_bias, A = values
    x = F.silu(F.conv1d(F.pad(xz[:, :DIM], (3, 0)), weight, conv_bias, groups=DIM))
    mixed = torch.einsum("rd,bdl->brl", x_proj, x)
    delta = torch.einsum("er,brl->bel", dt_proj, mixed[:, :2])
    if own:
        maps = list(mixed[:, 2:].chunk(2, 1))
        if bias:
            maps = [m + more[name][:, None] for m, name in zip(maps, ("B_proj_bias", "C_proj_bias"), strict=True)]
        if norms:
            names = ("b_rms_weight", "c_rms_weight", "dt_rms_weight")
            maps = [
                m / (m.square().mean(1, keepdim=True) + 1e-6).sqrt() * more[name][:, None]
                for m, name in zip([*maps, delta], names, strict=True)
            ]
            delta = maps.pop()
        if paired == 2:  # from pairs along the states to pairs along the steps
            maps = [torch.stack((m[:, ::2], m[:, 1::2]), -1).flatten(2) for m in maps]
    else:
        maps = [more["B"], more["C"]]
    y, _ = loop(x, delta, A, *maps, more["D"], xz[:, DIM:], more["delta_bias"], True)
    close(mamba_inner_fn(*values, **more), torch.einsum("od,bdl->blo", out, y) + out_bias)


def test_gradients_of_the_block() -> None:
    values, more = inner_inputs(1, True, True, False)
    names = list(more)
    leaves = [v.requires_grad_() for v in (*values, *more.values())]
    assert gradcheck(lambda *v: mamba_inner_fn(*v[:8], **dict(zip(names, v[8:], strict=True))), leaves, fast_mode=True)


@pytest.mark.parametrize("activation", [None, "silu", "swish"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("width", [1, 2, 4, 6])
@pytest.mark.parametrize("length", [1, 3, 9])
def test_the_convolution(length: int, width: int, bias: bool, activation: str | None) -> None:
    x, weight, before = noise(BATCH, DIM, length), noise(DIM, width), noise(BATCH, DIM, width - 1)
    offset = noise(DIM) if bias else None
    for start in (None, before):
        whole = torch.cat([torch.zeros_like(before) if start is None else start, x], -1)
        wanted = F.conv1d(whole, weight[:, None], offset, groups=DIM)
        wanted = wanted if activation is None else F.silu(wanted)
        y, final = causal_conv1d_fn(x, weight, offset, None, start, True, activation=activation)
        close(y, wanted)
        close(final, whole[..., whole.shape[-1] - width + 1 :])
        given = torch.empty_like(before)
        assert causal_conv1d_fn(x, weight, offset, None, start, True, given, activation)[1] is given
        close(given, final)
        close(causal_conv1d_fn(x, weight, offset, initial_states=start, activation=activation), wanted)
    assert gradcheck(
        lambda x, w, s: causal_conv1d_fn(x, w, offset, None, s, True, activation=activation),
        [v.requires_grad_() for v in (x, weight, before)],
        fast_mode=True,
    )


def test_packed_sequences_are_convolved_apart() -> None:
    x, weight, bias = noise(2, DIM, LENGTH), noise(DIM, 4), noise(DIM)
    numbers = torch.tensor([[0, 0, 0, 1, 2, 2, 2, 2, -1], [3, 3, 3, 3, 3, 3, 3, -1, -1]], dtype=torch.int32)
    x.requires_grad_()
    y = causal_conv1d_fn(x, weight, bias, numbers, activation="silu")
    for row, number in ((0, 0), (0, 1), (0, 2), (1, 3)):
        own = numbers[row] == number
        close(y[row][:, own], causal_conv1d_fn(x[row : row + 1][..., own], weight, bias, activation="silu")[0])
    assert not y.transpose(1, 2)[numbers < 0].any()
    assert gradcheck(
        lambda x, w, b: causal_conv1d_fn(x, w, b, numbers), (x, weight.requires_grad_(), bias.requires_grad_())
    )


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("pieces", [[1] * 9, [3, 1, 5], [9]])
@pytest.mark.parametrize(("width", "room"), [(4, 3), (4, 6), (2, 1), (1, 2)])
def test_updates_are_the_whole(width: int, room: int, pieces: list[int], ring: bool) -> None:
    x, weight, bias = noise(BATCH, DIM, LENGTH), noise(DIM, width), noise(DIM)
    state, seen, outputs = torch.zeros(BATCH, DIM, room, dtype=torch.float64), 0, []
    for size in pieces:
        past = torch.full((BATCH,), seen, dtype=torch.int32) if ring else None
        given = x[..., seen : seen + size]
        single = size == 1
        y = causal_conv1d_update(given[..., 0] if single else given, state, weight, bias, "silu", past)
        outputs.append(y[..., None] if single else y)
        seen += size
    close(torch.cat(outputs, -1), causal_conv1d_fn(x, weight, bias, activation="silu"))
    order = [(LENGTH - room + i) % room for i in range(room)] if ring else list(range(room))
    close(state[..., order], x[..., LENGTH - room :])


def test_rows_choose_their_entry_of_the_state() -> None:
    x, weight, store = noise(3, DIM), noise(DIM, 4), noise(5, DIM, 3)
    indices, kept = torch.tensor([4, -1, 1], dtype=torch.int32), store.clone()
    y = causal_conv1d_update(x, store, weight, conv_state_indices=indices)
    for row, entry in ((0, 4), (2, 1)):
        own = kept[entry : entry + 1].clone()
        close(y[row], causal_conv1d_update(x[row : row + 1], own, weight)[0])
        close(store[entry], own[0])
    assert not y[1].any()
    close(store[[0, 2, 3]], kept[[0, 2, 3]])


def test_gradients_of_an_update() -> None:
    def run(x: Tensor, state: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        state = state.clone()
        first = causal_conv1d_update(x, state, weight)
        return causal_conv1d_update(first, state, weight, activation="silu"), state

    values = (noise(BATCH, DIM), noise(BATCH, DIM, 3), noise(DIM, 4))
    assert gradcheck(run, [v.requires_grad_() for v in values])


def test_messages() -> None:
    u, A, m = noise(BATCH, DIM, LENGTH), -noise(DIM, STATES).exp(), noise(BATCH, STATES, LENGTH)
    x, state, b, weight = noise(BATCH, DIM), noise(BATCH, DIM, STATES), noise(BATCH, STATES), noise(DIM, 4)
    shapes: list[Any] = [
        lambda: selective_scan_fn(u[0], u, A, m, m),
        lambda: selective_scan_fn(u, u, A, m[:, :2], m),
        lambda: selective_scan_fn(u, u, A.to(torch.complex128), m, m),
        lambda: selective_scan_fn(u, u, A, m[0, 0], m),
        lambda: selective_state_update(state, x, x, A, b[:, :2], b),
        lambda: selective_state_update(state, x[0], x, A, b, b),
        lambda: selective_state_update(state[:, None].expand(-1, 3, -1, -1), x, x, A, b, b),
        lambda: mamba_inner_fn(u, noise(DIM, 1, 4), None, A, A, A, None, A),
        lambda: causal_conv1d_fn(x, weight),
        lambda: causal_conv1d_fn(u, weight, initial_states=state[..., :2]),
        lambda: causal_conv1d_update(x, state[..., :2], weight),
        lambda: causal_conv1d_update(x[:, :3], state, weight),
    ]
    for call in shapes:
        with pytest.raises(ShapeError, match="expected"):
            call()
    with pytest.raises(ConfigError, match="'silu'"):
        causal_conv1d_fn(u, weight, activation="relu")
    with pytest.raises(ConfigError, match="no states"):
        causal_conv1d_fn(u, weight, seq_idx=torch.zeros(BATCH, LENGTH, dtype=torch.int32), initial_states=state)
    assert issubclass(ConfigError, ExuviaError)


SHIM = """
import sys, importlib.util
import torch
from exuvia_ssm.mamba_ssm import install_mamba_ssm_shim
names = install_mamba_ssm_shim()
assert names and not install_mamba_ssm_shim(), names
import causal_conv1d, mamba_ssm
from causal_conv1d import causal_conv1d_fn, causal_conv1d_update
from mamba_ssm import Mamba
from mamba_ssm.modules.mamba_simple import Mamba as Same
from mamba_ssm.ops.selective_scan_interface import mamba_inner_fn, selective_scan_fn, selective_scan_ref
from mamba_ssm.ops.triton.selective_state_update import selective_state_update
assert importlib.util.find_spec("mamba_ssm.ops.triton.selective_state_update") and Mamba is Same
block = Mamba(8, 4, 3, 2, use_fast_path=False, layer_idx=1, device="cpu", dtype=torch.float64)
assert block.config.d_state == 4 and block.config.d_conv == 3
assert block(torch.randn(2, 5, 8, dtype=torch.float64), inference_params=None).shape == (2, 5, 8)
x, c = block.in_proj(torch.randn(2, 5, 8, dtype=torch.float64)).transpose(1, 2), block
y = mamba_inner_fn(x, c.conv1d.weight, c.conv1d.bias, c.x_proj.weight, c.dt_proj.weight, c.out_proj.weight,
                   c.out_proj.bias, -c.A_log.exp(), None, None, c.D, c.dt_proj.bias, delta_softplus=True)
assert y.shape == (2, 5, 8)
"""


def test_files_that_import_the_originals_run_unchanged() -> None:
    subprocess.run([sys.executable, "-c", SHIM], check=True)


def test_installed_packages_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from exuvia_ssm import mamba_ssm

    monkeypatch.setattr(mamba_ssm, "find_spec", lambda name: name)
    assert mamba_ssm.install_mamba_ssm_shim() == []
