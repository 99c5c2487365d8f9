"""The selective scan: every backend gives the reference's values and gradients, in every mode it offers."""

import warnings
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exuvia_ssm.cpu import native
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.scan import fused_kernel
from exuvia_ssm.scan.selective_scan import selective_scan
from exuvia_ssm.scan.step import scan_step

BACKENDS = [
    "chunked",
    pytest.param("cpu", marks=pytest.mark.skipif(native.unavailable_reason() is not None, reason="no C++ compiler")),
]


def made(
    B: int = 2, L: int = 19, D: int = 6, N: int = 3, G: int = 1, seed: int = 0, *, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Arguments of a scan with states and gates."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    named = {"x": draw(B, L, D), "dt": draw(B, L, D), "A": -draw(D, N).abs() - 0.05, "B": draw(B, L, G, N)}
    named |= {"C": draw(B, L, G, N), "D": draw(D), "z": draw(B, L, D), "dt_bias": draw(D)}
    named["initial_state"] = draw(B, D, N)
    return {name: tensor.requires_grad_() for name, tensor in named.items()}


def results(arguments: dict[str, Tensor], **options: object) -> list[Tensor]:
    """y, final state and the gradients of a random loss of both, in the arguments' order."""
    y, state = selective_scan(**arguments, dt_softplus=True, return_state=True, **options)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.dtype) for t in (y, state)]
    loss = (y * weights[0]).sum() + (state * weights[1]).sum()
    return [y.detach(), state.detach(), *torch.autograd.grad(loss, list(arguments.values()))]


def close(ours: list[Tensor], theirs: list[Tensor], share: float = 2e-5) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=0, atol=share * max(1.0, float(b.detach().abs().max()) if b.numel() else 0))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_backend_is_the_reference(backend: str, data: st.DataObject) -> None:
    B, L, G = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 70)), data.draw(st.sampled_from([1, 2, 3]))
    D, N = G * data.draw(st.sampled_from([1, 5, 8, 17])), data.draw(st.sampled_from([1, 2, 4, 7, 16]))
    arguments = made(B, L, D, N, G, data.draw(st.integers(0, 99)))
    lengths = data.draw(st.none() | st.lists(st.integers(0, L), min_size=B, max_size=B).map(torch.tensor))
    modes = {"lengths": lengths, "reverse": data.draw(st.booleans())}
    close(results(arguments, backend=backend, **modes), results(arguments, backend="reference", **modes))


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_packed_sequences_are_separate_ones(backend: str) -> None:
    whole = made(1, 30, 4, 3)
    bounds = torch.tensor([0, 7, 7, 30])
    states = torch.randn(3, 4, 3)
    packed, final = selective_scan(
        **whole | {"initial_state": states}, cu_seqlens=bounds, return_state=True, backend=backend, dt_softplus=True
    )
    for s, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        part = {k: v[:, low:high] if k in ("x", "dt", "B", "C", "z") else v for k, v in whole.items()}
        part["initial_state"] = states[s : s + 1]
        y, state = selective_scan(**part, return_state=True, backend=backend, dt_softplus=True)
        close([packed[:, low:high], final[s : s + 1]], [y, state])


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_pieces_are_the_whole(backend: str) -> None:
    whole = made(dtype=torch.float32)
    y, state = selective_scan(**whole, return_state=True, backend=backend)
    first = {k: v[:, :8] if v.dim() > 2 and k != "initial_state" else v for k, v in whole.items()}
    later = {k: v[:, 8:] if v.dim() > 2 and k != "initial_state" else v for k, v in whole.items()}
    y1, middle = selective_scan(**first, return_state=True, backend=backend)
    y2, end = selective_scan(**later | {"initial_state": middle}, return_state=True, backend=backend)
    close([torch.cat((y1, y2), 1), end], [y, state])


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_reverse_is_the_flipped_scan_and_padding_is_not_read(backend: str) -> None:
    arguments = made(dtype=torch.float32)
    lengths = torch.tensor([19, 11])
    y, state = selective_scan(**arguments, reverse=True, lengths=lengths, return_state=True, backend=backend)
    assert (y[1, 11:] == 0).all()
    short = {k: v[1:2, :11].flip(1) if k in ("x", "dt", "B", "C", "z") else v for k, v in arguments.items()}
    short["initial_state"] = arguments["initial_state"][1:2]
    flipped, last = selective_scan(**short, return_state=True, backend=backend)
    close([y[1:2, :11].flip(1), state[1:2]], [flipped, last])
    with torch.no_grad():
        spoiled = {k: v.clone() for k, v in arguments.items()}
        for name in ("x", "dt", "B", "C", "z"):
            spoiled[name][1, 11:] = torch.nan
    again = selective_scan(**spoiled, reverse=True, lengths=lengths, backend=backend)
    assert torch.equal(again, y)
    modes = {"reverse": True, "lengths": lengths, "backend": backend}
    spoiled = {k: v.requires_grad_() for k, v in spoiled.items()}
    assert all(map(torch.equal, results(spoiled, **modes), results(arguments, **modes)))


@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_gradients_are_those_of_finite_differences(backend: str) -> None:
    arguments = made(2, 5, 2, 2, dtype=torch.float64)
    lengths = torch.tensor([5, 3])

    def run(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        named = dict(zip(arguments, tensors, strict=True))
        return selective_scan(**named, dt_softplus=True, lengths=lengths, return_state=True, backend=backend)

    assert torch.autograd.gradcheck(run, tuple(arguments.values()))
    if backend == "reference":
        assert torch.autograd.gradgradcheck(run, tuple(arguments.values()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_the_same_to_the_bit_every_time(backend: str) -> None:
    arguments = made(3, 65, 20, 16)
    first = results(arguments, backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(first, results(arguments, backend=backend), strict=True))


@pytest.mark.skipif(native.unavailable_reason() is not None, reason="no C++ compiler")
@pytest.mark.usefixtures("whole_graph")
def test_the_kernel_is_one_traceable_operator() -> None:
    arguments = made(2, 9, 4, 2)
    traced = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    run = torch.compile(selective_scan, backend=traced, fullgraph=True, dynamic=True)
    for length in (9, 70, 131):
        a = made(2, length, 4, 2)
        lengths = torch.tensor([length, length // 2])
        pairs = [f(**a, dt_softplus=True, lengths=lengths, return_state=True) for f in (run, selective_scan)]
        close(*([*pair, *torch.autograd.grad(pair[0].sum() + pair[1].sum(), list(a.values()))] for pair in pairs))
    assert traced.frame_count == 1
    (first,) = torch.autograd.grad(selective_scan(**arguments).sum(), arguments["x"], create_graph=True)
    with pytest.raises(ConfigError, match="fused scan has no second derivative"):
        first.sum().backward()
    with pytest.raises(ConfigError, match="chunked scan has no second derivative"):
        torch.autograd.grad(selective_scan(**arguments, backend="chunked").sum(), arguments["x"], create_graph=True)


@pytest.mark.skipif(native.unavailable_reason() is not None, reason="no C++ compiler")
def test_the_operator_passes_pytorchs_own_checks() -> None:
    a = {name: t.detach().flatten(0, 1) if t.dim() > 2 and name != "initial_state" else t.detach() for name, t in
         made(2, 9, 4, 2).items()}  # fmt: skip
    tensors = [a[k].requires_grad_() for k in ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_state")]
    rows = (
        *tensors,
        torch.tensor([0, 9]),
        torch.tensor([9, 4]),
        True,
        False,
        True,
        18 // native.steps_between_states() + 2,
        "cpu",
    )
    torch.library.opcheck(torch.ops.exuvia.scan_rows.default, rows)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_steps_are_the_sequence(groups: int) -> None:
    a = made(2, 7, 6, 3, groups)
    y, final = selective_scan(**a, dt_softplus=True, return_state=True)
    state, found = a["initial_state"], []
    for t in range(7):
        x, dt, B, C, z = (a[k][:, t] for k in ("x", "dt", "B", "C", "z"))
        y_t, state = scan_step(x, dt, a["A"], B, C, a["D"], z, a["dt_bias"], True, state)
        found.append(y_t)
    close([torch.stack(found, 1), state], [y, final])
    B, C = a["B"][:, :1, 0], a["A"].abs()
    y_t, _ = scan_step(a["x"][:, 0].bfloat16(), a["dt"][:, 0], a["A"], B[:, 0], C)
    whole = selective_scan(a["x"][:, :1].bfloat16(), a["dt"][:, :1], a["A"], B, C)
    assert y_t.dtype == torch.bfloat16
    assert torch.allclose(y_t, whole[:, 0])
    with pytest.raises(ShapeError, match="found state"):
        scan_step(x, dt, a["A"], B[:, 0], C, state=state[:1])
    with pytest.raises(ShapeError, match="found B_t"):
        scan_step(x, dt, a["A"], B[:, 0, :2], C)


def test_maps_of_different_groups_are_matched() -> None:
    a = made(2, 9, 12, 3, 2)
    four = a["C"].repeat_interleave(2, 2)
    six = a["C"].repeat_interleave(6, 2)
    for other in (four, six):
        close([selective_scan(**a | {"C": other})], [selective_scan(**a)])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(kind: torch.dtype) -> None:
    arguments = {k: v.detach().to(kind) for k, v in made(dtype=torch.float32).items()}
    y, state = selective_scan(**arguments, return_state=True)
    exact = selective_scan(**{k: v.float() for k, v in arguments.items()})
    assert y.dtype == kind
    assert state.dtype == torch.float32
    assert torch.equal(y, exact.to(kind))


def test_nothing_to_do_is_done() -> None:
    empty = made(2, 0, 4, 3)
    y, state = selective_scan(**empty, return_state=True)
    assert y.shape == (2, 0, 4)
    assert torch.equal(state, empty["initial_state"])
    (grad,) = torch.autograd.grad(y.sum(), empty["x"])
    assert grad.shape == (2, 0, 4)
    stateless = made(2, 5, 4, 0)
    y = selective_scan(**stateless)
    assert torch.equal(y, stateless["D"] * stateless["x"] * torch.nn.functional.silu(stateless["z"]))
    for size in ((0, 5, 4, 3), (2, 5, 0, 3)):
        assert selective_scan(**made(*size)).shape == size[:3]
    pads = made(2, 5, 4, 3)
    y, state = selective_scan(**pads, lengths=torch.tensor([0, 0]), return_state=True)
    assert (y == 0).all()
    assert torch.equal(state, pads["initial_state"])


def test_transposed_and_sliced_tensors_are_taken_as_they_are() -> None:
    a = made(dtype=torch.float32)
    twisted = {k: v.detach().mT.contiguous().mT if v.dim() == 3 else v for k, v in a.items()}
    assert torch.equal(selective_scan(**twisted), selective_scan(**a))


def test_bad_arguments_get_a_sentence() -> None:
    a = {k: v.detach() for k, v in made(dtype=torch.float32).items()}
    for change, said in (
        ({"x": a["x"][0]}, r"found x \[19, 6\]"),
        ({"A": a["A"].T}, r"expected real \[6, N\]"),
        ({"B": a["B"][:, :4]}, "found B"),
        ({"dt": a["dt"].long()}, "found dt"),
        ({"initial_state": a["initial_state"][:1]}, "found initial_state"),
        ({"lengths": torch.tensor([4, 20])}, "lengths from 4 to 20; expected 0 to 19"),
        ({"lengths": torch.tensor([4.0, 2.0])}, "whole numbers"),
        ({"cu_seqlens": torch.tensor([0, 19])}, "a batch of 1"),
    ):
        with pytest.raises(ShapeError, match=said):
            selective_scan(**a | change)
    with pytest.raises(ConfigError, match="did you mean 'chunked'"):
        selective_scan(**a, backend="chunks")
    with pytest.raises(ConfigError, match="give the lengths"):
        selective_scan(**a, lengths=torch.tensor([1, 2]), cu_seqlens=torch.tensor([0, 19]))


def test_without_a_compiler_plain_pytorch_is_used_and_a_warning_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXUVIA_NO_COMPILER", "1")
    native._state.cache_clear()
    fused_kernel._warn_once.cache_clear()
    a = {k: v.detach() for k, v in made(dtype=torch.float32).items()}
    try:
        with pytest.warns(RuntimeWarning, match="many times slower.*unset it to use a C\\+\\+ compiler"):
            y = selective_scan(**a)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # warned once only, and not when requested by name
            assert torch.equal(y, selective_scan(**a))
            assert torch.equal(y, selective_scan(**a, backend="chunked"))
        with pytest.raises(ConfigError, match="EXUVIA_NO_COMPILER"):
            selective_scan(**a, backend="cpu")
    finally:
        native._state.cache_clear()


DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
FLAWS = [0.0, 1e30, -1e30, float("inf"), float("nan")]


@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_any_strides_dtypes_and_values_are_those_of_the_reference(draw: st.DataObject) -> None:
    """Views that overlap, repeat, run backwards or skip; mixed dtypes; huge numbers and none."""
    batch, length, groups, share, states = (draw.draw(st.integers(low, 4)) for low in (0, 0, 1, 1, 0))
    width, generator = groups * share, torch.Generator().manual_seed(draw.draw(st.integers(0, 999)))

    def made(*shape: int) -> Tensor:
        tensor = torch.randn(*(2 * size + 1 for size in shape), generator=generator)
        tensor = tensor.to(draw.draw(st.sampled_from(DTYPES)))
        for axis, size in enumerate(shape):
            how = draw.draw(st.sampled_from(["head", "every other", "repeated"]))
            if how == "repeated":
                tensor = tensor.narrow(axis, 0, 1).expand(*(size if n == axis else -1 for n in range(len(shape))))
            else:
                tensor = tensor[
                    (slice(None),) * axis + (slice(1, 2 * size, 2) if how == "every other" else slice(size),)
                ]
        return torch._neg_view(tensor) if draw.draw(st.booleans()) else tensor

    x, dt, z = made(batch, length, width), made(batch, length, width), made(batch, length, width)
    A, B, C = made(width, states), made(batch, length, groups, states), made(batch, length, groups, states)
    if x.numel():
        x = x.clone()
        x.view(-1)[0] = torch.tensor(draw.draw(st.sampled_from(FLAWS))).to(x.dtype)  # 1e30 is infinite in half
    lengths = torch.tensor([draw.draw(st.integers(0, length)) for _ in range(batch)], dtype=torch.int64)
    rest = {"lengths": lengths, "reverse": draw.draw(st.booleans()), "return_state": True, "dt_softplus": True}
    tensors = (x, dt, -A.abs(), B, C, made(width), z, made(width))
    wanted = selective_scan(*tensors, **rest, backend="reference")
    for found in (selective_scan(*tensors, **rest), selective_scan(*tensors, **rest, backend="chunked")):
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2, equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        {"x": torch.zeros(2, 3, 4).to_sparse()},
        {"x": torch.zeros(2, 3, 4).numpy()},
        {"A": torch.zeros(4, 2).to_sparse()},
        {"dt": None},
        {"B": torch.zeros(2, 3, 2, dtype=torch.cfloat)},
        {"C": torch.zeros(2, 3, 2, device="meta")},
        {"x": torch.zeros(2, 3, 4, dtype=torch.int64)},
    ],
)
def test_what_no_kernel_can_read_is_refused(change: dict[str, Any]) -> None:
    call = {"x": torch.zeros(2, 3, 4), "dt": torch.zeros(2, 3, 4), "A": torch.zeros(4, 2)}
    call |= {"B": torch.zeros(2, 3, 2), "C": torch.zeros(2, 3, 2)} | change
    with pytest.raises(ShapeError, match="expected"):
        selective_scan(*call.values())
    first = [t[:, 0] if isinstance(t, Tensor) and t.dim() == 3 and not t.is_sparse else t for t in call.values()]
    with pytest.raises(ShapeError, match="expected"):
        scan_step(*first)


def test_lengths_of_every_kind_of_whole_number() -> None:
    x, A, B = torch.randn(2, 3, 4), -torch.rand(4, 2), torch.randn(2, 3, 2)
    for kind in (torch.uint8, torch.int16, torch.uint16, torch.uint64):
        found = selective_scan(x, x, A, B, B, lengths=torch.tensor([3, 1]).to(kind))
        torch.testing.assert_close(found, selective_scan(x, x, A, B, B, lengths=torch.tensor([3, 1])))
    with pytest.raises(ShapeError, match="expected 0 to 3"):
        selective_scan(x, x, A, B, B, lengths=torch.tensor([2**63, 1], dtype=torch.uint64))
