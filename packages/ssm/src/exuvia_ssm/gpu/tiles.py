"""Functions of the Triton scan on tiles of [STEPS, WIDTH] steps and channels: one channel per thread, in registers.

A program is one warp, so no function waits for another warp. A tile keeps the memory order; a reversed scan reads its
rows from last to first. Channels are contiguous in memory, but the number of channels is not specialised: if the
compiler knew that rows are aligned, it would vectorise loads over channels and spread the steps of a channel over
several threads.
"""

from typing import Any

import triton
import triton.language as tl

FREE = (
    *("width", "size", "sequences", "groups", "per_group", "segment", "segments", "by_part", "by_channel", "by_state"),
    *("cells", "parts", "apart", "lanes", "rows"),
)
"""Integer arguments that are not specialised: special values do not get separate kernels."""


@triton.jit
def owner(offsets, sequences, slot, per) -> Any:
    """Return the sequence s of a slot: the last with offsets[s] // per + s <= slot (slots: see partition.py)."""
    low = slot * 0
    high = low + sequences - 1
    while low < high:
        middle = (low + high + 1) // 2
        inside = tl.load(offsets + middle) // per + middle <= slot
        low = tl.where(inside, middle, low)
        high = tl.where(inside, high, middle - 1)
    return low


@triton.jit
def segment_of(offsets, lengths, sequences, part, segment, SPLIT: tl.constexpr) -> Any:
    """Return the sequence of a segment, its first row and length, and the steps before the segment; all int64."""
    s = owner(offsets, sequences, part, segment) if SPLIT else part
    offset = tl.load(offsets + s)
    return s, offset, tl.load(lengths + s), (part - offset // segment - s) * segment


@triton.jit
def channels_of(block, width, groups, per_group, WIDTH: tl.constexpr) -> Any:
    """Return the group of a block, its channels, and which of them exist."""
    group = block // per_group
    share = width // groups
    inside = (block % per_group) * WIDTH + tl.arange(0, WIDTH)
    return group, group * share + inside, inside < share


@triton.jit
def rows_of(offset, length, done, REVERSE: tl.constexpr, STEPS: tl.constexpr) -> Any:
    """Return the first row of the chunk after `done` steps (possibly before the sequence) and which rows are real."""
    ahead = length - done - STEPS if REVERSE else done
    low = tl.maximum(-ahead, 0).to(tl.int32)
    high = tl.minimum(length - ahead, STEPS).to(tl.int32)
    time = tl.arange(0, STEPS)
    return offset + ahead, (time >= low) & (time < high)


@triton.jit
def also(mask, condition) -> Any:
    """Return mask & condition, a scalar; compared with zeros because the interpreter broadcasts bools as numbers."""
    return mask & (mask.to(tl.int32) * 0 < condition.to(tl.int32))


@triton.jit
def clear(out, begin, end, width, tile, here, STEPS: tl.constexpr, WIDTH: tl.constexpr) -> None:
    """Store zeros in the rows from begin to end."""
    time = tl.arange(0, STEPS)
    for first in range(begin, end, STEPS):
        mask = (time < tl.minimum(end - first, STEPS).to(tl.int32))[:, None] & here[None, :]
        zeros = tl.zeros((STEPS, WIDTH), tl.float32).to(out.dtype.element_ty)
        tl.store(out + first * width + tile, zeros, mask)


@triton.jit
def clear_around(
    out, offsets, s, sequences, end, rows, width, tile, here, STEPS: tl.constexpr, WIDTH: tl.constexpr
) -> None:
    """Store zeros in the rows of no sequence after the end of sequence s, and before the first, unless out is None."""
    if out is not None:
        following = tl.load(offsets + s + 1, s + 1 < sequences, 0)
        clear(out, end, tl.where(s + 1 < sequences, following, rows), width, tile, here, STEPS, WIDTH)
        if s == 0:
            clear(out, end * 0, tl.load(offsets), width, tile, here, STEPS, WIDTH)


@triton.jit
def states(a, inputs, h, REVERSE: tl.constexpr, STEPS: tl.constexpr) -> Any:
    """Run h_t = a_t h_{t-1} + inputs_t from h [WIDTH] on: return the last state [WIDTH] and all [STEPS, WIDTH].

    Row t of a tile is extracted as a sum over the tile with all other rows set to -0. Since x + -0 is x, the compiler
    removes the sum and the selections, and registers remain. (-0 is written 0 x -1: Triton before 3.9 reads -0.0 as 0.)
    """
    out = a
    nought = tl.zeros((1, 1), tl.float32) * -1.0
    for i in tl.static_range(STEPS):
        at = (tl.arange(0, STEPS) == (STEPS - 1 - i if REVERSE else i))[:, None]
        h = tl.sum(tl.where(at, a, nought), axis=0) * h + tl.sum(tl.where(at, inputs, nought), axis=0)
        out = tl.where(at, h[None, :], out)
    return h, out


@triton.jit
def decayed_states(a, inputs, h, REVERSE: tl.constexpr, STEPS: tl.constexpr) -> Any:
    """Return the decayed states before each step, a_t h_{t-1} [STEPS, WIDTH]; adding the inputs gives h_t."""
    out = a
    nought = tl.zeros((1, 1), tl.float32) * -1.0
    for i in tl.static_range(STEPS):
        at = (tl.arange(0, STEPS) == (STEPS - 1 - i if REVERSE else i))[:, None]
        kept = tl.sum(tl.where(at, a, nought), axis=0) * h
        out = tl.where(at, kept[None, :], out)
        h = kept + tl.sum(tl.where(at, inputs, nought), axis=0)
    return out


@triton.jit
def adjoints(a, grads, adjoint, REVERSE: tl.constexpr, STEPS: tl.constexpr) -> Any:
    """Run g_t = grads_t + a_{t+1} g_{t+1} backwards: return a_t g_t of the first step [WIDTH], and g [STEPS, WIDTH]."""
    g = a
    nought = tl.zeros((1, 1), tl.float32) * -1.0
    for i in tl.static_range(STEPS):
        at = (tl.arange(0, STEPS) == (i if REVERSE else STEPS - 1 - i))[:, None]
        g_t = tl.sum(tl.where(at, grads, nought), axis=0) + adjoint
        g = tl.where(at, g_t[None, :], g)
        adjoint = tl.sum(tl.where(at, a, nought), axis=0) * g_t
    return adjoint, g


@triton.jit
def softplus(v) -> Any:
    """Return log(1 + e^v), accurate to a few ulp; log1p(e) = 2 artanh(e / (2 + e)) for e = e^-|v| <= 1."""
    e = tl.exp2(-tl.abs(v) * 1.4426950408889634)
    s = e / (2.0 + e)
    q = s * s
    p = 0.13333333 * q + 0.15384615
    p = p * q + 0.18181818
    p = p * q + 0.22222222
    p = p * q + 0.28571429
    p = p * q + 0.4
    p = p * q + 0.66666667
    p = p * q + 2.0
    return tl.maximum(v, 0.0) + s * p


@triton.jit
def sigmoid(v) -> Any:
    """Return 1 / (1 + e^-v), without overflow."""
    e = tl.exp2(-tl.abs(v) * 1.4426950408889634)
    return tl.where(v >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def step_sizes(raw, bias, real, SOFTPLUS: tl.constexpr) -> Any:
    """Return dt of a tile, 0 for masked steps (which then leave the state unchanged)."""
    dt = raw.to(tl.float32) + bias[None, :]
    if SOFTPLUS:
        dt = softplus(dt)
    return tl.where(real, dt, 0.0)


@triton.jit
def vector_or_zeros(vector, channel, here, WIDTH: tl.constexpr) -> Any:
    """Return the values of a block's channels, [WIDTH] float32; zeros if the vector is None."""
    values = tl.zeros((WIDTH,), tl.float32)
    if vector is not None:
        values = tl.load(vector + channel, here, 0.0).to(tl.float32)
    return values


@triton.jit
def silu_tile(z, base, tile, real) -> Any:
    """Return SiLU of the gate of a tile."""
    gate = tl.load(z + base + tile, real, 0.0).to(tl.float32)
    return gate * sigmoid(gate)


@triton.jit
def merged(low, high, BIT: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return sums over the pairs of lanes l and l ^ BIT: of `low` in lanes without BIT, of `high` in lanes with it."""
    lane = tl.arange(0, WIDTH)
    upper = (lane & BIT) != 0
    return tl.where(upper, high, low) + tl.gather(tl.where(upper, low, high), lane ^ BIT, axis=0)


@triton.jit
def two_sums(tile, i: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return rows i and i + 8, each summed over pairs of lanes."""
    time = tl.arange(0, STEPS)[:, None]
    nought = tl.zeros((1, 1), tl.float32) * -1.0
    low = tl.sum(tl.where(time == i, tile, nought), axis=0)
    return merged(low, tl.sum(tl.where(time == i + 8, tile, nought), axis=0), 1, WIDTH)


@triton.jit
def four_sums(tile, i: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return rows i, i + 4, i + 8, i + 12, each summed over four lanes."""
    return merged(two_sums(tile, i, STEPS, WIDTH), two_sums(tile, i + 4, STEPS, WIDTH), 2, WIDTH)


@triton.jit
def channel_sums(tile, STEPS: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return sums over the channels of a tile of 16 steps, [WIDTH]: lane l has the sum of step `summed_step`[l].

    Pairs of rows merge while pairs of lanes are added: one exchange per row instead of log2(WIDTH).
    """
    even = merged(four_sums(tile, 0, STEPS, WIDTH), four_sums(tile, 2, STEPS, WIDTH), 4, WIDTH)
    odd = merged(four_sums(tile, 1, STEPS, WIDTH), four_sums(tile, 3, STEPS, WIDTH), 4, WIDTH)
    sums = merged(even, odd, 8, WIDTH)
    return sums + tl.gather(sums, tl.arange(0, WIDTH) ^ 16, axis=0)


@triton.jit
def summed_step(WIDTH: tl.constexpr) -> Any:
    """Return the step whose sum `channel_sums` leaves in each lane, for 16 steps."""
    lane = tl.arange(0, WIDTH)
    return (lane & 1) * 8 + (lane & 2) * 2 + (lane & 4) // 2 + (lane & 8) // 8
