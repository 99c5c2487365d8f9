// The library's C face: every function returns 0, or 1 when memory ran out; nothing throws out of it.
#include "backward.h"
#include "floor.h"
#include "forward.h"

#define EXUVIA_API extern "C" __attribute__((visibility("default")))

EXUVIA_API int64_t exuvia_scan_lanes() { return exuvia::W; }
EXUVIA_API int64_t exuvia_scan_chunk() { return exuvia::K; }

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
EXUVIA_API int exuvia_scan_floor(int64_t threads, double* gigabytes, double* exponentials) {
    try {
        *gigabytes = exuvia::triad_rate(static_cast<int>(threads));
        *exponentials = exuvia::exponential_rate(static_cast<int>(threads));
    } catch (...) {
        return 1;
    }
    return 0;
}
