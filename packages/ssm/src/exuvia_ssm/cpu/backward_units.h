// The backward's units of work: bundles of sequences x blocks of channels, with ordered sums.
//
// dB and dC are sums over channels. Strips of channels are added to their rows one after another: a unit adds to a
// chunk's rows when the unit with the channels before its own has done so. Blocks may be as wide as the threads allow,
// since strips, not blocks, decide how sums are rounded.
#pragma once

#include <type_traits>

#include "backward.h"

namespace exuvia {

constexpr int64_t UNITS = 64;  // at most as many bundles

// Few enough bundles that their copies of dA stay small compared with the rows.
inline int64_t Backward::count_bundles(const ExuviaScan& p) {
    const int64_t small = std::max<int64_t>(1, p.rows / (4 * std::max<int64_t>(p.states, 1)));
    return std::max<int64_t>(1, std::min({p.sequences, UNITS, small}));
}

// Strips enough for eight threads, or for more where each still has 16 lane groups to share its sums.
inline int64_t lane_groups_of_strip(const Layout& layout, int64_t bundles) {
    const int64_t eighth = static_cast<int64_t>(layout.lanes.size()) * bundles / 8;
    return std::max<int64_t>(1, std::min({eighth, layout.per_group, int64_t{16}}));
}

// As many units as threads where units of one bundle follow each other, else more, so that none waits for the last.
inline int64_t wanted_blocks(int64_t threads, int64_t bundles) {
    return ((bundles == 1 ? threads : 2 * threads) + bundles - 1) / bundles;
}

inline Backward::Backward(const ExuviaScan& problem)
    : p(problem), threads(static_cast<int>(useful_threads(problem))), layout(problem),
      rates(decay_rates(problem, layout)), first_chunk(first_chunks(problem)),
      bundles(static_cast<size_t>(count_bundles(problem)) + 1, problem.sequences),
      strip(lane_groups_of_strip(layout, count())),
      blocks(make_blocks(problem, layout, wanted_blocks(threads, count()), strip)),
      progress(static_cast<size_t>(count()) * blocks.size()), carry(problem.sequences * lane_groups() * p.states * W),
      dA(count() * lane_groups() * p.states * W), vectors(count() * lane_groups() * 2 * W) {
    const int64_t all_chunks = first_chunk.back();
    for (int64_t b = 0, s = 0; b < count(); ++b) {
        while (s < p.sequences && first_chunk[s] * count() < all_chunks * b) ++s;
        bundles[b] = b == 0 ? 0 : s;
    }
    if (!p.grad_final) return;
    for (int64_t s = 0; s < p.sequences; ++s)
        for (int64_t j = 0; j < lane_groups(); ++j) {
            float* to = carry.get() + (s * lane_groups() + j) * p.states * W;
            for (int i = 0; i < layout.lanes[j].width; ++i)
                for (int64_t n = 0; n < p.states; ++n)
                    to[n * W + i] = p.grad_final[(s * p.channels + layout.lanes[j].channel + i) * p.states + n];
        }
}

// Chunk `index` of a bundle in the order of the sweep: sequence after sequence, each from its last chunk on.
inline void Backward::locate(int64_t b, int64_t index, int64_t* s, int64_t* chunk) const {
    const int64_t wanted = first_chunk[bundles[b]] + index;
    const auto after = std::upper_bound(first_chunk.begin() + bundles[b], first_chunk.begin() + bundles[b + 1], wanted);
    *s = after - first_chunk.begin() - 1;
    *chunk = first_chunk[*s + 1] - 1 - wanted;
}

// Chunk `index` of sequence s, lane group j of group g: everything except dB and dC, whose sums over the strip are kept
// behind the tile in `scratch`.
inline void Backward::lane_group(int64_t b, const Block& block, int64_t s, int64_t index, int64_t g, int64_t j,
                                 const Exp2& exp2, float* scratch) const {
    const Span span(p, s, index);
    const int64_t N = p.states, stride = span.direction * p.groups * N, start = g * layout.per_group;
    const int64_t from = (span.row * p.groups + g) * N, channel = layout.lanes[j].channel;
    const Tile tile(scratch);
    float* sums = scratch + Tile::size;
    const Lanes lanes(layout.lanes[j].width);
    const bool last = g + 1 == block.last && j + 1 == start + block.high;
    const int64_t next_row = last ? span.row - K * span.direction : span.row;
    const int64_t next = last ? block.first * layout.per_group + block.low
                              : (j + 1 < start + block.high ? j + 1 : start + layout.per_group);
    const Ahead ahead({p.dt, p.x, p.grad_y, p.dx, p.ddt, p.z, p.dz},
                      next_row * p.channels + layout.lanes[next].channel, span.direction * p.channels);
    const V largest = prepare_backward(p, exp2, span, channel, lanes, tile);
    const float* kept = p.checkpoints + ((first_chunk[s] + index) * p.channels + channel) * N;
    float* from_after = carry.get() + (s * lane_groups() + j) * N * W;
    float* to_rates = dA.get() + (b * lane_groups() + j) * N * W;
    const bool first_of_strip = (j - start) % strip == 0;
    for (int64_t n = 0; n < N;) {
        const auto sweep = [&](auto width) {
            constexpr int NB = decltype(width)::value;
            const float* rate = rates.get() + (j * N + n) * W;
            constexpr bool few = NB < 4;  // the remainder of N: one kind will do
            const bool tame = !few && is_tame<NB>(largest, rate);
            const auto of = p.z ? (tame ? sweep_states<NB, true, !few> : sweep_states<NB, true, false>)
                                : (tame ? sweep_states<NB, false, !few> : sweep_states<NB, false, false>);
            of(exp2, tile, span.count, n == 0, first_of_strip, rate, p.B + from + n, p.C + from + n, stride, lanes,
               kept + n * lanes.width, from_after + n * W, to_rates + n * W, sums + (n / 4) * K * 2 * W, ahead, n);
            n += NB;
        };
        if (N - n >= 4) sweep(std::integral_constant<int, 4>());
        else if (N - n == 3) sweep(std::integral_constant<int, 3>());
        else if (N - n == 2) sweep(std::integral_constant<int, 2>());
        else sweep(std::integral_constant<int, 1>());
    }
    float* vector = vectors.get() + (b * lane_groups() + j) * 2 * W;
    finish_backward(p, span, channel, lanes, tile, vector, vector + W);
}

// Adds up a strip's partial sums of lanes, into the rows of dC and dB or (`add`) onto them.
inline void Backward::write_sums(const Span& span, int64_t g, const float* sums, bool add) const {
    const int64_t N = p.states, step = span.direction * p.groups * N;
    for (int64_t n = 0; n < N; n += W, sums += W / 4 * K * 2 * W) {
        const Lanes lanes(static_cast<int>(std::min<int64_t>(W, N - n)));
        const int filled = (lanes.width + 3) / 4;
        float *toC = p.dC + (span.row * p.groups + g) * N + n, *toB = p.dB + (span.row * p.groups + g) * N + n;
        for (int t = 0; t < span.count; ++t, toC += step, toB += step) {
            V c[W / 4] = {}, b[W / 4] = {};
            for (int i = 0; i < filled; ++i) {
                const float* sum = sums + (i * K + t) * 2 * W;
                c[i] = loadv(sum), b[i] = loadv(sum + W);
            }
            const V sumC = sum_parts(c), sumB = sum_parts(b);
            lanes.store(toC, add ? lanes.load(toC) + sumC : sumC);
            lanes.store(toB, add ? lanes.load(toB) + sumB : sumB);
        }
    }
}

// All chunks of a bundle, for the channels of one block.
inline void Backward::unit(int64_t b, int64_t number, float* scratch) const {
    const Exp2 exp2;
    const Block& block = blocks[number];
    for (int64_t i = 0, end = bundle_chunks(b); i < end; ++i) {
        int64_t s, index;
        locate(b, i, &s, &index);
        for (int64_t g = block.first; g < block.last; ++g)
            for (int64_t j = block.low; j < block.high; ++j) {
                lane_group(b, block, s, index, g, g * layout.per_group + j, exp2, scratch);
                if ((j + 1) % strip && j + 1 < block.high) continue;
                if (j < block.low + strip && block.low > 0) progress_of(b, number - 1).wait(i + 1);
                write_sums(Span(p, s, index), g, scratch + Tile::size, j >= strip);
            }
        progress_of(b, number).reach(i + 1);
    }
}

// dA, dskip and dbias of one lane group: the bundles' sums in the order of the sequences; and the initial states'.
inline void Backward::gather_parameters(int64_t j) const {
    const int64_t N = p.states;
    for (int i = 0; i < layout.lanes[j].width; ++i) {
        const int64_t channel = layout.lanes[j].channel + i;
        for (int64_t n = 0; n < N; ++n) {
            float sum = 0.0f;
            for (int64_t b = 0; b < count(); ++b) sum += dA.get()[((b * lane_groups() + j) * N + n) * W + i];
            p.dA[channel * N + n] = sum;
            for (int64_t s = 0; s < p.sequences; ++s)
                p.dinitial[(s * p.channels + channel) * N + n] = carry.get()[((s * lane_groups() + j) * N + n) * W + i];
        }
        float skip = 0.0f, bias = 0.0f;
        for (int64_t b = 0; b < count(); ++b) {
            skip += vectors.get()[(b * lane_groups() + j) * 2 * W + i];
            bias += vectors.get()[((b * lane_groups() + j) * 2 + 1) * W + i];
        }
        if (p.skip) p.dskip[channel] = skip;
        if (p.bias) p.dbias[channel] = bias;
    }
}

static void backward(const ExuviaScan& p) {
    const Backward work(p);
    const int64_t bundles = work.count(), units = bundles * static_cast<int64_t>(work.blocks.size());
    const int threads = static_cast<int>(std::min<int64_t>(work.threads, units));
    std::vector<Floats> scratch;
    for (int i = 0; i < threads; ++i) scratch.emplace_back(Tile::size + (p.states + 3) / 4 * K * 2 * W);
    parallel_for(units, threads, [&](int64_t task, int worker) {  // bundles inside: neighbours in time are independent
        const FlushDenormals flush;
        work.unit(task % bundles, task / bundles, scratch[worker].get());
    });
    const bool many = work.lane_groups() * W * p.states * (bundles + p.sequences) > (1 << 18);
    parallel_for(work.lane_groups(), many ? threads : 1, [&](int64_t j, int) { work.gather_parameters(j); });
}

}  // namespace exuvia
