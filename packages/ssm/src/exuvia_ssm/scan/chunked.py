"""The selective scan in plain PyTorch, for machines without a compiler, in chunks of steps that fit the cache.

Glossary: B batch · T steps of a chunk · G groups · P channels of a group · N states. Equations (M1) to (M3) of
reference.py. Only the state before each chunk is stored; the backward pass recomputes a chunk's states and runs

    (M4)  g_t = C_t gy_t + a_{t+1} g_{t+1},     g = dLoss/dh

backwards through it, so the memory is that of the inputs and one chunk. The tensors of a chunk are allocated once and
reused, because repeated allocation fragments memory by gigabytes. No product of decays is divided out, so no step size
can overflow.
"""

from typing import Any

import torch
from torch import Tensor

from exuvia_ssm.errors import ConfigError

_ELEMENTS = 1 << 19
"""Elements of one [T, B, D, N] tensor: 2 MB in float32."""


def scan_chunked(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return outputs and final state, once differentiable; arguments and result as in `reference.scan_reference`."""
    if initial is None:
        initial = x.new_zeros(x.shape[0], *A.shape)
    result: tuple[Tensor, Tensor] = _ChunkedScan.apply(x, dt, A, B, C, initial)
    return result


class _Chunk:
    """The decays and states of one chunk, time first, in tensors that the next chunk reuses."""

    def __init__(self, x: Tensor, rates: Tensor, steps: int, kept: int) -> None:
        """x [L, B, G, P], rates [G, P, N], steps of a chunk, and the number of tensors of a chunk"""
        shape = (steps, *x.shape[1:], rates.shape[-1])
        self.rates, self.room = rates, [x.new_empty(shape) for _ in range(kept)]

    def run(self, x: Tensor, dt: Tensor, B: Tensor, before: Tensor) -> Tensor:
        """x, dt [T, B, G, P], B [T, B, G, N], state before the chunk [B, G, P, N] -> states [T, B, G, P, N]."""
        self.decay, self.states = (room[: len(x)] for room in self.room[:2])
        torch.mul(dt[..., None], self.rates, out=self.decay).exp_()  # (M1)
        torch.mul((dt * x)[..., None], B[:, :, :, None], out=self.states)
        previous = before
        for a, h in zip(self.decay.unbind(0), self.states.unbind(0), strict=True):
            h.addcmul_(a, previous)  # (M2)
            previous = h
        return self.states

    def adjoints(self, C: Tensor, grad_y: Tensor, after: Tensor) -> Tensor:
        """Return g_t of every step; `after` is the adjoint from the following chunk.   (M4)"""
        adjoints = torch.mul(grad_y[..., None], C[:, :, :, None], out=self.room[2][: len(C)])
        adjoints[-1] += after
        steps = adjoints.unbind(0)
        for t in range(len(steps) - 2, -1, -1):
            steps[t].addcmul_(self.decay[t + 1], steps[t + 1])
        return adjoints

    def exponents(self, adjoints: Tensor, before: Tensor) -> Tensor:
        """Return dLoss/d(dt A) of every step, g_t a_t h_{t-1}, in place of the adjoints."""
        adjoints.mul_(self.decay)
        adjoints[0].mul_(before)
        adjoints[1:].mul_(self.states[:-1])
        return adjoints


def _time_first(tensor: Tensor, groups: int) -> Tensor:
    """[B, L, D] -> [L, B, G, P], a view."""
    return tensor.transpose(0, 1).unflatten(-1, (groups, -1))


class _ChunkedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, initial: Tensor) -> Any:
        groups = B.shape[2]
        length = x.shape[1]
        steps = max(1, min(length, _ELEMENTS // max(1, x.shape[0] * A.numel())))
        xs, dts, Bs, Cs = _time_first(x, groups), _time_first(dt, groups), B.transpose(0, 1), C.transpose(0, 1)
        chunk = _Chunk(xs, A.unflatten(0, (groups, -1)), steps, kept=2)
        first = initial.unflatten(1, (groups, -1))
        borders = first.new_empty(1 + -(-length // steps), *first.shape)  # states before each chunk and after the last
        borders[0] = first
        y = torch.empty_like(x)
        ys = _time_first(y, groups)
        for number, low in enumerate(range(0, length, steps)):
            part = slice(low, low + steps)
            states = chunk.run(xs[part], dts[part], Bs[part], borders[number])
            ys[part] = (states @ Cs[part, ..., None]).squeeze(-1)  # (M3)
            borders[number + 1] = states[-1]
        ctx.save_for_backward(x, dt, A, B, C, borders)
        ctx.steps = steps
        return y, borders[-1].flatten(1, 2).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():  # with create_graph=True the result would be silently wrong
            raise ConfigError("the chunked scan has no second derivative; use backend='reference'")
        x, dt, A, B, C, borders = ctx.saved_tensors
        grad_y, grad_final = grads
        groups, steps = B.shape[2], ctx.steps
        xs, dts, Bs, Cs = _time_first(x, groups), _time_first(dt, groups), B.transpose(0, 1), C.transpose(0, 1)
        gys, rates = _time_first(grad_y, groups), A.unflatten(0, (groups, -1))
        dx, ddt, dA = torch.empty_like(x), torch.empty_like(dt), torch.zeros_like(rates)
        dB, dC = torch.empty_like(B), torch.empty_like(C)
        dxs, ddts, dBs, dCs = _time_first(dx, groups), _time_first(ddt, groups), dB.transpose(0, 1), dC.transpose(0, 1)
        after, chunk = grad_final.unflatten(1, (groups, -1)), _Chunk(xs, rates, steps, kept=3)
        for number in reversed(range(len(borders) - 1)):
            part = slice(number * steps, (number + 1) * steps)
            states = chunk.run(xs[part], dts[part], Bs[part], borders[number])
            adjoints = chunk.adjoints(Cs[part], gys[part], after)
            dCs[part] = (gys[part][..., None, :] @ states).squeeze(-2)
            written = (adjoints @ Bs[part, ..., None]).squeeze(-1)
            dBs[part] = ((dts[part] * xs[part])[..., None, :] @ adjoints).squeeze(-2)
            after = chunk.decay[0] * adjoints[0]
            exponents = chunk.exponents(adjoints, borders[number])
            dxs[part] = dts[part] * written
            dA += torch.einsum("tbgpn,tbgp->gpn", exponents, dts[part])
            ddts[part] = xs[part] * written + exponents.mul_(rates).sum(-1)
        return dx, ddt, dA.flatten(0, 1), dB, dC, after.flatten(1, 2)
