// Groups of channels in vector registers: loads, stores, exp2, softplus, sigmoid, sums over lanes.
//
// A lane is a channel. W lanes fill one register: 16 with AVX-512, 8 with AVX2 + FMA, 4 elsewhere (GCC and Clang
// vector extensions, so ARM and plain x86-64 take the same code). Arithmetic is written with operators; only what the
// operators cannot say is an intrinsic.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace exuvia {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float V __attribute__((vector_size(4 * W)));
typedef int32_t I __attribute__((vector_size(4 * W)));
typedef float V4 __attribute__((vector_size(16)));

static inline V all(float value) { return V{} + value; }
static inline V loadv(const float* p) { V v; std::memcpy(&v, p, sizeof v); return v; }
static inline void storev(float* p, V v) { std::memcpy(p, &v, sizeof v); }
static inline I bits(V v) { I i; std::memcpy(&i, &v, sizeof i); return i; }
static inline V floats(I i) { V v; std::memcpy(&v, &i, sizeof v); return v; }


// The optimiser may not see that z + m - m is a rounding, not an identity (only -ffast-math would; kept as a guard).
#if defined(__x86_64__) || defined(__i386__)
#define EXUVIA_OPAQUE(v) __asm__("" : "+x"(v))
#else
#define EXUVIA_OPAQUE(v) (void)(v)
#endif
#if defined(__AVX512F__)
#undef EXUVIA_OPAQUE
#define EXUVIA_OPAQUE(v) __asm__("" : "+v"(v))
#endif

// The first `width` of W lanes: the tail of a row reads and writes nothing beyond it; lanes outside read as 0.
struct Lanes {
    int width;
    bool full;
#if defined(__AVX512F__)
    __mmask16 mask;
    explicit Lanes(int w) : width(w), full(w == W), mask(static_cast<__mmask16>((1u << w) - 1)) {}
    V load(const float* p) const { return full ? loadv(p) : (V)_mm512_maskz_loadu_ps(mask, p); }
    void store(float* p, V v) const {
        if (full) storev(p, v); else _mm512_mask_storeu_ps(p, mask, (__m512)v);
    }
#elif defined(__AVX2__) && defined(__FMA__)
    I mask;
    explicit Lanes(int w) : width(w), full(w == W) {
        for (int i = 0; i < W; ++i) mask[i] = i < w ? -1 : 0;
    }
    V load(const float* p) const { return full ? loadv(p) : (V)_mm256_maskload_ps(p, (__m256i)mask); }
    void store(float* p, V v) const {
        if (full) storev(p, v); else _mm256_maskstore_ps(p, (__m256i)mask, (__m256)v);
    }
#else
    explicit Lanes(int w) : width(w), full(w == W) {}
    V load(const float* p) const {
        if (full) return loadv(p);
        V v = {};
        for (int i = 0; i < width; ++i) v[i] = p[i];
        return v;
    }
    void store(float* p, V v) const {
        if (full) { storev(p, v); return; }
        for (int i = 0; i < width; ++i) p[i] = v[i];
    }
#endif
};

// 2^y for the scan's decays: relative error below 1.2e-7, exactly 1 at y = 0, exactly 0 below -126 (denormals are zero
// where the processor supports it), +inf above 128, NaN stays NaN.
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
// y = k + j/W + f with a table of 2^(j/W) in one register, |f| <= 1/(2W), and a cubic in f. Adding 1.5 * 2^23 / W
// leaves round(W y) in the low bits of the sum; the integer clamps are hidden by the multiplications. The
// table holds bits(2^(j/W)) - j * 2^23/W: adding the low bits shifted up puts k into the exponent, j cancels.
// A table of 32 and a quadratic would save a multiplication, but their error is proportional to f, and slow decays
// accumulate it.
struct Exp2 {
    static constexpr int shift = W == 16 ? 19 : 20;
    static constexpr float magic = 12582912.0f / W;
    I table;
    I lowest, highest;
    Exp2() {
        for (int j = 0; j < W; ++j) {
            const float value = static_cast<float>(std::exp2(static_cast<double>(j) / W));
            int32_t b;
            std::memcpy(&b, &value, 4);
            table[j] = b - (j << shift);
        }
        lowest = bits(all(magic - 127.0f));
        highest = bits(all(magic + 128.0f));
    }
    // 2^(k + j/W) from the low bits of the sum, times 2^f. Adding power (2^f - 1) to power
    // rounds once less than power 2^f.
    template <bool Tame>
    V scaled(V f, I sum) const {
        V p = W == 16 ? f * 0.05550428f + 0.24023427f : f * 0.05550474f + 0.24025748f;
        p = p * f + 0.69314718f;
        V excess = p * f;
        EXUVIA_OPAQUE(excess);  // else the compiler multiplies twice
#if defined(__AVX512F__)
        const I entry = (I)_mm512_permutexvar_epi32((__m512i)sum, (__m512i)table);
#else
        const I entry = (I)_mm256_permutevar8x32_epi32((__m256i)table, (__m256i)sum);
#endif
        const V power = floats(entry + (sum << shift));
        return Tame ? power * excess + power : power * (1.0f + excess);  // infinite powers: inf - inf is no number
    }
    // 2^(x rate). Tame: the caller knows that |x rate| < 126 in every lane, so that nothing needs clamping.
    template <bool Tame>
    V power(V x, V rate) const {
        V y = x * rate;
        EXUVIA_OPAQUE(y);  // not contracted: additions have separate pipes, multiplications are the bottleneck
        V z = y + magic;
        EXUVIA_OPAQUE(z);
        const V f = y - (z - magic);
        I sum = bits(z);
        if (!Tame) {
            sum = sum > lowest ? sum : lowest;
            sum = sum < highest ? sum : highest;
        }
        return scaled<Tame>(f, sum);
    }
    // e^x for x <= 0 within about one unit in the last place (log2(e) in two parts), 0 below -87.4.
    V negative(V x) const {
        x = x < -88.0f ? all(-88.0f) : x;
        V y = x * 1.44269502f;
        EXUVIA_OPAQUE(y);
        V z = y + magic;
        EXUVIA_OPAQUE(z);
        EXUVIA_OPAQUE(x);  // else the product above is used again, rounded, instead of one inside the addition
        V f = x * 1.44269502f - (z - magic);
        f = x * 1.92596303e-8f + f;
        return scaled<true>(f, bits(z));
    }
};
#else
// y = k + f, |f| <= 1/2, a polynomial of degree 6 in f, k into the exponent by an integer shift.
struct Exp2 {
    template <bool Tame>
    V power(V x, V rate) const {
        const float magic = 12582912.0f + 127.0f;
        V y = x * rate;
        if (!Tame) {
            y = y < -127.0f ? all(-127.0f) : y;
            y = y > 128.0f ? all(128.0f) : y;
        }
        V z = y + magic;
        EXUVIA_OPAQUE(z);
        const V f = y - (z - magic);
        V p = f * 1.53533620e-4f + 1.33988747e-3f;
        p = p * f + 9.61843736e-3f;
        p = p * f + 5.55033247e-2f;
        p = p * f + 2.40226479e-1f;
        p = p * f + 6.93147203e-1f;
        p = p * f + 1.0f;
        return p * floats(bits(z) << 23);
    }
    // e^x for x <= 0 within about one unit in the last place (two-part reduction), 0 below -87.3.
    V negative(V x) const {
        const float magic = 12582912.0f + 127.0f;
        const V clamped = x < -87.3f ? all(-87.3f) : x;
        V z = clamped * 1.44269504f + magic;
        EXUVIA_OPAQUE(z);
        const V k = z - magic;
        V f = clamped - k * 0.693145751953125f;
        f = f - k * 1.42860682030941723e-6f;
        V p = f * 1.3843652e-3f + 8.374157e-3f;
        p = p * f + 4.1668002e-2f;
        p = p * f + 1.6666431e-1f;
        p = p * f + 0.49999994f;
        p = p * f + 1.0f;
        p = p * f + 1.0f;
        return x < -87.3f ? V{} : p * floats(bits(z) << 23);
    }
};
#endif

static inline bool any(I v) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0;
#else
    int32_t found = 0;
    for (int i = 0; i < W; ++i) found |= v[i];
    return found != 0;
#endif
}

// The larger of two non-negative lanes; a NaN wins (its bits exceed those of any number).
static inline V larger(V a, V b) {
    const I x = bits(a), y = bits(b);
    return floats(x > y ? x : y);
}

static inline V magnitude(V x) { return floats(bits(x) & 0x7fffffff); }

// 1 / (1 + e^-x) from e = exp(-|x|).
static inline V sigmoid_from(V x, V e) { return (x < 0.0f ? e : all(1.0f)) / (1.0f + e); }
static inline V sigmoid(const Exp2& exp2, V x) { return sigmoid_from(x, exp2.negative(-magnitude(x))); }

// log(1 + e^x) from e = exp(-|x|): max(x, 0) + log(1 + e), as e times a polynomial: small results keep their digits.
static inline V softplus_from(V x, V e) {
    V p = e * 0.00536481f - 0.03006574f;
    p = p * e + 0.07920446f;
    p = p * e - 0.13753796f;
    p = p * e + 0.19153652f;
    p = p * e - 0.24857163f;
    p = p * e + 0.33321324f;
    p = p * e - 0.49999648f;
    p = p * e + 1.0f;
    return p * e + (x > 0.0f ? x : V{});
}

// Partial sums over lanes of four vectors at once: element 4 k + i of the result holds a part of the sum of vector i.
#if defined(__clang__) || __GNUC__ >= 12
#define EXUVIA_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define EXUVIA_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (I){__VA_ARGS__})
#endif
static inline V low_pairs(V a, V b) {
#if defined(__AVX512F__)
    return EXUVIA_SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
#elif defined(__AVX2__) && defined(__FMA__)
    return EXUVIA_SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
#else
    return EXUVIA_SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}
static inline V high_pairs(V a, V b) {
#if defined(__AVX512F__)
    return EXUVIA_SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
#elif defined(__AVX2__) && defined(__FMA__)
    return EXUVIA_SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
#else
    return EXUVIA_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}
static inline V low_halves(V a, V b) {
#if defined(__AVX512F__)
    return EXUVIA_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
#elif defined(__AVX2__) && defined(__FMA__)
    return EXUVIA_SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
#else
    return EXUVIA_SHUFFLE(a, b, 0, 1, 4, 5);
#endif
}
static inline V high_halves(V a, V b) {
#if defined(__AVX512F__)
    return EXUVIA_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
#elif defined(__AVX2__) && defined(__FMA__)
    return EXUVIA_SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
#else
    return EXUVIA_SHUFFLE(a, b, 2, 3, 6, 7);
#endif
}
static inline V sum_four(V a, V b, V c, V d) {
    const V ab = low_pairs(a, b) + high_pairs(a, b);
    const V cd = low_pairs(c, d) + high_pairs(c, d);
    return low_halves(ab, cd) + high_halves(ab, cd);
}

// The sums of W states from W / 4 such vectors, in the order of the states.
static inline V sum_parts(const V* v) {
#if defined(__AVX512F__)
    const V x = EXUVIA_SHUFFLE(v[0], v[1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
                EXUVIA_SHUFFLE(v[0], v[1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    const V y = EXUVIA_SHUFFLE(v[2], v[3], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
                EXUVIA_SHUFFLE(v[2], v[3], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    return EXUVIA_SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           EXUVIA_SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
#elif defined(__AVX2__) && defined(__FMA__)
    return EXUVIA_SHUFFLE(v[0], v[1], 0, 1, 2, 3, 8, 9, 10, 11) +
           EXUVIA_SHUFFLE(v[0], v[1], 4, 5, 6, 7, 12, 13, 14, 15);
#else
    return v[0];
#endif
}

// Denormals count as zero while one of these lives: decayed states do not slow the processor down.
struct FlushDenormals {
#if defined(__SSE2__)
    unsigned before;
    FlushDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before); }
#endif
};

}  // namespace exuvia
