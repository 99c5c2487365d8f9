"""The diagonal system over a sequence in chunks: matrix products inside a chunk, a recurrence from chunk to chunk.

Glossary: H channels · P modes · T steps of a chunk · R = B I rows, the chunks of all sequences. The recurrence of
`diagonal.py`, cut after every T steps, with s_i the state before chunk i:

    y = u K + s_i read          s_{i+1} = a^T s_i + u write          (products over the steps of a chunk, K Toeplitz)

The cost is linear in L. Long inputs are processed in segments; the backward pass only needs the state before each
segment, so no temporary is larger than a segment. Deterministic, because no sum is atomic.
"""

from typing import Any

import torch
from torch import Tensor

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.operators import register
from exuvia_ssm.s4d.diagonal_system import ChunkTables, Modes, powers

_SEGMENT = {"cpu": 1 << 21}
_SEGMENT_ELSEWHERE = 1 << 25
"""Elements of the input that are processed at a time."""

_SCHEMA = (
    "(Tensor u, Tensor kernel, Tensor write, Tensor read, Tensor decay, Tensor? initial, Tensor last)"
    " -> (Tensor, Tensor, Tensor)"
)
_BACKWARD_SCHEMA = (
    "(Tensor grad_y, Tensor grad_mark, Tensor u, Tensor kernel, Tensor write, Tensor read, Tensor decay,"
    " Tensor last, Tensor starts, bool wants_u, bool wants_tables)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def diagonal_scan(
    u: Tensor, modes: Modes, tables: ChunkTables, initial: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return outputs and final state for u [B, L, H], float32 or float64; differentiable in all tensors.

    A skip connection D u can be added to `tables.kernel[:, 0]`; the tables have u's dtype. `initial` [B, H, P] and the
    final state are complex; `lengths` [B] counts real steps. y [B, L, H] is undefined after a row's last real step.
    """
    batch, length, _ = u.shape
    chunk = tables.kernel.shape[-1]
    ends = torch.full((batch,), length, device=u.device) if lengths is None else lengths
    last = torch.div(ends - 1, chunk, rounding_mode="floor").clamp_min(0)
    start = None if initial is None else torch.view_as_real(initial).flatten(2)
    y, mark, _ = torch.ops.exuvia.diagonal_scan(u, tables.kernel, tables.write, tables.read, tables.decay, start, last)
    tail = _last_steps(u, ends, last, chunk)
    written = torch.bmm(tail.permute(2, 0, 1), tables.write).transpose(0, 1)
    rest = (ends - last * chunk).to(torch.float64)
    real, imag = powers(modes, rest if lengths is not None else rest[:1], u.dtype)
    real, imag = real.permute(2, 0, 1), imag.permute(2, 0, 1)
    before, added = mark.unflatten(-1, (-1, 2)), written.unflatten(-1, (-1, 2))
    final_real = real * before[..., 0] - imag * before[..., 1] + added[..., 0]
    final_imag = real * before[..., 1] + imag * before[..., 0] + added[..., 1]
    return y, torch.complex(final_real, final_imag)


def _last_steps(u: Tensor, ends: Tensor, last: Tensor, chunk: int) -> Tensor:
    """Return each row's last chunk, shifted so that the last real step comes last; zeros before it.   [B, T, H]"""
    if not u.shape[1]:
        return u.new_zeros(u.shape[0], chunk, u.shape[2])
    index = ends[:, None] - chunk + torch.arange(chunk, device=u.device)
    taken = u.gather(1, index.clamp_min(0)[..., None].expand(-1, -1, u.shape[2]))
    return torch.where((index >= last[:, None] * chunk)[..., None], taken, 0)


def _segment_steps(u: Tensor, chunk: int) -> int:
    """Return the number of steps of a segment, a multiple of `chunk`."""
    room = _SEGMENT.get(u.device.type, _SEGMENT_ELSEWHERE)
    return max(1, room // max(1, u.shape[0] * u.shape[2] * chunk)) * chunk


def _segments(u: Tensor, chunk: int) -> list[tuple[int, int]]:
    """Return first and one-past-last step of each segment; all but the last consist of whole chunks."""
    length, steps = u.shape[1], _segment_steps(u, chunk)
    return [(first, min(first + steps, length)) for first in range(0, length, steps)] if u.numel() else []


def _to_rows(u: Tensor, chunk: int) -> Tensor:
    """Return chunks as rows, channels first, after one row of zeros.   [B, n, H] -> [H, 1 + B I, T]"""
    batch, steps, channels = u.shape
    count = -(-steps // chunk)
    rows = u.new_empty(channels, 1 + batch * count, chunk)
    rows[:, 0] = 0
    inside = rows[:, 1:].view(channels, batch, count * chunk)
    inside[..., :steps] = u.permute(2, 0, 1)
    inside[..., steps:] = 0
    return rows


def _from_rows(rows: Tensor, batch: int, out: Tensor) -> None:
    """Copy rows [H, B I, T] into `out` [B, n, H]."""
    out.copy_(rows.view(rows.shape[0], batch, -1)[..., : out.shape[1]].permute(1, 2, 0))


def _states(rows: Tensor, write: Tensor, decay: Tensor, initial: Tensor) -> Tensor:
    """Return the state before every chunk.   rows [H, 1 + B I, T], initial [H, B, 2P] -> [H, B, I, 2P]"""
    channels, batch, width = initial.shape
    states = torch.bmm(rows[:, :-1], write).view(channels, batch, -1, width)  # row r has the input of chunk r - 1
    states[:, :, 0] = initial
    waves = torch.view_as_complex(states.unflatten(-1, (-1, 2)))
    factors = _factors(decay, waves.dtype)
    for i in range(1, waves.shape[2]):
        for factor in factors:
            waves[:, :, i].addcmul_(factor, waves[:, :, i - 1])
    return states


def _factors(decay: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Split the float64 factor into summands of the working dtype, because rounding errors add up over many chunks."""
    exact = torch.view_as_complex(decay)[:, None]
    high = exact.to(dtype)
    return [high] if dtype == exact.dtype else [high, (exact - high).to(dtype)]


def _after(rows: Tensor, states: Tensor, write: Tensor, decay: Tensor) -> Tensor:
    """Return the state after the last chunk.   [H, B, 2P]"""
    channels, batch, count, _ = states.shape
    final = rows[:, 1:].view(channels, batch, count, -1)[:, :, -1]
    waves = torch.view_as_complex(states[:, :, -1].unflatten(-1, (-1, 2)))
    carried = torch.view_as_real(waves * torch.view_as_complex(decay)[:, None])
    return torch.bmm(final, write) + carried.flatten(2).to(write.dtype)


def _toeplitz(kernel: Tensor) -> Tensor:
    """Return the matrix with elements (j, t) = K_{t-j}, zero for t < j.   [H, T] -> [H, T, T]"""
    steps = torch.arange(kernel.shape[1], device=kernel.device)
    lag = steps - steps[:, None]
    return torch.where(lag >= 0, kernel[:, lag.clamp_min(0)], 0)


def _diagonal_sums(matrix: Tensor) -> Tensor:
    """Return the gradient of `_toeplitz`: sums over t - j = k for every k >= 0.   [H, T, T] -> [H, T]"""
    channels, chunk, _ = matrix.shape
    skewed = torch.nn.functional.pad(matrix.flip(1), (0, chunk)).flatten(1)  # rows one step too long are skewed
    sums = skewed[:, : chunk * (2 * chunk - 1)].view(channels, chunk, 2 * chunk - 1).sum(1)
    return sums[:, chunk - 1 :]


def _where_marked(last: Tensor, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return row numbers, the index of each row's last chunk in this segment, and whether it is in this segment."""
    inside = (last >= first) & (last < first + count)
    return torch.arange(len(last), device=last.device), (last - first).clamp(0, count - 1), inside


def _scan(
    u: Tensor, kernel: Tensor, write: Tensor, read: Tensor, decay: Tensor, initial: Tensor | None, last: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y [B, L, H], mark (state before chunk last[b]) [B, H, 2P], states before segments [segments, H, B, 2P]."""
    batch, _, channels = u.shape
    chunk, width = kernel.shape[1], write.shape[2]
    state = u.new_zeros(channels, batch, width) if initial is None else initial.transpose(0, 1).contiguous()
    y, mark, starts = u.new_empty(u.shape), state, []
    with torch.autocast(u.device.type, enabled=False):
        matrix = _toeplitz(kernel)
        for first, end in _segments(u, chunk):
            starts.append(state)
            rows = _to_rows(u[:, first:end], chunk)
            out = torch.bmm(rows[:, 1:], matrix)
            if initial is not None or u.shape[1] > chunk:
                states = _states(rows, write, decay, state)
                out.baddbmm_(states.flatten(1, 2), read)
                row, index, inside = _where_marked(last, first // chunk, states.shape[2])
                mark = torch.where(inside[:, None], states[:, row, index], mark)
                state = _after(rows, states, write, decay) if end < u.shape[1] else state
            _from_rows(out, batch, y[:, first:end])
    kept = torch.stack(starts) if starts else u.new_empty(0, channels, batch, width)
    return y, mark.transpose(0, 1).clone(memory_format=torch.contiguous_format), kept


def _scan_shapes(u: Tensor, kernel: Tensor, write: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, channels = u.shape
    width, steps = write.shape[2], _segment_steps(u, kernel.shape[1])
    count = (length + steps - 1) // steps if batch * length * channels else 0
    mark, starts = u.new_empty(batch, channels, width), u.new_empty(count, channels, batch, width)
    return u.new_empty(u.shape), mark, starts


def _backward(
    grad_y: Tensor,
    grad_mark: Tensor,
    u: Tensor,
    kernel: Tensor,
    write: Tensor,
    read: Tensor,
    decay: Tensor,
    last: Tensor,
    starts: Tensor,
    wants_u: bool,
    wants_tables: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of u, kernel, write, read, decay and initial; the first five are empty if not wanted."""
    batch, _, channels = u.shape
    chunk = kernel.shape[1]
    grad_u = u.new_empty(u.shape if wants_u else (0,))
    grads = [t.new_zeros(t.shape if wants_tables else (0,)) for t in (kernel, write, read, decay)]
    adjoint = u.new_zeros(channels, batch, write.shape[2])  # of the state after the segment
    grad_mark = grad_mark.transpose(0, 1)
    with torch.autocast(u.device.type, enabled=False):
        matrix = _toeplitz(kernel)
        grad_matrix = torch.zeros_like(matrix) if wants_tables else matrix
        for (first, end), start in zip(reversed(_segments(u, chunk)), reversed(starts.unbind()), strict=True):
            out = _to_rows(grad_y[:, first:end], chunk)[:, 1:]
            waves = _adjoints(out, read, decay, adjoint, last, first // chunk, grad_mark)
            before = waves[:, :, 0].clone()
            later = torch.cat((waves[:, :, 1:], adjoint[:, :, None]), 2).flatten(1, 2)  # of the state after each chunk
            if wants_u:
                rows_grad = torch.bmm(out, matrix.transpose(1, 2)).baddbmm_(later, write.transpose(1, 2))
                _from_rows(rows_grad, batch, grad_u[:, first:end])
            if wants_tables:
                rows = _to_rows(u[:, first:end], chunk)
                states = _states(rows, write, decay, start)
                inputs, flat = rows[:, 1:].transpose(1, 2), states.flatten(1, 2)
                grad_matrix.baddbmm_(inputs, out)
                grads[1].baddbmm_(inputs, later)
                grads[2].baddbmm_(flat.transpose(1, 2), out)
                grads[3].add_(_pole_gradient(flat, later))
            adjoint = before
        if wants_tables:
            grads[0] = _diagonal_sums(grad_matrix).contiguous()
    if not u.numel():
        adjoint = grad_mark
    grad_initial = adjoint.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    return grad_u, grads[0], grads[1], grads[2], grads[3], grad_initial


def _adjoints(
    out: Tensor, read: Tensor, decay: Tensor, after: Tensor, last: Tensor, first: int, grad_mark: Tensor
) -> Tensor:
    """Return the adjoint of the state before every chunk, given that after the segment.   [H, B, I, 2P]"""
    channels, batch, width = after.shape
    waves = torch.bmm(out, read.transpose(1, 2)).view(channels, batch, -1, width)
    row, index, inside = _where_marked(last, first, waves.shape[2])
    waves[:, row, index] += torch.where(inside[:, None], grad_mark, 0)
    complex_waves = torch.view_as_complex(waves.unflatten(-1, (-1, 2)))
    factors = [factor.conj().resolve_conj() for factor in _factors(decay, complex_waves.dtype)]
    following = torch.view_as_complex(after.unflatten(-1, (-1, 2)))
    for i in range(waves.shape[2] - 1, -1, -1):
        for factor in factors:
            complex_waves[:, :, i].addcmul_(factor, following)
        following = complex_waves[:, :, i]
    return waves


def _pole_gradient(states: Tensor, later: Tensor) -> Tensor:
    """Return the sum over rows of adjoint times conjugate state.   two of [H, R, 2P] -> [H, P, 2]"""
    z, g = states.unflatten(-1, (-1, 2)), later.unflatten(-1, (-1, 2))
    real = (z * g).sum((1, 3))
    imag = (z[..., 0] * g[..., 1] - z[..., 1] * g[..., 0]).sum(1)
    return torch.stack((real, imag), -1)


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    _, _, u, kernel, write, read, decay, _, _, wants_u, wants_tables = arguments
    tables = (t.new_empty(t.shape if wants_tables else (0,)) for t in (kernel, write, read, decay))
    return u.new_empty(u.shape if wants_u else (0,)), *tables, u.new_empty(u.shape[0], u.shape[2], write.shape[2])


def _remember(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, initial, last = inputs
    ctx.save_for_backward(*tensors, last, output[2])
    ctx.has_initial = initial is not None


def _differentiate(ctx, grad_y, grad_mark, _):  # type: ignore[no-untyped-def]
    u, kernel, write, read, decay, last, starts = ctx.saved_tensors
    wants = ctx.needs_input_grad
    grads = torch.ops.exuvia.diagonal_scan_backward(
        grad_y.contiguous(), grad_mark, u, kernel, write, read, decay, last, starts, wants[0], any(wants[1:5])
    )
    wanted = [grad if want else None for grad, want in zip(grads[:5], wants[:5], strict=True)]
    return *wanted, grads[5] if ctx.has_initial else None, None


def _differentiate_again(ctx, *grads):  # type: ignore[no-untyped-def]
    raise ConfigError("the chunked diagonal scan has no second derivative; use method='fft', without states")


register("diagonal_scan", _SCHEMA, _scan, _scan_shapes, _differentiate, _remember)
register("diagonal_scan_backward", _BACKWARD_SCHEMA, _backward, _backward_shapes, _differentiate_again)
