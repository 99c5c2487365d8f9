// A loop over independent tasks on several threads: OpenMP where the compiler has it (it is torch's own pool when torch
// is loaded first), std::thread elsewhere.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(_OPENMP)
#include <omp.h>
#else
#include <thread>
#include <vector>
#endif

namespace exuvia {

// Calls body(task, worker) for every task in [0, tasks); worker < threads. Tasks are handed out as workers get free.
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
    } catch (...) {  // no more threads to be had: those that started, and this one, do the work
    }
    work(0);
    for (auto& thread : others) thread.join();
#endif
}

}  // namespace exuvia
