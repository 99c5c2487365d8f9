"""`selective_scan`: the recurrence of S6 and Mamba over whole sequences, on the fastest available backend.

    dt <- softplus(dt + dt_bias)                                        if requested
    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t                            Sec. 3.2 [gu2023mamba]
    y_t = C_t . h_t + D x_t,    times SiLU(z_t) with a gate

Backends: "cpu", a C++ kernel built at first use; "triton" on CUDA; "chunked", plain PyTorch on any device; "reference",
a loop over steps that has second derivatives. All give the same values and gradients.
"""

import os

import torch
from torch import Tensor

from exuvia_ssm.context import exporting, no_autocast, transformed
from exuvia_ssm.errors import ConfigError
from exuvia_ssm.registry import suggest
from exuvia_ssm.scan.arguments import ScanInput, checked
from exuvia_ssm.scan.fused_kernel import KERNEL, available_or_warn, fused_scan, unavailable_reason
from exuvia_ssm.scan.plain import PLAIN, plain_scan

BACKEND_VARIABLE = "EXUVIA_SCAN_BACKEND"
"""Environment variable that names the backend of calls that do not choose one."""


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    *,
    dt_softplus: bool = False,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_state: bool = False,
    backend: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run the selective recurrence.

    Args:
        x: input                                                                     [B, L, D]
        dt: step sizes, before bias and softplus                                     [B, L, D]
        A: decay rates, real, negative                                               [D, N]
        B, C: input and output maps: one, one per group of channels, or constant     [B, L, N], [B, L, G, N] or [D, N]
        D: skip                                                                      [D]
        z: gate, before SiLU                                                         [B, L, D]
        dt_bias: added to dt                                                         [D]
        dt_softplus: step sizes are softplus(dt + dt_bias)
        initial_state: state before the first step; None is zero                     [B, D, N], packed [S, D, N]
        lengths: real steps of each row, padding to the right                        [B] whole numbers
        cu_seqlens: where packed sequences begin, and the end; B must be 1           [S + 1] whole numbers
        reverse: run every sequence from its last real step to its first
        return_state: also return the final state, differentiable
        backend: None (the fastest suitable one), or "cpu", "triton", "chunked", "reference"
    Returns:
        y [B, L, D] in x's dtype, 0 past a row's length; with return_state also the state [B or S, D, N], float32, or
        float64 if an input is
    Raises:
        ShapeError: unsuitable shapes, dtypes or devices, or lengths out of range (lengths on a device or under
            torch.compile are clamped instead).
        ConfigError: an unknown or unavailable backend, or mutually exclusive arguments.

    Half precision is computed in float32. Under torch.func transforms, forward-mode AD and torch.export, "reference"
    replaces "chunked", and also kernels that were chosen automatically (except under export). Values that are not
    finite spread to later steps of their sequence and channel.
    """
    call = checked(ScanInput(x, dt, A, B, C, D, z, dt_bias, initial_state, lengths, cu_seqlens, dt_softplus, reverse))
    fits_kernels = call.x.dtype == torch.float32 and B.dim() > 2 and C.dim() > 2
    chosen = _chosen(x.device, fits_kernels, backend)
    with no_autocast(x.device):
        if x.numel() == 0 or A.numel() == 0:
            chosen = "reference"  # empty tensors; this backend supports every shape
        y, state = fused_scan(call.rows(), chosen) if chosen in KERNEL else plain_scan(call, chosen)
    y = y.view(x.shape).to(x.dtype)
    return (y, state) if return_state else y


def _chosen(device: torch.device, fits_kernels: bool, wanted: str | None) -> str:
    """Return the name of the backend for a call."""
    wanted = wanted or os.environ.get(BACKEND_VARIABLE) or None
    anywhere = "reference" if transformed() or exporting() else "chunked"  # PyTorch operators only, or fast
    if wanted is None:
        name = None if transformed() else {"cpu": "cpu", "cuda": "triton"}.get(device.type)
        return name if name and fits_kernels and available_or_warn(name) else anywhere
    if wanted in PLAIN:
        return anywhere if wanted == "chunked" else wanted
    if wanted not in KERNEL:
        raise ConfigError(f"unknown scan backend {wanted!r}; {suggest(wanted, (*PLAIN, *KERNEL))}")
    if transformed():
        raise ConfigError(
            f"scan backend {wanted!r} supports neither torch.func transforms nor forward-mode derivatives; "
            "use backend=None or 'reference'"
        )
    if not fits_kernels or device.type == "meta":
        return anywhere  # kernels support neither float64 nor constant B or C
    if reason := unavailable_reason(wanted):
        raise ConfigError(f"scan backend {wanted!r} is not available: {reason}")
    if wanted == "cpu" and device.type != "cpu":
        raise ConfigError(
            f"scan backend 'cpu' was given tensors on {device}; move them to the CPU, or use backend=None"
        )
    return wanted
