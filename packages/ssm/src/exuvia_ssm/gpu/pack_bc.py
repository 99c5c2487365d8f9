"""Kernels that transpose the maps B and C from rows [R, G, N] to chunks [slots, G, N, STEPS], and their gradients back.

A chunk's steps are contiguous and aligned to 16 values, whatever the sequences' offsets, so that a thread of the scan
loads four at a time; masked steps are 0.
"""

from typing import Any

import triton
import triton.language as tl

from exuvia_ssm.gpu.tiles import FREE, owner


@triton.jit
def chunk_rows(offsets, lengths, sequences, slot, REVERSE: tl.constexpr, STEPS: tl.constexpr) -> Any:
    """Return the rows of a slot's chunk in memory order, and which of them are real."""
    s = owner(offsets, sequences, slot, STEPS)
    offset = tl.load(offsets + s)
    length = tl.load(lengths + s)
    done = (slot - offset // STEPS - s) * STEPS
    ahead = (length - done - STEPS if REVERSE else done) + tl.arange(0, STEPS)
    return offset + ahead, (ahead >= 0) & (ahead < length)


@triton.jit(do_not_specialize=FREE)
def pack_maps(
    b, c, packed_b, packed_c,  # inputs and outputs
    offsets, lengths, cells, sequences,  # sizes
    REVERSE: tl.constexpr, STEPS: tl.constexpr, CELLS: tl.constexpr,
) -> None:  # fmt: skip
    """Programs: slots x blocks of `cells` = G N."""
    slot = tl.program_id(0).to(tl.int64)
    row, real = chunk_rows(offsets, lengths, sequences, slot, REVERSE, STEPS)
    cell = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    mask = real[:, None] & (cell < cells)[None, :]
    source = row[:, None] * cells + cell[None, :]
    target = (slot * cells + cell)[None, :] * STEPS + tl.arange(0, STEPS)[:, None]
    inside = (cell < cells)[None, :] & (tl.arange(0, STEPS) < STEPS)[:, None]
    tl.store(packed_b + target, tl.load(b + source, mask, 0.0).to(tl.float32), inside)
    tl.store(packed_c + target, tl.load(c + source, mask, 0.0).to(tl.float32), inside)


@triton.jit(do_not_specialize=FREE)
def unpack_gradients(
    parts_b, parts_c, grad_b, grad_c,  # inputs and outputs
    offsets, lengths, cells, sequences, parts, apart,  # sizes
    REVERSE: tl.constexpr, STEPS: tl.constexpr, CELLS: tl.constexpr,
) -> None:  # fmt: skip
    """Sum of `parts` arrays [slots, G, N, STEPS], `apart` values from one to the next, in their order."""
    slot = tl.program_id(0).to(tl.int64)
    row, real = chunk_rows(offsets, lengths, sequences, slot, REVERSE, STEPS)
    cell = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    mask = real[:, None] & (cell < cells)[None, :]
    source = (slot * cells + cell)[None, :] * STEPS + tl.arange(0, STEPS)[:, None]
    sum_b = tl.zeros((STEPS, CELLS), tl.float32)
    sum_c = tl.zeros((STEPS, CELLS), tl.float32)
    for _ in range(parts):
        sum_b += tl.load(parts_b + source, mask, 0.0)
        sum_c += tl.load(parts_c + source, mask, 0.0)
        source += apart
    target = row[:, None] * cells + cell[None, :]
    tl.store(grad_b + target, sum_b.to(grad_b.dtype.element_ty), mask)
    tl.store(grad_c + target, sum_c.to(grad_c.dtype.element_ty), mask)
