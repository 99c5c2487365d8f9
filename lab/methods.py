"""The compared implementations of the selective scan: ours, other packages, and attention.

Everything here computes, from raw steps dt and a bias,

    dt <- softplus(dt + bias),  h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t,  y_t = C_t.h_t + D x_t    Alg. 2 [gu2023mamba]

with A = -(1 .. N) in every channel, float32, and has gradients for x, dt, A, B, C, D and the bias.
"""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from exuvia.errors import ConfigError
from exuvia_ssm import selective_scan
from exuvia_ssm.cpu import native
from exuvia_ssm.registry import LAYER, resolve
from lab.roofline import Size
from lab.workload import Method, Work

HEAD = 64
"""Channels of an attention head."""


class ScanInputs(NamedTuple):
    """Leaves of a scan."""

    x: Tensor
    """[B, L, D]"""
    dt: Tensor
    """[B, L, D], before bias and softplus"""
    A: Tensor
    """[D, N]"""
    B: Tensor
    """[B, L, N]"""
    C: Tensor
    """[B, L, N]"""
    D: Tensor
    """[D]"""
    bias: Tensor
    """[D]"""


def made_inputs(size: Size, device: str) -> ScanInputs:
    """Random inputs, the same for every method; step sizes spread over 0.001 .. 0.1 as Mamba starts with."""
    random = torch.Generator().manual_seed(0)
    b, length, d, n = size
    wide, narrow = (b, length, d), (b, length, n)
    steps = torch.exp(math.log(1e-3) + math.log(100.0) * torch.rand(d, generator=random))
    inputs = ScanInputs(
        x=torch.randn(wide, generator=random),
        dt=0.1 * torch.randn(wide, generator=random),
        A=-torch.arange(1.0, n + 1).repeat(d, 1),
        B=torch.randn(narrow, generator=random),
        C=torch.randn(narrow, generator=random),
        D=torch.ones(d),
        bias=steps + torch.log(-torch.expm1(-steps)),
    )
    return ScanInputs(*(tensor.to(device).requires_grad_() for tensor in inputs))


def ours(backend: str) -> Callable[[Size, str], Work]:
    """A backend of exuvia_ssm.selective_scan."""

    def build(size: Size, device: str) -> Work:
        i = made_inputs(size, device)

        def forward(backend: str = backend) -> Tensor:
            y = selective_scan(i.x, i.dt, i.A, i.B, i.C, i.D, dt_bias=i.bias, dt_softplus=True, backend=backend)
            return y if isinstance(y, Tensor) else y[0]

        return Work(forward, i, expected=lambda: Work(lambda: forward("reference"), i))

    return build


def kernel(size: Size, device: str) -> Work:
    """The compiled kernel of the device."""
    if device.startswith("cuda"):
        if import_module("exuvia_ssm.gpu.launch").unavailable_reason():
            raise ConfigError("the CUDA kernel needs Triton, found none; pip install triton")
        return ours("triton")(size, device)
    if (reason := native.unavailable_reason()) is not None:
        raise ConfigError(reason)
    return ours("cpu")(size, device)


def sliced_loop(size: Size, device: str) -> Work:
    """A loop over steps that takes slices of exp(dt A) and dt x B, made whole before: [B, D, L, N] each.

    That is how the pure-PyTorch paths of mamba-ssm (selective_scan_ref, selective_scan_interface.py) and of
    transformers work; the gradient of every slice is a tensor of the whole size, so the backward is quadratic in L.
    """
    i = made_inputs(size, device)

    def forward() -> Tensor:
        dt = functional.softplus(i.dt + i.bias)
        decay = torch.exp(torch.einsum("bld,dn->bdln", dt, i.A))
        drive = torch.einsum("bld,bln,bld->bdln", dt, i.B, i.x)
        h = torch.zeros_like(decay[:, :, 0])
        steps = []
        for t in range(size.L):
            h = decay[:, :, t] * h + drive[:, :, t]
            steps.append(torch.einsum("bdn,bn->bd", h, i.C[:, t]))
        return torch.stack(steps, dim=1) + i.x * i.D

    return Work(forward, i, expected=lambda: ours("reference")(size, device))


def mambapy(size: Size, device: str) -> Work:
    """The scan of mambapy 1.2: its MambaBlock.selective_scan (mambapy/mamba.py), a Blelloch scan of whole tensors."""
    block = _peer("mambapy.mamba", "mambapy").MambaBlock
    i = made_inputs(size, device)

    def forward() -> Tensor:
        y: Tensor = block.selective_scan(None, i.x, functional.softplus(i.dt + i.bias), i.A, i.B, i.C, i.D)
        return y

    return Work(forward, i, expected=lambda: ours("reference")(size, device))


def mamba_ssm(size: Size, device: str) -> Work:
    """mamba-ssm's CUDA kernel, given its own layout: x, dt [B, D, L]; B, C [B, N, L]."""
    if not device.startswith("cuda"):
        raise ConfigError("mamba-ssm's kernel runs on CUDA only")
    scan = _peer("mamba_ssm.ops.selective_scan_interface", "mamba-ssm").selective_scan_fn
    i = made_inputs(size, device)
    x, dt, B, C = (t.detach().transpose(1, 2).contiguous().requires_grad_() for t in (i.x, i.dt, i.B, i.C))

    def forward() -> Tensor:
        y: Tensor = scan(x, dt, i.A, B, C, i.D, delta_bias=i.bias, delta_softplus=True)
        return y.transpose(1, 2)

    leaves = ScanInputs(x, dt, i.A, B, C, i.D, i.bias)
    return Work(forward, leaves, expected=lambda: ours("reference")(size, device))


def block(size: Size, device: str) -> Work:
    """Our whole Mamba block whose inner scan has this size: d_model = D / 2, expanded twice."""
    torch.manual_seed(0)
    layer = resolve(LAYER, "mamba", "state-space layer")(size.D // 2, d_state=size.N).to(device)
    return _block_work(layer, size, device)


def transformers_block(size: Size, device: str) -> Work:
    """transformers' MambaMixer on its slow path (models/mamba/modeling_mamba.py), and the same weights in ours."""
    module = _peer("transformers.models.mamba.modeling_mamba", "transformers")
    options = {"hidden_size": size.D // 2, "state_size": size.N, "expand": 2, "num_hidden_layers": 1}
    torch.manual_seed(0)
    config = module.MambaConfig(**options, use_mambapy=False, use_associative_scan=False)
    mixer = module.MambaMixer(config, layer_idx=0).to(device)

    def expected() -> Work:
        layer = resolve(LAYER, "mamba", "state-space layer")(size.D // 2, d_state=size.N).to(device)
        layer.load_state_dict(mixer.state_dict())
        weights = dict(layer.named_parameters())
        return _block_work(layer, size, device, [weights[name] for name, _ in mixer.named_parameters()])

    return _block_work(mixer, size, device, expected=expected)


def attention(size: Size, device: str) -> Work:
    """torch's causal attention over the same channels: q, k, v [B, D / 64, L, 64]."""
    random = torch.Generator().manual_seed(0)
    width = min(HEAD, size.D)
    if size.D % width:
        raise ConfigError(f"found {size.D} channels, expected a multiple of {width}, the width of a head")
    shape = (size.B, size.D // width, size.L, width)
    q, k, v = (torch.randn(shape, generator=random).to(device).requires_grad_() for _ in range(3))
    return Work(lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v))


def _block_work(
    layer: Any, size: Size, device: str, weights: Any = None, expected: Callable[[], Work] | None = None
) -> Work:
    layer.eval()
    x = torch.randn(size.B, size.L, size.D // 2, generator=torch.Generator().manual_seed(2)).to(device)
    x.requires_grad_()
    weights = list(layer.parameters()) if weights is None else weights
    facts = {"parameters": float(sum(w.numel() for w in layer.parameters()))}
    return Work(lambda: layer(x), (x, *weights), facts, expected)


def _peer(module: str, package: str) -> Any:
    """A module of an optional package. Raises ConfigError that names what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{package} cannot be imported ({error}); pip install {package}") from None


METHODS = {
    "kernel": Method("exuvia kernel", "scan", kernel),
    "chunked": Method("exuvia chunked (torch)", "scan", ours("chunked")),
    "reference": Method("exuvia reference loop", "scan", ours("reference")),
    "loop": Method("sliced loop", "scan", sliced_loop),
    "mambapy": Method("mambapy pscan", "scan", mambapy),
    "mamba_ssm": Method("mamba-ssm CUDA", "scan", mamba_ssm),
    "block": Method("exuvia Mamba block", "block", block),
    "transformers": Method("transformers block", "block", transformers_block),
    "attention": Method("causal attention", "attention", attention),
}
"""By name; the columns of `python -m lab scan`."""
