"""The kernel between the two passes over split sequences: computes the state that enters each segment.

Over a segment with step sizes dt_t, an entering state decays by exp(A sum_t dt_t), and so does an adjoint in the other
direction; so one number per channel and one state per segment suffice to join the segments.
"""

import triton
import triton.language as tl

from exuvia_ssm.gpu.tiles import FREE, also


@triton.jit(do_not_specialize=FREE)
def join_segments(
    ends, sums, rates, entering, offsets, lengths, width, size, segment, ADJOINT: tl.constexpr, CELLS: tl.constexpr
) -> None:
    """Replace ends [segments, N, D], the end states of segments started from zero, by the states that enter them. sums
    [segments, D]; entering [S, D, N] or None. ADJOINT: from a sequence's last segment to its first. Programs: sequences
    x blocks of N D."""
    s = tl.program_id(0).to(tl.int64)
    cells = width * size
    cell = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    here = cell < cells
    channel = cell % width
    rate = tl.load(rates + cell, here, 0.0)
    state = tl.zeros((CELLS,), tl.float32)
    if entering is not None:
        state = tl.load(entering + (s * width + channel) * size + cell // width, here, 0.0).to(tl.float32)
    count = tl.maximum(tl.cdiv(tl.load(lengths + s), segment), 1)
    first = tl.load(offsets + s) // segment + s
    at = first + count - 1 if ADJOINT else first
    way = -1 if ADJOINT else 1
    several = also(here, count > 1)
    end = tl.load(ends + at * cells + cell, several, 0.0)
    total = tl.load(sums + at * width + channel, several, 0.0)
    for k in range(count):
        # the next segment's values are loaded before this one's are stored, to hide the latency
        ahead = also(here, k + 2 < count)
        next_end = tl.load(ends + (at + way) * cells + cell, ahead, 0.0)
        next_total = tl.load(sums + (at + way) * width + channel, ahead, 0.0)
        tl.store(ends + at * cells + cell, state, here)
        state = tl.exp2(rate * total) * state + end
        end, total = next_end, next_total
        at += way
