// The backward's units of work: bundles of sequences x blocks of channels, in rounds, with ordered sums.
#pragma once

#include <type_traits>

#include "backward.h"

namespace exuvia {

constexpr int64_t UNITS = 64;  // at most about as many units of work as this
constexpr int64_t ROUND_CHUNKS = 64;  // of a bundle, where blocks share dB and dC

// Blocks of channels: enough for eight threads, more where each still has 16 lane groups to share its sums.
inline int64_t wanted_blocks(int64_t bundles, int64_t lane_groups) {
    return std::max((8 + bundles - 1) / bundles, std::min(UNITS / bundles, lane_groups / 16));
}

// Few enough bundles that their copies of dA stay small beside the rows.
inline int64_t Backward::count_bundles(const ExuviaScan& p) {
    const int64_t small = std::max<int64_t>(1, p.rows / (4 * std::max<int64_t>(p.states, 1)));
    return std::max<int64_t>(1, std::min({p.sequences, UNITS, small}));
}

inline Backward::Backward(const ExuviaScan& problem)
    : p(problem), layout(problem), rates(decay_rates(problem, layout)), first_chunk(first_chunks(problem)),
      bundles(static_cast<size_t>(count_bundles(problem)) + 1, problem.sequences),
      blocks(make_blocks(problem, layout,
                         wanted_blocks(count_bundles(problem), static_cast<int64_t>(layout.lanes.size())))),
      round(ROUND_CHUNKS), direct(blocks[0].high - blocks[0].low == layout.per_group),
      carry(problem.sequences * static_cast<int64_t>(layout.lanes.size()) * problem.states * W),
      dA((static_cast<int64_t>(bundles.size()) - 1) * static_cast<int64_t>(layout.lanes.size()) * problem.states * W),
      vectors((static_cast<int64_t>(bundles.size()) - 1) * static_cast<int64_t>(layout.lanes.size()) * 2 * W),
      partial(direct ? 0
                     : (static_cast<int64_t>(bundles.size()) - 1) * static_cast<int64_t>(blocks.size()) * round * K *
                           2 * problem.states,
              false) {
    const int64_t count = static_cast<int64_t>(bundles.size()) - 1, all_chunks = first_chunk.back();
    for (int64_t b = 0, s = 0; b < count; ++b) {
        while (s < p.sequences && first_chunk[s] * count < all_chunks * b) ++s;
        bundles[b] = b == 0 ? 0 : s;
    }
    if (direct) {
        round = 1;
        for (int64_t b = 0; b < count; ++b) round = std::max(round, bundle_chunks(b));
    }
    for (int64_t s = 0; s < p.sequences; ++s)
        for (int64_t j = 0; j < lane_groups(); ++j) {
            float* to = carry.get() + (s * lane_groups() + j) * p.states * W;
            if (!p.grad_final) continue;
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

inline void Backward::chunk(int64_t b, int64_t block, int64_t s, int64_t index, int64_t slot, const Exp2& exp2,
                            float* scratch) const {
    const Span span(p, s, index);
    const int64_t N = p.states, stride = span.direction * p.groups * N;
    const Tile tile(scratch);
    float* sums = scratch + Tile::size;
    for (int64_t g = blocks[block].first; g < blocks[block].last; ++g) {
        const int64_t from = (span.row * p.groups + g) * N, start = g * layout.per_group;
        for (int64_t j = start + blocks[block].low; j < start + blocks[block].high; ++j) {
            const Lanes lanes(layout.lanes[j].width);
            const int64_t channel = layout.lanes[j].channel;
            const bool last = g + 1 == blocks[block].last && j + 1 == start + blocks[block].high;
            const int64_t next_row = last ? span.row - K * span.direction : span.row;
            const int64_t next = last ? blocks[block].first * layout.per_group + blocks[block].low
                                      : (j + 1 < start + blocks[block].high ? j + 1 : start + layout.per_group);
            const Ahead ahead({p.dt, p.x, p.grad_y, p.dx, p.ddt, p.z, p.dz},
                              next_row * p.channels + layout.lanes[next].channel, span.direction * p.channels);
            const V largest = prepare_backward(p, exp2, span, channel, lanes, tile);
            const float* kept = p.checkpoints + ((first_chunk[s] + index) * p.channels + channel) * N;
            float* from_after = carry.get() + (s * lane_groups() + j) * N * W;
            float* to_rates = dA.get() + (b * lane_groups() + j) * N * W;
            const bool first_group = j == start + blocks[block].low;
            for (int64_t n = 0; n < N;) {
                const auto sweep = [&](auto width) {
                    constexpr int NB = decltype(width)::value;
                    const float* rate = rates.get() + (j * N + n) * W;
                    constexpr bool few = NB < 4;  // the remainder of N: one kind will do
                    const bool tame = !few && is_tame<NB>(largest, rate);
                    const auto of = p.z ? (tame ? sweep_states<NB, true, !few> : sweep_states<NB, true, false>)
                                        : (tame ? sweep_states<NB, false, !few> : sweep_states<NB, false, false>);
                    of(exp2, tile, span.count, n == 0, first_group, rate, p.B + from + n, p.C + from + n, stride, lanes,
                       kept + n * lanes.width, from_after + n * W, to_rates + n * W,
                       sums + (n / 4) * K * 2 * W, ahead, n);
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
        write_sums(span, g, sums, direct ? nullptr : partial_of(b, block, slot));
    }
}

// Adds up the partial sums of lanes: into the rows of dC and dB, or ([K][2][N]) into this unit's part.
inline void Backward::write_sums(const Span& span, int64_t g, const float* sums, float* part) const {
    const int64_t N = p.states;
    for (int t = 0; t < span.count; ++t) {
        const int64_t row = ((span.row + t * span.direction) * p.groups + g) * N;
        float* toC = part ? part + t * 2 * N : p.dC + row;
        float* toB = part ? part + (t * 2 + 1) * N : p.dB + row;
        const float* sum = sums + t * 2 * W;
        for (int64_t n = 0; n < N; n += 4, sum += K * 2 * W) {
            V4 c = {}, b = {};
            for (int k = 0; k < W; k += 4) {
                V4 part_c, part_b;
                std::memcpy(&part_c, sum + k, sizeof part_c);
                std::memcpy(&part_b, sum + W + k, sizeof part_b);
                c = c + part_c, b = b + part_b;
            }
            if (n + 4 <= N) {
                std::memcpy(toC + n, &c, sizeof c);
                std::memcpy(toB + n, &b, sizeof b);
            } else {
                for (int64_t i = 0; i < N - n; ++i) toC[n + i] = c[i], toB[n + i] = b[i];
            }
        }
    }
}

inline void Backward::unit(int64_t b, int64_t block, int64_t round_index, float* scratch) const {
    const Exp2 exp2;
    const int64_t end = std::min(bundle_chunks(b), (round_index + 1) * round);
    for (int64_t i = round_index * round; i < end; ++i) {
        int64_t s, index;
        locate(b, i, &s, &index);
        chunk(b, block, s, index, i - round_index * round, exp2, scratch);
    }
}

// dB and dC of one chunk of a round: the blocks' parts in the order of the channels.
inline void Backward::add_partials(int64_t b, int64_t round_index, int64_t slot) const {
    if (round_index * round + slot >= bundle_chunks(b)) return;
    int64_t s, index;
    locate(b, round_index * round + slot, &s, &index);
    const Span span(p, s, index);
    const int64_t N = p.states;
    const size_t parts = blocks.size() / static_cast<size_t>(p.groups);
    for (size_t block = 0; block < blocks.size(); ++block)
        for (int t = 0; t < span.count; ++t) {
            const float* __restrict part = partial_of(b, static_cast<int64_t>(block), slot) + t * 2 * N;
            const int64_t row = ((span.row + t * span.direction) * p.groups + blocks[block].first) * N;
            float* __restrict toC = p.dC + row;
            float* __restrict toB = p.dB + row;
            if (block % parts == 0) {
                std::memcpy(toC, part, static_cast<size_t>(N) * 4);
                std::memcpy(toB, part + N, static_cast<size_t>(N) * 4);
                continue;
            }
            for (int64_t n = 0; n < N; ++n) toC[n] += part[n];
            for (int64_t n = 0; n < N; ++n) toB[n] += part[N + n];
        }
}

// dA, dskip and dbias of one lane group: the bundles' sums in the order of the sequences; and the initial states'.
inline void Backward::gather_parameters(int64_t j) const {
    const int64_t N = p.states, count = static_cast<int64_t>(bundles.size()) - 1;
    for (int i = 0; i < layout.lanes[j].width; ++i) {
        const int64_t channel = layout.lanes[j].channel + i;
        for (int64_t n = 0; n < N; ++n) {
            float sum = 0.0f;
            for (int64_t b = 0; b < count; ++b) sum += dA.get()[((b * lane_groups() + j) * N + n) * W + i];
            p.dA[channel * N + n] = sum;
            for (int64_t s = 0; s < p.sequences; ++s)
                p.dinitial[(s * p.channels + channel) * N + n] = carry.get()[((s * lane_groups() + j) * N + n) * W + i];
        }
        float skip = 0.0f, bias = 0.0f;
        for (int64_t b = 0; b < count; ++b) {
            skip += vectors.get()[(b * lane_groups() + j) * 2 * W + i];
            bias += vectors.get()[((b * lane_groups() + j) * 2 + 1) * W + i];
        }
        if (p.skip) p.dskip[channel] = skip;
        if (p.bias) p.dbias[channel] = bias;
    }
}

static void backward(const ExuviaScan& p) {
    const Backward work(p);
    const int64_t bundles = static_cast<int64_t>(work.bundles.size()) - 1;
    const int64_t blocks = static_cast<int64_t>(work.blocks.size());
    const int threads = static_cast<int>(std::min<int64_t>(useful_threads(p), bundles * blocks));
    std::vector<Floats> scratch;
    for (int i = 0; i < threads; ++i) scratch.emplace_back(Tile::size + (p.states + 3) / 4 * K * 2 * W);
    int64_t longest = 0;
    for (int64_t b = 0; b < bundles; ++b) longest = std::max(longest, work.bundle_chunks(b));
    for (int64_t r = 0; r * work.round < longest; ++r) {
        parallel_for(bundles * blocks, threads, [&](int64_t task, int worker) {
            const FlushDenormals flush;
            work.unit(task / blocks, task % blocks, r, scratch[worker].get());
        });
        if (!work.direct)
            parallel_for(bundles * work.round, threads,
                         [&](int64_t task, int) { work.add_partials(task / work.round, r, task % work.round); });
    }
    const bool many = work.lane_groups() * W * p.states * (bundles + p.sequences) > (1 << 18);
    parallel_for(work.lane_groups(), many ? threads : 1, [&](int64_t j, int) { work.gather_parameters(j); });
}

}  // namespace exuvia
