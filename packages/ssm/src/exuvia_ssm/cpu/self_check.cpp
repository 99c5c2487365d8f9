// A program that runs the scan over random shapes: under AddressSanitizer and UBSan it finds what tests cannot see.
//
// Every array has exactly its size, so that a read beyond an end is caught. Results for one and for several threads
// must agree to the bit. Prints the number of cases; exit status 1 at the first difference.
#include <cstdio>
#include <memory>
#include <random>

#define EXUVIA_WORK_OF_THREAD 1
#include "scan.cpp"

namespace {

std::mt19937_64 engine(7);

int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }

std::vector<float> normal(int64_t count, float scale) {
    std::normal_distribution<float> draw(0.0f, scale);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = draw(engine);
    values.shrink_to_fit();
    return values;
}

struct Case {
    int64_t R = 0, D, N, G, S, chunks = 0;
    std::vector<int64_t> offsets, lengths;
    std::vector<std::vector<float>> inputs;
    bool softplus, reverse, optional[5];

    Case() {
        const int64_t groups[] = {1, 1, 2, 3};
        G = groups[between(0, 3)];
        D = G * between(1, 24);
        N = between(1, 21);
        S = between(1, 5);
        const int64_t longest = between(0, 3) == 0 ? 700 : 80;
        for (int64_t s = 0; s < S; ++s) {
            R += between(0, 1);
            offsets.push_back(R);
            lengths.push_back(between(0, longest));
            R += lengths.back();
            chunks += exuvia::chunks_of(lengths.back());
        }
        R += between(0, 2);
        softplus = between(0, 1) != 0, reverse = between(0, 1) != 0;
        for (bool& there : optional) there = between(0, 1) != 0;
        const float wild = between(0, 5) == 0 ? 100.0f : 1.0f;
        const int64_t sizes[] = {R * D, R * D, D * N, R * G * N, R * G * N, D, R * D, D, S * D * N, R * D, S * D * N};
        for (int64_t size : sizes) inputs.push_back(normal(size, inputs.size() == 1 ? wild : 1.0f));
        if (softplus)
            for (float& rate : inputs[2]) rate = -std::fabs(rate) * 8.0f;
    }

    // Every output of forward and backward, one after another.
    std::vector<std::vector<float>> run(int64_t threads) {
        std::vector<std::vector<float>> out;
        const int64_t sizes[] = {R * D, S * D * N, chunks * D * N, R * D, R * D,     D * N,
                                 R * G * N, R * G * N, D,          R * D, D,         S * D * N};
        for (int64_t size : sizes) out.emplace_back(static_cast<size_t>(size), 0.0f);
        const auto maybe = [&](int index, bool there) { return there ? inputs[index].data() : nullptr; };
        ExuviaScan p{};
        p.rows = R, p.channels = D, p.states = N, p.groups = G, p.sequences = S;
        p.softplus = softplus, p.reverse = reverse, p.threads = threads;
        p.x = inputs[0].data(), p.dt = inputs[1].data(), p.A = inputs[2].data();
        p.B = inputs[3].data(), p.C = inputs[4].data();
        p.skip = maybe(5, optional[0]), p.z = maybe(6, optional[1]), p.bias = maybe(7, optional[2]);
        p.initial = maybe(8, optional[3]), p.grad_y = inputs[9].data(), p.grad_final = maybe(10, optional[4]);
        p.offsets = offsets.data(), p.lengths = lengths.data();
        p.y = out[0].data(), p.final_state = out[1].data(), p.checkpoints = out[2].data();
        p.dx = out[3].data(), p.ddt = out[4].data(), p.dA = out[5].data(), p.dB = out[6].data(), p.dC = out[7].data();
        p.dskip = out[8].data(), p.dz = out[9].data(), p.dbias = out[10].data(), p.dinitial = out[11].data();
        if (exuvia_scan_forward(&p) || exuvia_scan_backward(&p)) std::exit(2);
        return out;
    }
};

}  // namespace

int main(int argc, char** argv) {
    const int cases = argc > 1 ? std::atoi(argv[1]) : 200;
    for (int i = 0; i < cases; ++i) {
        Case drawn;
        const auto one = drawn.run(1), some = drawn.run(between(2, 4));
        for (size_t k = 0; k < one.size(); ++k)
            if (!one[k].empty() && std::memcmp(one[k].data(), some[k].data(), one[k].size() * 4) != 0) {
                std::printf("case %d: output %zu depends on the number of threads\n", i, k);
                return 1;
            }
    }
    std::printf("%d cases\n", cases);
    return 0;
}
