// Forward scan: h <- 2^(dt A log2 e) h + (dt x) B, y = C h + skip x, gated; states stay in registers over a chunk.
#pragma once

#include "problem.h"
#include "threads.h"

namespace exuvia {

// Steps and products of one chunk, whose arguments are the same for every block of states.
struct Steps {
    int count;
    const float *dt, *u;
    float* y;
    const float *B, *C;
    int64_t stride;
    V largest;  // of |dt| in each lane, NaN if there is one
    const Ahead* ahead;
};

// One chunk of one lane group, NB states from the first pointer on: steps in the order of the scan.
// `first`: y is set, not added to.
template <int NB, bool Tame>
static void scan_states(const Exp2& exp2, const Steps& steps, bool first, int64_t n, const float* rates, float* state) {
    const float *dt = steps.dt, *u = steps.u, *B = steps.B + n, *C = steps.C + n;
    float* y = steps.y;
    const int64_t stride = steps.stride;
    const float *near = steps.ahead->of(n / 4), *far = steps.ahead->of(n / 4 + 1);
    const int64_t next = steps.ahead->stride;
    V h[NB];
    for (int i = 0; i < NB; ++i) h[i] = loadv(state + i * W);
    for (int t = 0, count = steps.count; t < count; ++t, B += stride, C += stride) {
        const V d = loadv(dt + t * W), input = loadv(u + t * W);
        V even = {}, odd = {};
        if (!first) even = loadv(y + t * W);
        __builtin_prefetch(near + t * next);
        if (NB > 4) __builtin_prefetch(far + t * next);
#pragma GCC unroll 16
        for (int i = 0; i < NB; ++i) {
            h[i] = exp2.power<Tame>(d, loadv(rates + i * W)) * h[i] + input * B[i];
            if (i % 2) odd = h[i] * C[i] + odd;
            else even = h[i] * C[i] + even;
        }
        storev(y + t * W, NB > 1 ? even + odd : even);
    }
    for (int i = 0; i < NB; ++i) storev(state + i * W, h[i]);
}

// No product of a step and a rate leaves the range of normal powers of two.
template <int NB>
static inline bool is_tame(V largest, const float* rates) {
    I wild = {};
    for (int i = 0; i < NB; ++i) wild |= ~(magnitude(loadv(rates + i * W)) * largest < 126.0f);
    return !any(wild);
}

template <int NB>
static inline void scan_from(int64_t n, const Exp2& exp2, const Steps& steps, const float* rates, float* state) {
    constexpr bool few = NB < 4;  // the remainder of N: one kind will do
    rates += n * W, state += n * W;
    if (!few && is_tame<NB>(steps.largest, rates)) scan_states<NB, !few>(exp2, steps, n == 0, n, rates, state);
    else scan_states<NB, false>(exp2, steps, n == 0, n, rates, state);
}

// All N states of one chunk of one lane group.
static inline void scan_chunk(const Exp2& exp2, int64_t N, const Steps& steps, const float* rates, float* state) {
    int64_t n = 0;
    for (; n + 8 <= N; n += 8) scan_from<8>(n, exp2, steps, rates, state);
    if (n + 4 <= N) scan_from<4>(n, exp2, steps, rates, state), n += 4;
    if (n + 2 <= N) scan_from<2>(n, exp2, steps, rates, state), n += 2;
    if (n < N) scan_from<1>(n, exp2, steps, rates, state);
}

// dt <- softplus(dt + bias), u = dt x of a chunk, padded to W lanes; returns the largest |dt| of each lane.
static inline V prepare(const ExuviaScan& p, const Exp2& exp2, const Span& span, int64_t channel, const Lanes& lanes,
                        float* dt, float* u) {
    const V bias = p.bias ? lanes.load(p.bias + channel) : V{};
    V largest = {};
    for (int t = 0; t < span.count; ++t) {
        const int64_t at = (span.row + t * span.direction) * p.channels + channel;
        V d = lanes.load(p.dt + at) + bias;
        if (p.softplus) d = softplus_from(d, exp2.negative(-magnitude(d)));
        storev(dt + t * W, d);
        storev(u + t * W, d * lanes.load(p.x + at));
        largest = larger(largest, magnitude(d));
    }
    return largest;
}

// y <- (y + skip x) silu(z) into the output rows.
static inline void finish(const ExuviaScan& p, const Exp2& exp2, const Span& span, int64_t channel, const Lanes& lanes,
                          const float* y) {
    const V skip = p.skip ? lanes.load(p.skip + channel) : V{};
    for (int t = 0; t < span.count; ++t) {
        const int64_t at = (span.row + t * span.direction) * p.channels + channel;
        V value = loadv(y + t * W);
        if (p.skip) value = skip * lanes.load(p.x + at) + value;
        if (p.z) {
            const V gate = lanes.load(p.z + at);
            value = value * (gate * sigmoid(exp2, gate));
        }
        lanes.store(p.y + at, value);
    }
}

// One sequence, one block of channels. scratch: [3 K + (lane groups of the block) N][W].
static void forward_unit(const ExuviaScan& p, const Layout& layout, const float* rates, int64_t first_chunk, int64_t s,
                         const Block& block, float* scratch) {
    const Exp2 exp2;
    const int64_t N = p.states, G = p.groups;
    float *dt = scratch, *u = dt + K * W, *y = u + K * W, *states = y + K * W;
    for (int64_t chunk = 0, chunks = chunks_of(p.lengths[s]); chunk < std::max<int64_t>(chunks, 1); ++chunk) {
        float* state = states;
        for (int64_t g = block.first; g < block.last; ++g)
            for (int64_t start = g * layout.per_group, j = start + block.low; j < start + block.high;
                 ++j, state += N * W) {
                const LaneGroup& group = layout.lanes[j];
                const Lanes lanes(group.width);
                if (chunk == 0)
                    for (int64_t n = 0; n < N; ++n)
                        for (int i = 0; i < W; ++i)
                            state[n * W + i] = p.initial && i < group.width
                                                   ? p.initial[(s * p.channels + group.channel + i) * N + n] : 0.0f;
                if (p.checkpoints && chunks) {
                    float* kept = p.checkpoints + ((first_chunk + chunk) * p.channels + group.channel) * N;
                    for (int64_t n = 0; n < N; ++n) lanes.store(kept + n * group.width, loadv(state + n * W));
                }
                if (chunks) {
                    const Span span(p, s, chunk);
                    const int64_t from = (span.row * G + g) * N;
                    const bool last = g + 1 == block.last && j + 1 == start + block.high;
                    const int64_t next_row = last ? span.row + K * span.direction : span.row;
                    const int64_t next = last ? block.first * layout.per_group + block.low
                                              : (j + 1 < start + block.high ? j + 1 : start + layout.per_group);
                    const Ahead ahead({p.dt, p.x, p.y, p.z},
                                      next_row * p.channels + layout.lanes[next].channel, span.direction * p.channels);
                    const V largest = prepare(p, exp2, span, group.channel, lanes, dt, u);
                    scan_chunk(exp2, N,
                               {span.count, dt, u, y, p.B + from, p.C + from, span.direction * G * N, largest, &ahead},
                               rates + j * N * W, state);
                    finish(p, exp2, span, group.channel, lanes, y);
                }
                if (chunk + 1 >= chunks)
                    for (int i = 0; i < group.width; ++i)
                        for (int64_t n = 0; n < N; ++n)
                            p.final_state[(s * p.channels + group.channel + i) * N + n] = state[n * W + i];
            }
    }
}

static void forward(const ExuviaScan& p) {
    const Layout layout(p);
    const Floats rates = decay_rates(p, layout);
    const std::vector<int64_t> first = first_chunks(p);
    const int64_t lanes = static_cast<int64_t>(layout.lanes.size());
    // Enough units for every thread to find work until near the end; at most 16 lane groups share a chunk of B and C.
    const int64_t most = useful_threads(p), few = (lanes + 15) / 16;
    const int64_t wanted = most > 1 ? std::max(few, (4 * most + p.sequences - 1) / p.sequences) : few;
    const std::vector<Block> blocks = make_blocks(p, layout, wanted, 1);
    const int64_t count = static_cast<int64_t>(blocks.size());
    int64_t widest = 0;
    for (const Block& b : blocks) widest = std::max(widest, (b.last - b.first) * (b.high - b.low));
    const int threads = static_cast<int>(std::min<int64_t>(most, p.sequences * count));
    std::vector<Floats> scratch;
    for (int i = 0; i < threads; ++i) scratch.emplace_back((3 * K + widest * p.states) * W);
    parallel_for(p.sequences * count, threads, [&](int64_t task, int worker) {
        const FlushDenormals flush;
        const int64_t s = task / count;
        forward_unit(p, layout, rates.get(), first[s], s, blocks[task % count], scratch[worker].get());
    });
}

}  // namespace exuvia
