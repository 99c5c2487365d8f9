"""Causal convolution over a whole sequence by FFT: an operator with a deterministic, differentiable backward pass.

Real transforms of a fast size >= 2L - 1 are computed in blocks of channels and not stored for the backward pass, so
only one block of spectra is in memory at a time. Both operators are bilinear, so their gradients consist of the same
two operators, to any order.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from exuvia_ssm.context import transformed
from exuvia_ssm.operators import register

_BLOCK = {"cpu": 1 << 22}
_BLOCK_ELSEWHERE = 1 << 27
"""Real numbers in the spectra of one block of channels."""

_SCHEMA = "(Tensor u, Tensor kernel) -> Tensor"
_BACKWARD = "(Tensor grad, Tensor u, Tensor kernel, bool wants_u, bool wants_kernel) -> (Tensor, Tensor)"


def convolve(u: Tensor, kernel: Tensor) -> Tensor:
    """Return y_t = sum over j <= t of K_j u_{t-j} for real u [B, L, H] and one filter per channel [H, L]."""
    if not transformed() or not u.numel():
        return torch.ops.exuvia.long_convolution(u, kernel)
    size = fast_size(2 * u.shape[1] - 1)
    return irfft(rfft(u, n=size, dim=1) * rfft(kernel, n=size).T, n=size, dim=1)[:, : u.shape[1]]


def fast_size(least: int) -> int:
    """Return the smallest even 2^i 3^j 5^k >= `least`."""
    best = 1 << max(1, (least - 1).bit_length())
    three = 1
    while three < best:
        five = three
        while five < best:
            size = five * max(2, 1 << (-(-least // five) - 1).bit_length())
            best, five = min(best, size), five * 5
        three *= 3
    return best


def _blocks(u: Tensor, size: int) -> Iterator[slice]:
    """Yield slices of channels whose spectra fit into one block."""
    batch, _, channels = u.shape
    room = _BLOCK.get(u.device.type, _BLOCK_ELSEWHERE)
    width = max(1, room // max(1, batch * size))
    width = width // 16 * 16 or width
    for first in range(0, channels, width):
        yield slice(first, min(first + width, channels))


def _convolution(u: Tensor, kernel: Tensor) -> Tensor:
    length = u.shape[1]
    size = fast_size(2 * length - 1)
    y = u.new_empty(u.shape)
    if u.numel():
        for part in _blocks(u, size):
            spectrum = rfft(u[..., part].permute(2, 0, 1), n=size).mul_(rfft(kernel[part], n=size)[:, None])
            y[..., part] = irfft(spectrum, n=size)[..., :length].permute(1, 2, 0)
    return y


def _correlation(grad: Tensor, u: Tensor, kernel: Tensor, wants_u: bool, wants_kernel: bool) -> tuple[Tensor, Tensor]:
    """Return sum_t g_t K_{t-s} [B, L, H] and sum_{b,t} g_t u_{t-j} [H, L]; empty if not wanted."""
    length = grad.shape[1]
    size = fast_size(2 * length - 1)
    to_u = u.new_empty(u.shape if wants_u else (0,))
    to_kernel = kernel.new_zeros(kernel.shape if wants_kernel else (0,))
    if grad.numel():
        for part in _blocks(grad, size):
            spectrum = rfft(grad[..., part].permute(2, 0, 1), n=size)
            if wants_kernel:
                shared = (rfft(u[..., part].permute(2, 0, 1), n=size).conj() * spectrum).sum(1)
                to_kernel[part] = irfft(shared, n=size)[:, :length]
            if wants_u:
                spectrum.mul_(rfft(kernel[part], n=size).conj()[:, None])
                to_u[..., part] = irfft(spectrum, n=size)[..., :length].permute(1, 2, 0)
    return to_u, to_kernel


def _convolution_shapes(u: Tensor, kernel: Tensor) -> Tensor:
    return u.new_empty(u.shape)


def _correlation_shapes(
    grad: Tensor, u: Tensor, kernel: Tensor, wants_u: bool, wants_kernel: bool
) -> tuple[Tensor, Tensor]:
    return u.new_empty(u.shape if wants_u else (0,)), kernel.new_empty(kernel.shape if wants_kernel else (0,))


def _keep_convolution(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _derive_convolution(ctx, grad):  # type: ignore[no-untyped-def]
    u, kernel = ctx.saved_tensors
    wants_u, wants_kernel = ctx.needs_input_grad
    to_u, to_kernel = torch.ops.exuvia.long_correlation(grad, u, kernel, wants_u, wants_kernel)
    return to_u if wants_u else None, to_kernel if wants_kernel else None


def _keep_correlation(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    grad, u, kernel, ctx.had_u, ctx.had_kernel = inputs
    ctx.save_for_backward(grad, u, kernel)


def _derive_correlation(ctx, up_u, up_kernel):  # type: ignore[no-untyped-def]
    """With gradients p, q of the results, g gets p * K + u * q; u and K get the correlations of g with q and p."""
    grad, u, kernel = ctx.saved_tensors
    up_u = up_u if ctx.had_u else torch.zeros_like(u)
    up_kernel = up_kernel if ctx.had_kernel else torch.zeros_like(kernel)
    convolution, correlation = torch.ops.exuvia.long_convolution, torch.ops.exuvia.long_correlation
    to_grad = convolution(up_u, kernel) + convolution(u, up_kernel)
    to_u, to_kernel = correlation(grad, up_u, up_kernel, True, True)
    return to_grad, to_u, to_kernel, None, None


register("long_convolution", _SCHEMA, _convolution, _convolution_shapes, _derive_convolution, _keep_convolution)
register("long_correlation", _BACKWARD, _correlation, _correlation_shapes, _derive_correlation, _keep_correlation)
