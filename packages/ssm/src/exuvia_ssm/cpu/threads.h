// A loop over independent tasks on several threads: OpenMP where the compiler has it (it is torch's own pool when torch
// is loaded first), std::thread elsewhere. And a counter by which one task follows another.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#if defined(__SSE2__)
#include <immintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#else
#include <vector>
#endif

namespace exuvia {

// Calls body(task, worker) for every task in [0, tasks); worker < threads. Tasks are handed out in order as workers get
// free, so that a task may wait for an earlier one.
template <class Body>
void parallel_for(int64_t tasks, int threads, const Body& body) {
    if (threads > tasks) threads = static_cast<int>(tasks);
    if (threads <= 1) {
        for (int64_t task = 0; task < tasks; ++task) body(task, 0);
        return;
    }
    std::atomic<int64_t> next(0);
    const auto work = [&](int worker) {
        for (int64_t task = next++; task < tasks; task = next++) body(task, worker);
    };
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads)
    work(omp_get_thread_num());
#else
    std::vector<std::thread> others;
    try {
        for (int worker = 1; worker < threads; ++worker) others.emplace_back(work, worker);
    } catch (...) {  // no more threads are available: the started ones and this one do the work
    }
    work(0);
    for (auto& thread : others) thread.join();
#endif
}

// Progress of a task, on a separate cache line.
class alignas(64) Progress {
  public:
    void reach(int64_t steps) { steps_.store(steps, std::memory_order_release); }
    // Returns when the task has reached this point; its writes up to then are visible.
    void wait(int64_t steps) const {
        for (int turns = 0; steps_.load(std::memory_order_acquire) < steps; ++turns) {
#if defined(__SSE2__)
            _mm_pause();
#endif
            if (turns > 100) std::this_thread::yield();
        }
    }

  private:
    std::atomic<int64_t> steps_{0};
};

}  // namespace exuvia
