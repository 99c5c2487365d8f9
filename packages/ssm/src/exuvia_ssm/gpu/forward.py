"""The forward kernel: one segment of a sequence, WIDTH channels, STEPS steps at a time, one state index after another.

States pass from chunk to chunk through memory. With KEEP, every chunk stores its state for the backward pass; without,
each segment has one place. With ENDS, only the end state of each segment, started from zero, and the sum of its step
sizes are computed: the first of the three phases for split sequences.
"""

import triton
import triton.language as tl

from exuvia_ssm.gpu import tiles
from exuvia_ssm.gpu.tiles import FREE, also, channels_of, clear_around, rows_of, segment_of, step_sizes, vector_or_zeros


@triton.jit(do_not_specialize=FREE)
def scan_forward(
    x, dt, z, rates, maps_b, maps_c, skip, bias, entering,  # inputs
    kept, y, final, sums,  # outputs
    offsets, lengths, rows, width, size, sequences, groups, per_group, segment,  # sizes
    by_part, by_channel, by_state,  # strides of `entering`
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, SPLIT: tl.constexpr, KEEP: tl.constexpr, ENDS: tl.constexpr,
    STEPS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    """rates [N, D] = A log2(e); maps [slots, G, N, STEPS]; entering strided by (part, channel, state); kept [.., N, D];
    sums [segments, D]. Programs: segments x blocks of channels."""
    blocks = groups * per_group
    part = (tl.program_id(0) // blocks).to(tl.int64)
    group, channel, here = channels_of(tl.program_id(0) % blocks, width, groups, per_group, WIDTH)
    s, offset, length, begin = segment_of(offsets, lengths, sequences, part, segment, SPLIT)
    last = begin + segment >= length
    if SPLIT:
        if (begin > 0) & (begin >= length):
            return
        if ENDS and last:
            return
    slot = offset // STEPS + s + begin // STEPS
    cells = width.to(tl.int64) * size
    place = kept + (slot if KEEP else part) * cells + channel
    ending = final + (s * width + channel) * size
    empty = also(here, length == 0)
    for n in range(size):
        h = tl.zeros((WIDTH,), tl.float32)
        if entering is not None:
            h = tl.load(entering + part * by_part + channel * by_channel + n * by_state, here, 0.0).to(tl.float32)
        tl.store(place + n * width, h, here)
        if not ENDS:
            tl.store(ending + n, h, empty)
    tl.debug_barrier()

    tile = tl.arange(0, STEPS)[:, None] * width + channel[None, :]
    chunks = tl.cdiv(tl.minimum(length - begin, segment), STEPS)
    shift = vector_or_zeros(bias, channel, here, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    for j in range(chunks):
        first, real_rows = rows_of(offset, length, begin + j * STEPS, REVERSE, STEPS)
        real = real_rows[:, None] & here[None, :]
        base = first * width
        sizes = step_sizes(tl.load(dt + base + tile, real, 0.0), shift, real, SOFTPLUS)
        inputs = tl.load(x + base + tile, real, 0.0).to(tl.float32)
        u = sizes * inputs
        out = tl.zeros((STEPS, WIDTH), tl.float32)
        if skip is not None and not ENDS:
            out = inputs * tl.load(skip + channel, here, 0.0).to(tl.float32)[None, :]
        if ENDS:
            total += tl.sum(sizes, axis=0)
        source = place
        if KEEP:
            place += cells
        onward = also(here, j + 1 < chunks) if KEEP else here
        ended = also(here, last & (j + 1 == chunks))
        maps = ((slot + j) * groups + group) * size * STEPS + tl.arange(0, STEPS)
        for n in range(size):
            rate = tl.load(rates + n * width + channel, here, 0.0)
            h = tl.load(source + n * width, here, 0.0)
            drive = u * tl.load(maps_b + maps + n * STEPS)[:, None]
            h, passed = tiles.states(tl.exp2(sizes * rate[None, :]), drive, h, REVERSE, STEPS)
            tl.store(place + n * width, h, onward)
            if not ENDS:
                out += tl.load(maps_c + maps + n * STEPS)[:, None] * passed
                tl.store(ending + n, h, ended)
        tl.debug_barrier()
        if not ENDS:
            if z is not None:
                out *= tiles.silu_tile(z, base, tile, real)
            tl.store(y + base + tile, out.to(y.dtype.element_ty), real)
    if ENDS:
        tl.store(sums + part * width + channel, total, here)
    elif last:
        clear_around(y, offsets, s, sequences, offset + length, rows, width, tile, here, STEPS, WIDTH)
