// Backward scan: a chunk's states are recomputed from its checkpoint inside L1, then swept from its end to its start.
//
// With g_t = dL/dh_t:  g_t = C_t gy_t + a_{t+1} g_{t+1};  dC_t = sum_d gy_t h_t;  dB_t = sum_d g_t u_t;  u = dt x;
// s_t = sum_n g_t B_t;  w_t = g_t a_t h_{t-1};  q_t = sum_n A w_t;  dx = skip gy + dt s;  d dt = x s + q;
// dA = sum_t dt_t w_t.
// Four states are taken at a time, so that the decays and states of K steps (2 * 8 KB with 16 lanes) stay in L1 and
// are computed once.
// Deterministic for every number of threads: the units of work, and the order in which their sums are added up,
// depend on sizes alone.
#pragma once

#include "forward.h"

namespace exuvia {

// A chunk of one lane group, [K][W] each.
struct Tile {
    float *dt, *u, *gy;     // after softplus; dt x; gradient of the ungated output
    float *slope, *gate;    // softplus'; grad_y silu'(z)
    float *s, *q, *y;       // sums over states, see above; C h (only with a gate)
    float *a, *h;           // [K][4][W] and [K + 1][4][W]
    static constexpr int64_t size = (8 * K + 8 * K + 4) * W;
    explicit Tile(float* p)
        : dt(p), u(p + K * W), gy(p + 2 * K * W), slope(p + 3 * K * W), gate(p + 4 * K * W), s(p + 5 * K * W),
          q(p + 6 * K * W), y(p + 7 * K * W), a(p + 8 * K * W), h(p + 12 * K * W) {}
};

// NB states of one chunk. carry: a_{t+1} g_{t+1} on entry, a_0 g_0 on return. sums: [K][2][W], partial dC and dB of
// four states, overwritten by the first lane group and added to by the others.
template <int NB, bool Gated, bool Tame>
static void sweep_states(const Exp2& exp2, const Tile& tile, int count, bool first_states, bool first_group,
                         const float* rates, const float* B, const float* C, int64_t stride, const Lanes& lanes,
                         const float* kept, float* carry, float* dA, float* sums, const Ahead& ahead,
                         int64_t n) {
    const float *near = ahead.of(n / 2), *far = ahead.of(n / 2 + 1);
    V h[NB], g[NB], rate[NB], da[NB];
    for (int i = 0; i < NB; ++i) {
        h[i] = lanes.load(kept + i * lanes.width);
        rate[i] = loadv(rates + i * W);
        storev(tile.h + i * W, h[i]);
    }
    const float *b = B, *c = C;
    for (int t = 0; t < count; ++t, b += stride, c += stride) {
        const V d = loadv(tile.dt + t * W), input = loadv(tile.u + t * W);
        __builtin_prefetch(near + t * ahead.stride);
        V y = {};
        if (Gated && !first_states) y = loadv(tile.y + t * W);
#pragma GCC unroll 4
        for (int i = 0; i < NB; ++i) {
            const V a = exp2.power<Tame>(d, rate[i]);
            h[i] = a * h[i] + input * b[i];
            storev(tile.a + (t * 4 + i) * W, a);
            storev(tile.h + (t * 4 + 4 + i) * W, h[i]);
            if (Gated) y = h[i] * c[i] + y;
        }
        if (Gated) storev(tile.y + t * W, y);
    }
    for (int i = 0; i < NB; ++i) {
        g[i] = loadv(carry + i * W);
        da[i] = loadv(dA + i * W);
    }
    for (int t = count - 1; t >= 0; --t) {
        b -= stride, c -= stride;
        const V d = loadv(tile.dt + t * W), input = loadv(tile.u + t * W), gy = loadv(tile.gy + t * W);
        __builtin_prefetch(far + t * ahead.stride);
        V s = {}, q = {}, toC[4] = {}, toB[4] = {};
        if (!first_states) s = loadv(tile.s + t * W), q = loadv(tile.q + t * W);
#pragma GCC unroll 4
        for (int i = 0; i < NB; ++i) {
            toC[i] = gy * loadv(tile.h + (t * 4 + 4 + i) * W);
            const V now = gy * c[i] + g[i];
            toB[i] = now * input;
            s = now * b[i] + s;
            g[i] = now * loadv(tile.a + (t * 4 + i) * W);
            const V w = g[i] * loadv(tile.h + (t * 4 + i) * W);
            q = w * rate[i] + q;
            da[i] = w * d + da[i];
        }
        storev(tile.s + t * W, s);
        storev(tile.q + t * W, q);
        V sumC = sum_four(toC[0], toC[1], toC[2], toC[3]), sumB = sum_four(toB[0], toB[1], toB[2], toB[3]);
        float* sum = sums + t * 2 * W;
        if (!first_group) sumC = sumC + loadv(sum), sumB = sumB + loadv(sum + W);
        storev(sum, sumC);
        storev(sum + W, sumB);
    }
    for (int i = 0; i < NB; ++i) {
        storev(carry + i * W, g[i]);
        storev(dA + i * W, da[i]);
    }
}

// dt, u, gy and the factors that the gradients of dt and z need; returns the largest |dt| of each lane.
static inline V prepare_backward(const ExuviaScan& p, const Exp2& exp2, const Span& span, int64_t channel,
                                 const Lanes& lanes, const Tile& tile) {
    const V bias = p.bias ? lanes.load(p.bias + channel) : V{};
    V largest = {};
    for (int t = 0; t < span.count; ++t) {
        const int64_t at = (span.row + t * span.direction) * p.channels + channel;
        V d = lanes.load(p.dt + at) + bias;
        if (p.softplus) {
            const V e = exp2.negative(-magnitude(d));
            storev(tile.slope + t * W, sigmoid_from(d, e));
            d = softplus_from(d, e);
        }
        storev(tile.dt + t * W, d);
        storev(tile.u + t * W, d * lanes.load(p.x + at));
        V gy = lanes.load(p.grad_y + at);
        if (p.z) {
            const V z = lanes.load(p.z + at), half = sigmoid(exp2, z);
            storev(tile.gate + t * W, gy * (half * (1.0f + z * (1.0f - half))));
            gy = gy * (z * half);
        }
        storev(tile.gy + t * W, gy);
        largest = larger(largest, magnitude(d));
    }
    return largest;
}

// Gradients of the rows of a chunk; dskip and dbias [W] are added to.
static inline void finish_backward(const ExuviaScan& p, const Span& span, int64_t channel, const Lanes& lanes,
                                   const Tile& tile, float* dskip, float* dbias) {
    const V skip = p.skip ? lanes.load(p.skip + channel) : V{};
    V to_skip = loadv(dskip), to_bias = loadv(dbias);
    for (int t = 0; t < span.count; ++t) {
        const int64_t at = (span.row + t * span.direction) * p.channels + channel;
        const V x = lanes.load(p.x + at), gy = loadv(tile.gy + t * W), s = loadv(tile.s + t * W);
        V grad = x * s + loadv(tile.q + t * W) * LN2;  // the rates carry log2(e)
        if (p.softplus) grad = grad * loadv(tile.slope + t * W);
        lanes.store(p.ddt + at, grad);
        to_bias = to_bias + grad;
        lanes.store(p.dx + at, skip * gy + loadv(tile.dt + t * W) * s);
        to_skip = gy * x + to_skip;
        if (p.z) lanes.store(p.dz + at, loadv(tile.gate + t * W) * (skip * x + loadv(tile.y + t * W)));
    }
    storev(dskip, to_skip);
    storev(dbias, to_bias);
}

// What every unit shares.
struct Backward {
    const ExuviaScan& p;
    const Layout layout;
    const Floats rates;
    const std::vector<int64_t> first_chunk;
    std::vector<int64_t> bundles;  // sequences [bundles[b], bundles[b + 1]) are one bundle, swept one after another
    std::vector<Block> blocks;
    int64_t round;   // chunks of a bundle between two sums over blocks
    bool direct;     // one block holds all channels of a group: dB and dC need no sum over blocks
    Floats carry;    // [S][lane group][N][W]
    Floats dA;       // [bundle][lane group][N][W]
    Floats vectors;  // [bundle][lane group][2][W]: dskip, dbias
    Floats partial;  // [bundle][block][chunk of the round][K][2][N]
    static int64_t count_bundles(const ExuviaScan& p);
    explicit Backward(const ExuviaScan& problem);
    int64_t lane_groups() const { return static_cast<int64_t>(layout.lanes.size()); }
    int64_t bundle_chunks(int64_t b) const { return first_chunk[bundles[b + 1]] - first_chunk[bundles[b]]; }
    float* partial_of(int64_t b, int64_t block, int64_t slot) const {
        return partial.get() + ((b * static_cast<int64_t>(blocks.size()) + block) * round + slot) * K * 2 * p.states;
    }
    void chunk(int64_t b, int64_t block, int64_t s, int64_t index, int64_t slot, const Exp2& exp2,
               float* scratch) const;
    void unit(int64_t b, int64_t block, int64_t round_index, float* scratch) const;
    void write_sums(const Span& span, int64_t g, const float* sums, float* part) const;
    void add_partials(int64_t b, int64_t round_index, int64_t slot) const;
    void gather_parameters(int64_t j) const;
    void locate(int64_t b, int64_t index, int64_t* s, int64_t* chunk) const;
};

}  // namespace exuvia

#include "backward_units.h"
