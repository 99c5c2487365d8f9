// Peak rates of the machine: bytes per second of a triad, exponentials per second in registers.
#pragma once

#include <ctime>

#include "problem.h"
#include "threads.h"

namespace exuvia {

// Seconds of this thread alone: other processes' load does not count.
inline double thread_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// GB/s over all threads of a[i] = b[i] + 3 c[i] over 3 x 64 MB a thread (write-allocate not counted): best of 7 runs.
inline double triad_rate(int threads) {
    const int64_t count = 16 << 20;
    std::vector<Floats> arrays;
    for (int i = 0; i < 3 * threads; ++i) arrays.emplace_back(count);
    std::vector<double> rates(static_cast<size_t>(threads), 0.0);
    for (int run = 0; run < 7; ++run)
        parallel_for(threads, threads, [&](int64_t task, int) {
            float* a = arrays[3 * task].get();
            const float *b = arrays[3 * task + 1].get(), *c = arrays[3 * task + 2].get();
            const double start = thread_seconds();
            for (int64_t i = 0; i < count; i += W) storev(a + i, loadv(b + i) + 3.0f * loadv(c + i));
            const double rate = 12e-9 * static_cast<double>(count) / (thread_seconds() - start);
            rates[task] = std::max(rates[task], rate);
        });
    double sum = 0.0;
    for (double rate : rates) sum += rate;
    return sum;
}

// Exponentials per second over all threads, the scan's own exp2 on eight independent registers: best of 50 runs.
inline double exponential_rate(int threads) {
    std::vector<double> rates(static_cast<size_t>(threads), 0.0);
    std::vector<float> sinks(static_cast<size_t>(threads), 0.0f);
    parallel_for(threads, threads, [&](int64_t task, int) {
        const Exp2 exp2;
        const int steps = 4000;
        for (int run = 0; run < 50; ++run) {
            V y[8], sum[8];
            for (int i = 0; i < 8; ++i) y[i] = all(-0.1f * static_cast<float>(i)), sum[i] = V{};
            const V rate = all(-1.3f + 1e-3f * static_cast<float>(run));
            const double start = thread_seconds();
            for (int step = 0; step < steps; ++step)
#pragma GCC unroll 8
                for (int i = 0; i < 8; ++i) {
                    sum[i] = sum[i] + exp2.power<true>(y[i], rate);
                    y[i] = y[i] + 1e-4f;
                }
            const double seconds = thread_seconds() - start;
            rates[task] = std::max(rates[task], 8.0 * steps * W / seconds);
            for (int i = 0; i < 8; ++i) sinks[task] += sum[i][0];
        }
    });
    double sum = 0.0;
    for (double rate : rates) sum += rate;
    return sinks[0] == 12345.0f ? 0.0 : sum;
}

}  // namespace exuvia
