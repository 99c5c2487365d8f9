"""Every layer under torch.func, forward mode, tensors without values, export, compilation, and with an empty batch."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jvp, vjp, vmap

from exuvia_ssm import S4D, S6, Bidirectional, Mamba, SeRpEnt, scan_step, selective_scan
from exuvia_ssm.cpu import native
from exuvia_ssm.errors import ConfigError

SELECTIVE: dict[str, Callable[..., Any]] = {
    "s6": lambda **scan: S6(4, d_state=3, **scan),
    "mamba": lambda **scan: Mamba(4, d_state=3, **scan),
    "serpent": lambda **scan: SeRpEnt(4, rates=(0.7, 0.4), ssm="s6", ssm_options={"d_state": 3, **scan}),
    "bidirectional": lambda **scan: Bidirectional(4, ssm="mamba", ssm_options={"d_state": 3, **scan}),
}
LINEAR: dict[str, Callable[..., Any]] = {
    "s4d fft": lambda: S4D(4, d_state=4, method="fft"),
    "s4d chunked": lambda: S4D(4, d_state=4, method="chunked"),
    "serpent nearest": lambda: SeRpEnt(
        4, rates=(0.6,), ssm="s4d", neighbours="nearest", restore="linear", causal=False, mix="depthwise"
    ),
}
CASES = [(kind, backend) for kind in SELECTIVE for backend in (None, "reference", "chunked")]
CASES += [(kind, None) for kind in LINEAR]
everywhere = pytest.mark.parametrize(("kind", "backend"), CASES)
VALID = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 0], [0, 1, 1, 1, 0, 0, 0]]).bool()


def layer(kind: str, backend: str | None = None) -> Any:
    torch.manual_seed(0)
    options = {} if backend is None else {"backend": backend}
    return (SELECTIVE[kind](**options) if kind in SELECTIVE else LINEAR[kind]()).double().eval()


def data(*shape: int) -> Tensor:
    return torch.randn(*(shape or (3, 7, 4)), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def causal(model: Any) -> bool:
    return not isinstance(model, Bidirectional) and getattr(model.config, "causal", True)


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@everywhere
def test_gradients_of_single_samples(kind: str, backend: str | None) -> None:
    model, x = layer(kind, backend), data()
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor, valid: Tensor) -> Tensor:
        return functional_call(model, parameters, (x[None], valid[None])).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, VALID)
    for b in range(3):
        wanted = torch.autograd.grad(model(x[b : b + 1], VALID[b : b + 1]).square().sum(), list(model.parameters()))
        close([found[name][b] for name in parameters], list(wanted))


@everywhere
def test_the_whole_is_the_same_under_vmap_and_vjp(kind: str, backend: str | None) -> None:
    model, x = layer(kind, backend), data(2, 3, 7, 4)
    close(vmap(model)(x), torch.stack([model(part) for part in x]))
    y, back = vjp(model, x[0])
    leaf = x[0].clone().requires_grad_()
    close(y, model(leaf))
    close(back(torch.ones_like(y))[0], torch.autograd.grad(model(leaf).sum(), leaf)[0])


@everywhere
def test_forward_mode_is_the_difference(kind: str, backend: str | None) -> None:
    model, x = layer(kind, backend), data()
    way = 0.1 * data(4, 7, 3).permute(2, 1, 0)
    _, found = jvp(model, (x,), (way,))
    near = [model(x + sign * 1e-6 * way) for sign in (1, -1)]
    close(found, (near[0] - near[1]) / 2e-6, 1e-5)
    with forward_ad.dual_level():
        close(forward_ad.unpack_dual(model(forward_ad.make_dual(x, way))).tangent, found)


@everywhere
def test_states_and_steps_under_vmap(kind: str, backend: str | None) -> None:
    model, x = layer(kind, backend), data()
    if not causal(model):
        pytest.skip("it has no stream")
    _, state = model(x[:, :4], return_state=True)
    wanted = [model(x[:, 4:], state=state, return_state=True), model.step(x[:, 4], state)]
    for run, of in ((lambda t, s: model(t, state=s, return_state=True), x[:, 4:]), (model.step, x[:, 4])):
        spread = vmap(lambda t, s, run=run: run(t[None], torch.utils._pytree.tree_map(lambda p: p[None], s)))
        found = torch.utils._pytree.tree_map(lambda p: p.squeeze(1), spread(of, state))
        close(found, wanted.pop(0))


def test_second_derivatives_under_torch_func() -> None:
    model, x = layer("mamba"), data(1, 3, 4)
    found = hessian(lambda x: model(x).square().sum())(x)
    exact = layer("mamba", "reference")
    close(found, torch.autograd.functional.hessian(lambda x: exact(x).square().sum(), x))


@pytest.mark.skipif(native.unavailable_reason() is not None, reason="no compiler")
@pytest.mark.parametrize("kind", SELECTIVE)
def test_a_kernel_that_is_asked_for_by_name_says_that_it_cannot(kind: str) -> None:
    model = layer(kind, "cpu").float()
    for run in (vmap(lambda x: model(x[None])), grad(lambda x: model(x).sum()), lambda x: jvp(model, (x,), (x,))):
        with pytest.raises(ConfigError, match=r"torch.func transforms.*backend=None"):
            run(data().float())


@everywhere
@pytest.mark.parametrize("masked", [False, True])
def test_shapes_without_values(kind: str, backend: str | None, masked: bool) -> None:
    model, x = layer(kind, backend), data()
    pair = (x, VALID) if masked else (x,)
    wanted = model(*pair)
    bare = layer(kind, backend).to("meta")(*(part.to("meta") for part in pair))
    assert (bare.shape, bare.dtype, bare.device.type) == (wanted.shape, wanted.dtype, "meta")
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = model(*(mode.from_tensor(part) for part in pair))
    assert fake.shape == wanted.shape
    if causal(model):
        streamed, _ = layer(kind, backend).to("meta").step(x[:, 0].to("meta"), model.initial_state(3, "meta"))
        assert streamed.shape == (3, 4)


few = pytest.mark.parametrize(("kind", "backend"), [("mamba", "chunked"), ("serpent", None), ("s4d chunked", None)])


@few
@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_export(kind: str, backend: str | None, strict: bool) -> None:
    model, valid = layer(kind, backend), VALID[:, :3]
    program = torch.export.export(model, (data(3, 3, 4), valid), strict=strict)
    other = data(5, 3, 4)[2:]
    close(program.module()(other, valid.flip(1)), model(other, valid.flip(1)))


@few
@pytest.mark.slow
def test_compiled(kind: str, backend: str | None) -> None:
    model, x = layer(kind, backend), data().requires_grad_()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=not isinstance(model, SeRpEnt))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = compiled(x, VALID)
    close(y, model(x, VALID))
    wanted = torch.autograd.grad(model(x, VALID).square().sum(), [x, *model.parameters()])
    close(torch.autograd.grad(y.square().sum(), [x, *model.parameters()]), wanted)


@everywhere
@pytest.mark.parametrize("shape", [(0, 7, 4), (3, 0, 4), (0, 0, 4)])
def test_an_empty_batch_has_a_gradient_of_zeros(kind: str, backend: str | None, shape: tuple[int, ...]) -> None:
    model, x = layer(kind, backend), data(*shape)
    y = model(x)
    assert y.shape == x.shape
    y.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name
    vmap(model)(data(2, *shape))


@pytest.mark.parametrize("backend", ["reference", "chunked", None])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_functions(backend: str | None, reverse: bool) -> None:
    x, dt, A, B = data(3, 7, 4), data(3, 7, 4).square(), -data(4, 2).exp(), data(3, 7, 2)
    ends, bounds = torch.tensor([7, 0, 4]), torch.tensor([0, 3, 3, 7])
    rest = {"reverse": reverse, "backend": backend}

    def padded(x: Tensor, ends: Tensor) -> Tensor:
        return selective_scan(x, dt, A, B, B, lengths=ends, **rest)

    def packed(x: Tensor) -> Tensor:
        return selective_scan(x[None], dt[:1], A, B[:1], B[:1], cu_seqlens=bounds, **rest)

    both = torch.stack([ends, ends.flip(0)])
    close(vmap(padded, (None, 0))(x, both), torch.stack([padded(x, end) for end in both]))
    close(vmap(packed)(x), torch.stack([packed(row) for row in x]))
    close(jvp(packed, (x[0],), (x[0],))[1], packed(x[0]))
    assert selective_scan(*(t.to("meta") for t in (x, dt, A, B, B, A[:, 0])), **rest).shape == x.shape
    y, state = vmap(lambda x, dt: scan_step(x, dt, A, B[:, 0], B[:, 1]))(x.expand(2, 3, 7, 4)[:, :, 0], dt[:2, :3])
    assert (y.shape, state.shape) == ((2, 3, 4), (2, 3, 4, 2))
