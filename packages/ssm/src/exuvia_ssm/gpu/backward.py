"""The backward kernels. With g_t the gradient of h_t, sums over states n and channels d as they stand:

    g_t = C_t gy_t + a_{t+1} g_{t+1}        dC_t[n] = sum_d gy_t h_t        dB_t[n] = sum_d g_t dt_t x_t
    du_t = sum_n g_t B_t  (u = dt x)        ddt_t = x_t du_t + sum_n A g_t a_t h_{t-1}
    dA = sum_t dt_t g_t a_t h_{t-1}         dh_0 = a_1 g_1

A chunk's states are computed again from the one kept before it, and with the same exponentials, all in registers, its
gradients. Sums over channels and sequences are written in parts and added up in order: no atomics, the same bits
every time.
"""

import triton
import triton.language as tl

from exuvia_ssm.gpu.tiles import (
    FREE,
    adjoints,
    also,
    channel_sums,
    channels_of,
    clear_around,
    decayed_states,
    rows_of,
    segment_of,
    sigmoid,
    step_sizes,
    summed_step,
)


@triton.jit(do_not_specialize=FREE)
def adjoint_ends(
    dt: tl.tensor,
    z: tl.tensor,
    rates: tl.tensor,
    maps_c: tl.tensor,
    bias: tl.tensor,
    grad_y: tl.tensor,
    ends: tl.tensor,
    sums: tl.tensor,
    offsets: tl.tensor,
    lengths: tl.tensor,
    width: tl.tensor,
    size: tl.tensor,
    sequences: tl.tensor,
    groups: tl.tensor,
    per_group: tl.tensor,
    segment: tl.tensor,
    SOFTPLUS: tl.constexpr,
    REVERSE: tl.constexpr,
    STEPS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """ends [segments, N, D]: a_1 g_1 at the start of each segment, 0 entering at its end; sums [segments, D] of dt."""
    blocks = groups * per_group
    part = (tl.program_id(0) // blocks).to(tl.int64)
    group, channel, here = channels_of(tl.program_id(0) % blocks, width, groups, per_group, WIDTH)
    s, offset, length, begin = segment_of(offsets, lengths, sequences, part, segment, True)
    if (begin == 0) | (begin >= length):  # before the first segment nothing asks
        return
    slot = offset // STEPS + s + begin // STEPS
    place = ends + part * width * size + channel
    for n in range(size):
        tl.store(place + n * width, tl.zeros((WIDTH,), tl.float32), here)
    tl.debug_barrier()

    tile = tl.arange(0, STEPS)[:, None] * width + channel[None, :]
    chunks = tl.cdiv(tl.minimum(length - begin, segment), STEPS)
    shift = tl.zeros((WIDTH,), tl.float32)
    if bias is not None:
        shift = tl.load(bias + channel, here, 0.0).to(tl.float32)
    total = tl.zeros((WIDTH,), tl.float32)
    for i in range(chunks):
        j = chunks - 1 - i
        first, real_rows = rows_of(offset, length, begin + j * STEPS, REVERSE, STEPS)
        real = real_rows[:, None] & here[None, :]
        base = first * width
        sizes = step_sizes(tl.load(dt + base + tile, real, 0.0), shift, real, SOFTPLUS)
        given = tl.load(grad_y + base + tile, real, 0.0).to(tl.float32)
        if z is not None:
            gate = tl.load(z + base + tile, real, 0.0).to(tl.float32)
            given *= gate * sigmoid(gate)
        total += tl.sum(sizes, axis=0)
        maps = ((slot + j) * groups + group) * size * STEPS + tl.arange(0, STEPS)
        for n in range(size):
            rate = tl.load(rates + n * width + channel, here, 0.0)
            adjoint = tl.load(place + n * width, here, 0.0)
            c = tl.load(maps_c + maps + n * STEPS)
            adjoint, _ = adjoints(tl.exp2(sizes * rate[None, :]), given * c[:, None], adjoint, REVERSE, STEPS)
            tl.store(place + n * width, adjoint, here)
        tl.debug_barrier()
    tl.store(sums + part * width + channel, total, here)


@triton.jit(do_not_specialize=FREE)
def scan_backward(
    x: tl.tensor,
    dt: tl.tensor,
    z: tl.tensor,
    rates: tl.tensor,
    maps_b: tl.tensor,
    maps_c: tl.tensor,
    skip: tl.tensor,
    bias: tl.tensor,
    grad_y: tl.tensor,
    entering: tl.tensor,
    kept: tl.tensor,
    grad_x: tl.tensor,
    grad_dt: tl.tensor,
    grad_z: tl.tensor,
    grad_rates: tl.tensor,
    parts_b: tl.tensor,
    parts_c: tl.tensor,
    grad_skip: tl.tensor,
    grad_bias: tl.tensor,
    grad_initial: tl.tensor,
    passing: tl.tensor,
    offsets: tl.tensor,
    lengths: tl.tensor,
    rows: tl.tensor,
    width: tl.tensor,
    size: tl.tensor,
    sequences: tl.tensor,
    groups: tl.tensor,
    per_group: tl.tensor,
    segment: tl.tensor,
    segments: tl.tensor,
    lanes: tl.tensor,
    apart: tl.tensor,
    by_part: tl.tensor,
    by_channel: tl.tensor,
    by_state: tl.tensor,
    SOFTPLUS: tl.constexpr,
    REVERSE: tl.constexpr,
    SPLIT: tl.constexpr,
    STEPS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """kept [slots, N, D] from `scan_forward`; parts [per_group, slots, G, N, STEPS], `apart` values each; grad_rates
    (zeros at first) and passing [lanes, N, D]; grad_skip and grad_bias [lanes, D].
    Programs: lanes x blocks of channels; a lane goes through every lanes-th segment."""
    blocks = groups * per_group
    lane = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    group, channel, here = channels_of(block, width, groups, per_group, WIDTH)
    cells = width.to(tl.int64) * size
    place = passing + lane * cells + channel
    rate_sums = grad_rates + lane * cells + channel
    step = summed_step(WIDTH)
    first_lanes = tl.arange(0, WIDTH) < STEPS
    parts = (block % per_group).to(tl.int64) * apart
    tile = tl.arange(0, STEPS)[:, None] * width + channel[None, :]
    shift = tl.zeros((WIDTH,), tl.float32)
    if bias is not None:
        shift = tl.load(bias + channel, here, 0.0).to(tl.float32)
    through = tl.zeros((WIDTH,), tl.float32)
    if skip is not None:
        through = tl.load(skip + channel, here, 0.0).to(tl.float32)
    skip_sum = tl.zeros((WIDTH,), tl.float32)
    bias_sum = tl.zeros((WIDTH,), tl.float32)
    for part in range(lane.to(tl.int64), segments, lanes):
        s, offset, length, begin = segment_of(offsets, lengths, sequences, part, segment, SPLIT)
        slot = offset // STEPS + s + begin // STEPS
        chunks = tl.cdiv(tl.maximum(tl.minimum(length - begin, segment), 0), STEPS)
        some = also(here, (chunks > 0) | (begin == 0))
        for n in range(size):
            adjoint = tl.zeros((WIDTH,), tl.float32)
            if entering is not None:
                source = entering + part * by_part + channel * by_channel + n * by_state
                adjoint = tl.load(source, some, 0.0)
            tl.store(place + n * width, adjoint, here)
        tl.debug_barrier()
        for i in range(chunks):
            j = chunks - 1 - i
            first, real_rows = rows_of(offset, length, begin + j * STEPS, REVERSE, STEPS)
            real = real_rows[:, None] & here[None, :]
            base = first * width
            sizes = step_sizes(tl.load(dt + base + tile, real, 0.0), shift, real, SOFTPLUS)
            u = sizes * tl.load(x + base + tile, real, 0.0).to(tl.float32)
            given = tl.load(grad_y + base + tile, real, 0.0).to(tl.float32)
            if z is not None:
                gate = tl.load(z + base + tile, real, 0.0).to(tl.float32)
                given *= gate * sigmoid(gate)
            grad_u = tl.zeros((STEPS, WIDTH), tl.float32)
            grad_sizes = tl.zeros((STEPS, WIDTH), tl.float32)
            out = tl.zeros((STEPS, WIDTH), tl.float32)
            kept_here = kept + (slot + j) * cells + channel
            maps = ((slot + j) * groups + group) * size * STEPS
            for n in range(size):
                rate = tl.load(rates + n * width + channel, here, 0.0)
                h = tl.load(kept_here + n * width, here, 0.0)
                adjoint = tl.load(place + n * width, here, 0.0)
                rate_sum = tl.load(rate_sums + n * width, here, 0.0)
                b = tl.load(maps_b + maps + n * STEPS + tl.arange(0, STEPS))[:, None]
                c = tl.load(maps_c + maps + n * STEPS + tl.arange(0, STEPS))[:, None]
                a = tl.exp2(sizes * rate[None, :])
                held = decayed_states(a, u * b, h, REVERSE, STEPS)
                state = held + u * b
                if z is not None:
                    out += c * state
                target = parts + maps + n * STEPS + step
                tl.store(parts_c + target, channel_sums(given * state, STEPS, WIDTH), first_lanes)
                adjoint, g = adjoints(a, given * c, adjoint, REVERSE, STEPS)
                tl.store(place + n * width, adjoint, here)
                tl.store(parts_b + target, channel_sums(g * u, STEPS, WIDTH), first_lanes)
                grad_u += g * b
                turn = g * held
                grad_sizes += rate[None, :] * turn
                tl.store(rate_sums + n * width, rate_sum + tl.sum(sizes * turn, axis=0), here)
            tl.debug_barrier()
            inputs = tl.load(x + base + tile, real, 0.0).to(tl.float32)
            if skip is not None:
                skip_sum += tl.sum(given * inputs, axis=0)
            tl.store(grad_x + base + tile, (grad_u * sizes + through[None, :] * given).to(x.dtype.element_ty), real)
            grad_step = grad_u * inputs + grad_sizes * 0.6931471805599453
            if SOFTPLUS:
                grad_step *= sigmoid(tl.load(dt + base + tile, real, 0.0).to(tl.float32) + shift[None, :])
            grad_step = tl.where(real, grad_step, 0.0)
            if bias is not None:
                bias_sum += tl.sum(grad_step, axis=0)
            tl.store(grad_dt + base + tile, grad_step.to(dt.dtype.element_ty), real)
            if z is not None:
                gate = tl.load(z + base + tile, real, 0.0).to(tl.float32)
                share = sigmoid(gate)
                slope = share * (1.0 + gate * (1.0 - share))
                given = tl.load(grad_y + base + tile, real, 0.0).to(tl.float32)
                grad_gate = given * (out + through[None, :] * inputs) * slope
                tl.store(grad_z + base + tile, grad_gate.to(z.dtype.element_ty), real)
        if begin == 0:
            if grad_initial is not None:
                for n in range(size):
                    adjoint = tl.load(place + n * width, here, 0.0)
                    tl.store(grad_initial + (s * width + channel) * size + n, adjoint, here)
            end = offset + length
            clear_around(grad_x, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
            clear_around(grad_dt, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
            if z is not None:
                clear_around(grad_z, offsets, s, sequences, end, rows, width, tile, here, STEPS, WIDTH)
    if skip is not None:
        tl.store(grad_skip + lane * width + channel, skip_sum, here)
    if bias is not None:
        tl.store(grad_bias + lane * width + channel, bias_sum, here)
