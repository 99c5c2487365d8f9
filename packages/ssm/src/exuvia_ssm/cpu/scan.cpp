// The library's C interface: every function returns 0, or 1 when out of memory; no exception leaves it.
#include "backward.h"
#include "roofline.h"
#include "forward.h"

#define EXUVIA_API extern "C" __attribute__((visibility("default")))

EXUVIA_API int64_t exuvia_scan_lanes() { return exuvia::W; }
EXUVIA_API int64_t exuvia_scan_chunk() { return exuvia::K; }

// Steps of all sequences together; -1 where they overlap, do not ascend or leave the rows.
EXUVIA_API int64_t exuvia_scan_steps(int64_t sequences, const int64_t* offsets, const int64_t* lengths, int64_t rows) {
    int64_t steps = 0, end = 0;
    for (int64_t s = 0; s < sequences; ++s) {
        if (offsets[s] < end || offsets[s] > rows || lengths[s] < 0 || lengths[s] > rows - offsets[s]) return -1;
        end = offsets[s] + lengths[s];
        steps += lengths[s];
    }
    return steps;
}

EXUVIA_API int exuvia_scan_forward(const ExuviaScan* p) {
    try {
        exuvia::forward(*p);
    } catch (...) {
        return 1;
    }
    return 0;
}

EXUVIA_API int exuvia_scan_backward(const ExuviaScan* p) {
    try {
        exuvia::backward(*p);
    } catch (...) {
        return 1;
    }
    return 0;
}

// threads, then out: GB/s of a triad over arrays larger than the caches, exponentials per second in registers.
EXUVIA_API int exuvia_scan_roofline(int64_t threads, double* gigabytes, double* exponentials) {
    try {
        *gigabytes = exuvia::triad_rate(static_cast<int>(threads));
        *exponentials = exuvia::exponential_rate(static_cast<int>(threads));
    } catch (...) {
        return 1;
    }
    return 0;
}
