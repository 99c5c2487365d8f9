// Backward scan: a chunk's states are recomputed from its checkpoint inside L1, then swept from its end to its start.
//
// With g_t = dL/dh_t:  g_t = C_t gy_t + a_{t+1} g_{t+1};  dC_t = sum_d gy_t h_t;  dB_t = sum_d g_t u_t;  u = dt x;
// s_t = sum_n g_t B_t;  w_t = g_t a_t h_{t-1};  q_t = sum_n A w_t;  dx = skip gy + dt s;  d dt = x s + q;
// dA = sum_t dt_t w_t.
// Four states are taken at a time, so that the decays and states of K steps (2 * 8 KB with 16 lanes) stay in L1 and
// are computed once.
// Deterministic for every number of threads: what is summed together, and the order in which sums are added up, depend
// on sizes alone.
#pragma once

#include "forward.h"

namespace exuvia {

// A chunk of one lane group, [K][W] each.
struct Tile {
    float *dt, *u, *gy;     // after softplus; dt x; gradient of the ungated output
    float *slope, *gate;    // softplus'; grad_y silu'(z)
    float *s, *q, *y;       // sums over states, see above; C h (only with a gate)
    float *a;
    static constexpr int64_t size = (8 * K + 8 * K + 8) * W;
    explicit Tile(float* p)
        : dt(p), u(p + K * W), gy(p + 2 * K * W), slope(p + 3 * K * W), gate(p + 4 * K * W), s(p + 5 * K * W),
          q(p + 6 * K * W), y(p + 7 * K * W), a(p + 8 * K * W) {}
};

// NB states of one chunk. carry: a_{t+1} g_{t+1} on entry, a_0 g_0 on return. sums: [K][2][W], partial dC and dB of
// four states, overwritten by the first lane group and added to by the others.
template <int NB, bool Gated, bool Tame>
static void sweep_states(const Exp2& exp2, const Tile& tile, int count, bool first_states, bool first_group,
                         const float* rates, const float* B, const float* C, int64_t stride, const Lanes& lanes,
                         const float* kept, float* carry, float* dA, float* sums, const Ahead& ahead,
                         int64_t n) {
    const float *__restrict near = ahead.of(n / 2), *__restrict far = ahead.of(n / 2 + 1);
    const int64_t next = ahead.stride;
    const float *__restrict dt = tile.dt, *__restrict u = tile.u, *__restrict gys = tile.gy;
    float *__restrict ah = tile.a, *__restrict ss = tile.s, *__restrict qs = tile.q, *__restrict ys = tile.y;
    constexpr int M = 8 * W;
    V h[NB], g[NB], rate[NB], da[NB];
    for (int i = 0; i < NB; ++i) {
        h[i] = lanes.load(kept + i * lanes.width);
        rate[i] = loadv(rates + i * W);
        storev(ah + (4 + i) * W, h[i]);
    }
    const float *b = B, *c = C;
    for (int64_t t = 0; t < count; ++t, b += stride, c += stride) {
        const V d = loadv(dt + t * W), input = loadv(u + t * W);
        __builtin_prefetch(near), near += next;
        V y = {};
        if (Gated && !first_states) y = loadv(ys + t * W);
        float* __restrict at = ah + (t + 1) * M;
#pragma GCC unroll 4
        for (int i = 0; i < NB; ++i) {
            const V a = exp2.power<Tame>(d, rate[i]);
            h[i] = a * h[i] + input * b[i];
            storev(at + i * W, a);
            storev(at + (4 + i) * W, h[i]);
            if (Gated) y = h[i] * c[i] + y;
        }
        if (Gated) storev(ys + t * W, y);
    }
    for (int i = 0; i < NB; ++i) {
        g[i] = loadv(carry + i * W);
        da[i] = loadv(dA + i * W);
    }
    const float* __restrict at = ah + static_cast<int64_t>(count) * M;
    float* __restrict sum = sums + (count - 1) * 2 * W;
    for (int64_t t = count - 1; t >= 0; --t, at -= M, sum -= 2 * W) {
        b -= stride, c -= stride;
        const V d = loadv(dt + t * W), input = loadv(u + t * W), gy = loadv(gys + t * W);
        __builtin_prefetch(far), far += next;
        V s = {}, q = {}, toC[4] = {}, toB[4] = {};
        if (!first_states) s = loadv(ss + t * W), q = loadv(qs + t * W);
#pragma GCC unroll 4
        for (int i = 0; i < NB; ++i) {
            toC[i] = gy * loadv(at + (4 + i) * W);
            const V now = gy * c[i] + g[i];
            toB[i] = now * input;
            s = now * b[i] + s;
            g[i] = now * loadv(at + i * W);
            const V w = g[i] * loadv(at + (4 + i) * W - M);
            q = w * rate[i] + q;
            da[i] = w * d + da[i];
        }
        storev(ss + t * W, s);
        storev(qs + t * W, q);
        V sumC = sum_four(toC[0], toC[1], toC[2], toC[3]), sumB = sum_four(toB[0], toB[1], toB[2], toB[3]);
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
    const int threads;
    const Layout layout;
    const Floats rates;
    const std::vector<int64_t> first_chunk;
    std::vector<int64_t> bundles;  // sequences [bundles[b], bundles[b + 1]) are one bundle, swept one after another
    const int64_t strip;           // lane groups of one group whose shares of dB and dC are summed before any other
    const std::vector<Block> blocks;  // of whole strips; a unit of work is a block of a bundle
    mutable std::vector<Progress> progress;  // [bundle][block], in chunks
    Floats carry;    // [S][lane group][N][W]
    Floats dA;       // [bundle][lane group][N][W]
    Floats vectors;  // [bundle][lane group][2][W]: dskip, dbias
    static int64_t count_bundles(const ExuviaScan& p);
    explicit Backward(const ExuviaScan& problem);
    int64_t lane_groups() const { return static_cast<int64_t>(layout.lanes.size()); }
    int64_t count() const { return static_cast<int64_t>(bundles.size()) - 1; }
    int64_t bundle_chunks(int64_t b) const { return first_chunk[bundles[b + 1]] - first_chunk[bundles[b]]; }
    Progress& progress_of(int64_t b, int64_t block) const { return progress[b * blocks.size() + block]; }
    void lane_group(int64_t b, const Block& block, int64_t s, int64_t index, int64_t g, int64_t j, const Exp2& exp2,
                    float* scratch) const;
    void unit(int64_t b, int64_t block, float* scratch) const;
    void write_sums(const Span& span, int64_t g, const float* sums, bool add) const;
    void gather_parameters(int64_t j) const;
    void locate(int64_t b, int64_t index, int64_t* s, int64_t* chunk) const;
};

}  // namespace exuvia

#include "backward_units.h"
