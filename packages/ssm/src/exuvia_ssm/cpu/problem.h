// The arguments of the scan (plain C), and its division into units of work.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <vector>

#include "lanes.h"

extern "C" {
// Sizes and pointers of one call; arrays are float32 and contiguous, a null pointer is an absent input.
// rows R, channels D, states N, groups G, sequences S; the order of the fields is repeated in native.py.
struct ExuviaScan {
    int64_t rows, channels, states, groups, sequences;
    int64_t softplus, reverse, threads;
    const float *x, *dt, *A, *B, *C;         // [R,D] [R,D] [D,N] [R,G,N] [R,G,N]
    const float *skip, *z, *bias, *initial;  // [D] [R,D] [D] [S,D,N]
    const int64_t *offsets, *lengths;        // [S] [S]
    float *y, *final_state, *checkpoints;    // [R,D] [S,D,N] [chunks,D,N] or null
    const float *grad_y, *grad_final;                             // [R,D] [S,D,N] or null
    float *dx, *ddt, *dA, *dB, *dC, *dskip, *dz, *dbias, *dinitial;  // as the inputs; dinitial is always there
};
}

namespace exuvia {

constexpr int K = 32;  // steps of a chunk: the state is kept at the start of each, and recomputed inside
#ifndef EXUVIA_WORK_OF_THREAD
#define EXUVIA_WORK_OF_THREAD (1 << 18)
#endif
constexpr int64_t WORK_OF_THREAD = EXUVIA_WORK_OF_THREAD;  // rows x channels x states
constexpr float LOG2E = 1.44269504088896340736f;
constexpr float LN2 = 0.69314718055994530942f;

// Memory at 64-byte boundaries, zeroed unless said otherwise; throws std::bad_alloc.
class Floats {
  public:
    explicit Floats(int64_t count, bool zeroed = true)
        : data_(static_cast<float*>(::operator new(static_cast<size_t>(count) * 4, std::align_val_t(64)))) {
        if (zeroed) std::memset(data_, 0, static_cast<size_t>(count) * 4);
    }
    Floats(Floats&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Floats(const Floats&) = delete;
    Floats& operator=(const Floats&) = delete;
    ~Floats() {
        if (data_) ::operator delete(data_, std::align_val_t(64));
    }
    float* get() const { return data_; }

  private:
    float* data_;
};

// Up to W neighbouring channels that share one B and C.
struct LaneGroup {
    int64_t channel;
    int width;
};

// Channels in lane groups: none straddles two groups of B and C. A lane group's state is [N][width].
struct Layout {
    int64_t per_group;  // lane groups of one group of B and C
    std::vector<LaneGroup> lanes;
    explicit Layout(const ExuviaScan& p) {
        const int64_t wide = p.channels / p.groups;
        per_group = (wide + W - 1) / W;
        for (int64_t g = 0; g < p.groups; ++g)
            for (int64_t c = 0; c < wide; c += W)
                lanes.push_back({g * wide + c, static_cast<int>(std::min<int64_t>(W, wide - c))});
    }
};

// A range of channels: whole groups [first, last) of B and C, and of each the lane groups [low, high).
struct Block {
    int64_t first, last, low, high;
};

// About `wanted` blocks: whole groups together where there are enough, else whole strips (of `strip` lane groups) of
// one group each.
inline std::vector<Block> make_blocks(const ExuviaScan& p, const Layout& layout, int64_t wanted, int64_t strip) {
    std::vector<Block> blocks;
    wanted = std::max<int64_t>(wanted, 1);
    if (wanted <= p.groups) {
        for (int64_t b = 0; b < wanted; ++b)
            blocks.push_back({p.groups * b / wanted, p.groups * (b + 1) / wanted, 0, layout.per_group});
        return blocks;
    }
    const int64_t strips = (layout.per_group + strip - 1) / strip;
    const int64_t parts = std::min(strips, (wanted + p.groups - 1) / p.groups);
    for (int64_t g = 0; g < p.groups; ++g)
        for (int64_t i = 0; i < parts; ++i)
            blocks.push_back({g, g + 1, strips * i / parts * strip,
                              std::min(layout.per_group, strips * (i + 1) / parts * strip)});
    return blocks;
}

// No thread is started for less than some tens of microseconds of work.
inline int64_t useful_threads(const ExuviaScan& p) {
    const int64_t work = p.rows * p.channels * std::max<int64_t>(p.states, 4);
    return std::max<int64_t>(1, std::min(p.threads, work / WORK_OF_THREAD));
}

inline int64_t chunks_of(int64_t length) { return (length + K - 1) / K; }

// The number of the first chunk of every sequence, and the number of all at the end.
inline std::vector<int64_t> first_chunks(const ExuviaScan& p) {
    std::vector<int64_t> first(static_cast<size_t>(p.sequences) + 1, 0);
    for (int64_t s = 0; s < p.sequences; ++s) first[s + 1] = first[s] + chunks_of(p.lengths[s]);
    return first;
}

// Steps [start, start + count) of a sequence, in the order of the scan: step i lies in row `row + i * direction`.
struct Span {
    int64_t row, direction;
    int count;
    Span(const ExuviaScan& p, int64_t sequence, int64_t chunk) {
        const int64_t start = chunk * K, length = p.lengths[sequence];
        count = static_cast<int>(std::min<int64_t>(K, length - start));
        direction = p.reverse ? -1 : 1;
        row = p.offsets[sequence] + (p.reverse ? length - 1 - start : start);
    }
};

// Rows of the next tile: the inner loops prefetch one line per step while they compute.
struct Ahead {
    static constexpr int most = 8;
    const float* bases[most];
    int64_t stride;
    Ahead(std::initializer_list<const float*> arrays, int64_t at, int64_t row_stride) : stride(row_stride) {
        int count = 0;
        for (const float* array : arrays)
            if (array) bases[count++] = array + at;
        for (int i = count; i < most; ++i) bases[i] = bases[0];
    }
    const float* of(int64_t slot) const { return bases[slot % most]; }
};

// A log2(e) of every lane group, padded to W lanes: [lane group][N][W]. Infinities become finite (0 * inf is no decay).
inline Floats decay_rates(const ExuviaScan& p, const Layout& layout) {
    Floats rates(static_cast<int64_t>(layout.lanes.size()) * p.states * W);
    for (size_t j = 0; j < layout.lanes.size(); ++j)
        for (int i = 0; i < layout.lanes[j].width; ++i)
            for (int64_t n = 0; n < p.states; ++n) {
                float rate = p.A[(layout.lanes[j].channel + i) * p.states + n] * LOG2E;
                if (rate > 1e30f) rate = 1e30f;
                if (rate < -1e30f) rate = -1e30f;
                rates.get()[(static_cast<int64_t>(j) * p.states + n) * W + i] = rate;
            }
    return rates;
}

}  // namespace exuvia
