"""A complex diagonal system in discrete time: powers of its poles, kernel, and tables of the chunked form.

Glossary: H channels (D of the layers) · P = N/2 complex modes, one of each conjugate pair · a = exp(dt A) discretised
pole · c = C (a - 1) / A under zero-order hold, so that the input matrix is 1. The system is

    h_t = a h_{t-1} + u_t,   y_t = 2 Re(sum_p c_p h_t,p),   K_l = 2 Re(sum_p c_p a_p^l)      Sec. 2, 3 [gu2022s4d]

Poles are stored as log radius and angle in turns, both float64, so a^k keeps its precision at k = 262,144, where an
angle in float32 has lost four digits. Tables are returned in the working dtype.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-300


@dataclass(frozen=True)
class Modes:
    """A discretised diagonal system; all fields float64, differentiable."""

    log_radius: Tensor
    """log |a|   [H, P]"""
    turns: Tensor
    """arg(a) / 2 pi   [H, P]"""
    c_real: Tensor
    """real part of c   [H, P]"""
    c_imag: Tensor
    """imaginary part of c   [H, P]"""


@dataclass(frozen=True)
class ChunkTables:
    """Tables of a chunk of T steps for diagonal_scan: `y = K * u + read(state)`, `state' = a^T state + write(u)`."""

    kernel: Tensor
    """first T values of the kernel   [H, T]"""
    write: Tensor
    """a^(T-1-j), real and imaginary part interleaved   [H, T, 2P]"""
    read: Tensor
    """2 Re(c a^(j+1) .) as rows for real and imaginary part   [H, 2P, T]"""
    decay: Tensor
    """a^T, always float64   [H, P, 2]"""


def discretise(real: Tensor, imag: Tensor, c_real: Tensor, c_imag: Tensor, dt: Tensor, rule: str) -> Modes:
    """Discretise x' = A x + u, y = 2 Re(C x), with A and C [H, P], at intervals dt [H].   Sec. 3 [gu2022s4d]

    Rule "zoh": a = exp(dt A), c = C (a - 1) / A.
    Rule "bilinear": a = (1 + dt A / 2) / (1 - dt A / 2), c = C dt / (1 - dt A / 2). The real part of A is negative.
    """
    real, imag, c_real, c_imag, dt = (t.double() for t in (real, imag, c_real, c_imag, dt))
    x, y = real * dt[:, None], imag * dt[:, None]
    if rule == "zoh":
        log_radius, angle = x, y
        size = real.square() + imag.square()
        # exp(x + iy) - 1 without cancellation: expm1(x) - 2 e^x sin^2(y/2) + i e^x sin y
        up = torch.expm1(x) - 2 * x.exp() * (y / 2).sin().square()
        side = x.exp() * y.sin()
        gain_real, gain_imag = (up * real + side * imag) / size, (side * real - up * imag) / size
    else:
        top, bottom = (1 + x / 2).square() + (y / 2).square(), (1 - x / 2).square() + (y / 2).square()
        log_radius = (top.clamp_min(_TINY).log() - bottom.log()) / 2
        angle = torch.atan2(y / 2, 1 + x / 2) + torch.atan2(y / 2, 1 - x / 2)
        gain_real, gain_imag = dt[:, None] * (1 - x / 2) / bottom, dt[:, None] * (y / 2) / bottom
    product = (c_real * gain_real - c_imag * gain_imag, c_real * gain_imag + c_imag * gain_real)
    return Modes(log_radius, angle / (2 * math.pi), *product)


def powers(modes: Modes, exponents: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return both parts of a^k [H, P, K] for float64 exponents k [K]; angles are reduced to one turn in float64."""
    turns = modes.turns[..., None] * exponents
    angle = (2 * math.pi * (turns - turns.detach().round())).to(dtype)
    radius = (modes.log_radius[..., None] * exponents).to(dtype).exp()
    return radius * angle.cos(), radius * angle.sin()


def kernel(modes: Modes, length: int, dtype: torch.dtype) -> Tensor:
    """Return the convolution kernel K [H, L] without a [H, P, L] table.   Vandermonde product, Sec. 3 [gu2022s4d]

    l = T i + j with T about sqrt(L): K = 2 Re((c a^(T i)) . a^j) is one batched product [H, L/T, 2P] x [H, 2P, T], so
    only about 2 sqrt(L) powers of each pole are computed, also in the backward pass.
    """
    chunk = 1
    while chunk * chunk < length:
        chunk *= 2
    count = -(-length // chunk)
    steps = torch.arange(chunk, dtype=torch.float64, device=modes.turns.device)
    near_real, near_imag = powers(modes, steps, dtype)
    far_real, far_imag = powers(modes, steps[:count] * chunk, dtype)
    c_real, c_imag = modes.c_real.to(dtype)[..., None], modes.c_imag.to(dtype)[..., None]
    left = torch.cat((c_real * far_real - c_imag * far_imag, -(c_real * far_imag + c_imag * far_real)), 1)
    table = 2 * torch.bmm(left.transpose(1, 2), torch.cat((near_real, near_imag), 1))
    return table.flatten(1)[:, :length]


def chunk_tables(modes: Modes, chunk: int, dtype: torch.dtype) -> ChunkTables:
    """Return the tables for chunks of `chunk` steps."""
    steps = torch.arange(chunk + 1, dtype=torch.float64, device=modes.turns.device)
    real, imag = powers(modes, steps, dtype)
    c_real, c_imag = modes.c_real.to(dtype)[..., None], modes.c_imag.to(dtype)[..., None]
    heard = 2 * (c_real * real - c_imag * imag)
    turned = -2 * (c_real * imag + c_imag * real)
    write = torch.stack((real[..., :-1].flip(-1), imag[..., :-1].flip(-1)), 2).flatten(1, 2).transpose(1, 2)
    read = torch.stack((heard[..., 1:], turned[..., 1:]), 2).flatten(1, 2)
    return ChunkTables(heard[..., :-1].sum(1), write, read, torch.cat(powers(modes, steps[-1:], torch.float64), -1))
