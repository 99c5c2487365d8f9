"""The backward kernels. With g_t the gradient of h_t, and sums over states n and channels d as written:

    g_t = C_t gy_t + a_{t+1} g_{t+1}        dC_t[n] = sum_d gy_t h_t        dB_t[n] = sum_d g_t dt_t x_t
    du_t = sum_n g_t B_t  (u = dt x)        ddt_t = x_t du_t + sum_n A g_t a_t h_{t-1}
    dA = sum_t dt_t g_t a_t h_{t-1}         dh_0 = a_1 g_1

A chunk's states are recomputed from the stored state before it, and the same exponentials are used for its gradients,
all in registers. Sums over channels and sequences are written in parts and added in order, without atomics, so results
are bitwise reproducible.
"""

from typing import Any

import triton
import triton.language as tl

from exuvia_ssm.gpu import tiles
from exuvia_ssm.gpu.tiles import FREE, also, channels_of, clear_around, rows_of, segment_of, step_sizes, vector_or_zeros


@triton.jit
def gradient_before_gate(grad_y, z, base, tile, real) -> Any:
    """Return the gradient of y before the gate, for a tile."""
    given = tl.load(grad_y + base + tile, real, 0.0).to(tl.float32)
    if z is not None:
        given *= tiles.silu_tile(z, base, tile, real)
    return given


@triton.jit(do_not_specialize=FREE)
def adjoint_ends(
    dt, z, rates, maps_c, bias, grad_y,  # inputs
    ends, sums,  # outputs
    offsets, lengths, width, size, sequences, groups, per_group, segment,  # sizes
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    """Store a_1 g_1 at the start of each segment, with 0 entering at its end, in ends [segments, N, D], and the sums of
    dt in sums [segments, D]."""
    blocks = groups * per_group
    part = (tl.program_id(0) // blocks).to(tl.int64)
    group, channel, here = channels_of(tl.program_id(0) % blocks, width, groups, per_group, WIDTH)
    s, offset, length, begin = segment_of(offsets, lengths, sequences, part, segment, True)
    if (begin == 0) | (begin >= length):  # no segment precedes the first
        return
    slot = offset // STEPS + s + begin // STEPS
    place = ends + part * width * size + channel
    for n in range(size):
        tl.store(place + n * width, tl.zeros((WIDTH,), tl.float32), here)
    tl.debug_barrier()

    tile = tl.arange(0, STEPS)[:, None] * width + channel[None, :]
    chunks = tl.cdiv(tl.minimum(length - begin, segment), STEPS)
    shift = vector_or_zeros(bias, channel, here, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    for i in range(chunks):
        j = chunks - 1 - i
        first, real_rows = rows_of(offset, length, begin + j * STEPS, REVERSE, STEPS)
        real = real_rows[:, None] & here[None, :]
        base = first * width
        sizes = step_sizes(tl.load(dt + base + tile, real, 0.0), shift, real, SOFTPLUS)
        given = gradient_before_gate(grad_y, z, base, tile, real)
        total += tl.sum(sizes, axis=0)
        maps = ((slot + j) * groups + group) * size * STEPS + tl.arange(0, STEPS)
        for n in range(size):
            rate = tl.load(rates + n * width + channel, here, 0.0)
            adjoint = tl.load(place + n * width, here, 0.0)
            c = tl.load(maps_c + maps + n * STEPS)
            adjoint, _ = tiles.adjoints(tl.exp2(sizes * rate[None, :]), given * c[:, None], adjoint, REVERSE, STEPS)
            tl.store(place + n * width, adjoint, here)
        tl.debug_barrier()
    tl.store(sums + part * width + channel, total, here)


@triton.jit
def enter(place, entering, first, by_state, there, here, width, size, WIDTH: tl.constexpr) -> None:
    """Store the adjoints that enter a segment's end at `place`: `entering` at `first` + n `by_state`, else zeros."""
    for n in range(size):
        adjoint = tl.zeros((WIDTH,), tl.float32)
        if entering is not None:
            adjoint = tl.load(entering + first + n * by_state, there, 0.0)
        tl.store(place + n * width, adjoint, here)


@triton.jit
def leave(place, grad_initial, first, here, width, size) -> None:
    """Store the adjoints at `place`, those of the state before a sequence, in `grad_initial` at `first`, if wanted."""
    if grad_initial is not None:
        for n in range(size):
            tl.store(grad_initial + first + n, tl.load(place + n * width, here, 0.0), here)


@triton.jit
def chunk_gradients(
    rates, maps_b, maps_c, before,  # inputs of the scan
    place, rate_sums, parts_b, parts_c,  # adjoints and sums in memory
    sizes, u, given, here, width, size, z,  # the tile
    REVERSE: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr,
) -> Any:  # fmt: skip
    """Return du, the part of ddt / log(2) from the decays, and C h (zeros without a gate z), [STEPS, WIDTH] each.

    Reads the states `before` the chunk and the adjoints at `place`, which it replaces by those at the chunk's start;
    stores parts of dB and dC, and adds those of dA to `rate_sums`.
    """
    grad_u = tl.zeros((STEPS, WIDTH), tl.float32)
    grad_sizes = tl.zeros((STEPS, WIDTH), tl.float32)
    out = tl.zeros((STEPS, WIDTH), tl.float32)
    step = tiles.summed_step(WIDTH)
    first_lanes = tl.arange(0, WIDTH) < STEPS
    for n in range(size):
        rate = tl.load(rates + n * width, here, 0.0)
        h = tl.load(before + n * width, here, 0.0)
        adjoint = tl.load(place + n * width, here, 0.0)
        rate_sum = tl.load(rate_sums + n * width, here, 0.0)
        b = tl.load(maps_b + n * STEPS + tl.arange(0, STEPS))[:, None]
        c = tl.load(maps_c + n * STEPS + tl.arange(0, STEPS))[:, None]
        a = tl.exp2(sizes * rate[None, :])
        held = tiles.decayed_states(a, u * b, h, REVERSE, STEPS)
        state = held + u * b
        if z is not None:
            out += c * state
        tl.store(parts_c + n * STEPS + step, tiles.channel_sums(given * state, STEPS, WIDTH), first_lanes)
        adjoint, g = tiles.adjoints(a, given * c, adjoint, REVERSE, STEPS)
        tl.store(place + n * width, adjoint, here)
        tl.store(parts_b + n * STEPS + step, tiles.channel_sums(g * u, STEPS, WIDTH), first_lanes)
        grad_u += g * b
        turn = g * held
        grad_sizes += rate[None, :] * turn
        tl.store(rate_sums + n * width, rate_sum + tl.sum(sizes * turn, axis=0), here)
    return grad_u, grad_sizes, out


@triton.jit
def step_gradient(grad_u, grad_sizes, inputs, dt, base, tile, real, shift, SOFTPLUS: tl.constexpr) -> Any:
    """Return ddt of a tile, before bias and softplus."""
    grad_step = grad_u * inputs + grad_sizes * 0.6931471805599453
    if SOFTPLUS:
        grad_step *= tiles.sigmoid(tl.load(dt + base + tile, real, 0.0).to(tl.float32) + shift[None, :])
    return tl.where(real, grad_step, 0.0)


@triton.jit
def store_gate_gradient(grad_z, z, grad_y, out, skip, inputs, base, tile, real) -> None:
    """Store dz = gy (out + skip x) SiLU'(z), if there is a gate."""
    if z is not None:
        gate = tl.load(z + base + tile, real, 0.0).to(tl.float32)
        share = tiles.sigmoid(gate)
        slope = share * (1.0 + gate * (1.0 - share))
        given = tl.load(grad_y + base + tile, real, 0.0).to(tl.float32)
        grad_gate = given * (out + skip[None, :] * inputs) * slope
        tl.store(grad_z + base + tile, grad_gate.to(z.dtype.element_ty), real)


@triton.jit(do_not_specialize=FREE)
def scan_backward(
    x, dt, z, rates, maps_b, maps_c, skip, bias, grad_y, entering, kept,  # inputs
    grad_x, grad_dt, grad_z, grad_rates, parts_b, parts_c, grad_skip, grad_bias, grad_initial,  # outputs
    passing,  # adjoints between chunks
    offsets, lengths, rows, width, size, sequences, groups, per_group, segment, segments, lanes, apart,  # sizes
    by_part, by_channel, by_state,  # strides of `entering`
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, SPLIT: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    """kept [slots, N, D] from `scan_forward`; parts [per_group, slots, G, N, STEPS], `apart` values each; grad_rates
    (zeros at first) and passing [lanes, N, D]; grad_skip and grad_bias [lanes, D].
    Programs: lanes x blocks of channels; a lane processes every lanes-th segment."""
    blocks = groups * per_group
    lane, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    group, channel, here = channels_of(block, width, groups, per_group, WIDTH)
    cells = width.to(tl.int64) * size
    place = passing + lane * cells + channel
    rate_sums = grad_rates + lane * cells + channel
    rate = rates + channel
    parts = (block % per_group).to(tl.int64) * apart
    tile = tl.arange(0, STEPS)[:, None] * width + channel[None, :]
    shift = vector_or_zeros(bias, channel, here, WIDTH)
    through = vector_or_zeros(skip, channel, here, WIDTH)
    skip_sum, bias_sum = tl.zeros((WIDTH,), tl.float32), tl.zeros((WIDTH,), tl.float32)
    for part in range(lane.to(tl.int64), segments, lanes):
        s, offset, length, begin = segment_of(offsets, lengths, sequences, part, segment, SPLIT)
        slot = offset // STEPS + s + begin // STEPS
        chunks = tl.cdiv(tl.maximum(tl.minimum(length - begin, segment), 0), STEPS)
        some = also(here, (chunks > 0) | (begin == 0))
        first_state = part * by_part + channel * by_channel
        enter(place, entering, first_state, by_state, some, here, width, size, WIDTH)
        tl.debug_barrier()
        for i in range(chunks):
            j = chunks - 1 - i
            first, real_rows = rows_of(offset, length, begin + j * STEPS, REVERSE, STEPS)
            real = real_rows[:, None] & here[None, :]
            base = first * width
            sizes = step_sizes(tl.load(dt + base + tile, real, 0.0), shift, real, SOFTPLUS)
            u = sizes * tl.load(x + base + tile, real, 0.0).to(tl.float32)
            given = gradient_before_gate(grad_y, z, base, tile, real)
            maps = ((slot + j) * groups + group) * size * STEPS
            h = kept + (slot + j) * cells + channel
            b, c, db, dc = maps_b + maps, maps_c + maps, parts_b + parts + maps, parts_c + parts + maps
            grad_u, grad_sizes, out = chunk_gradients(
                rate, b, c, h, place, rate_sums, db, dc, sizes, u, given, here, width, size, z, REVERSE, STEPS, WIDTH
            )
            tl.debug_barrier()
            inputs = tl.load(x + base + tile, real, 0.0).to(tl.float32)
            if skip is not None:
                skip_sum += tl.sum(given * inputs, axis=0)
            tl.store(grad_x + base + tile, (grad_u * sizes + through[None, :] * given).to(x.dtype.element_ty), real)
            grad_step = step_gradient(grad_u, grad_sizes, inputs, dt, base, tile, real, shift, SOFTPLUS)
            if bias is not None:
                bias_sum += tl.sum(grad_step, axis=0)
            tl.store(grad_dt + base + tile, grad_step.to(dt.dtype.element_ty), real)
            store_gate_gradient(grad_z, z, grad_y, out, through, inputs, base, tile, real)
        if begin == 0:
            leave(place, grad_initial, (s * width + channel) * size, here, width, size)
            end = offset + length
            clear_around(grad_x, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
            clear_around(grad_dt, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
            clear_around(grad_z, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
    if skip is not None:
        tl.store(grad_skip + lane * width + channel, skip_sum, here)
    if bias is not None:
        tl.store(grad_bias + lane * width + channel, bias_sum, here)
