// Pathfinder pictures: the steps of reference.py in the same order with the same random numbers, bit for bit.
//
// Tables come from tables.py. A map and a picture are [W][W] floats; a stencil reaches `half` pixels to every side.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr float OCCUPIED = 0.3f;
constexpr double CLASH = 1.8, FULL = 0.01, DEGREE = 3.14159265358979323846 / 180.0;
constexpr int DEGREES = 360;

}  // namespace

extern "C" {

// Of one margin; see `Tables` in tables.py. near_start[d] .. near_start[d + 1] are the pixels of direction d.
struct PathfinderTables {
    int64_t half, pixels, disc_count, marker_half;
    const float *line, *mask, *marker;
    const int64_t *head, *back, *ahead, *circle, *reverse, *disc, *near, *near_start;
    const double* weight;
};

struct PathfinderSettings {
    int64_t window, padding, seed_distance, contour_length, distractor_length, distractors, paddle_retries,
        snake_retries, margins;
    float target_brightness, distractor_brightness;
    const PathfinderTables* tables;
};

}  // extern "C"

namespace {

struct Draws {
    uint64_t state;
    Draws(uint64_t seed, uint64_t index)
        : state(seed * 0xD1342543DE82EF95ull + index * 0xA0761D6478BD642Full + 0x632BE59BD9B4E019ull) {
        uniform();
    }
    double uniform() {
        state += 0x9E3779B97F4A7C15ull;
        uint64_t z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
    }
    int64_t below(int64_t count) { return static_cast<int64_t>(uniform() * static_cast<double>(count)); }
};

struct Point {
    int64_t y, x;
};

struct Snake {
    Point pivot;
    int64_t direction, stencil;
    Point at, tip;
};

struct Canvas {
    const PathfinderSettings& c;
    const PathfinderTables& t;
    const int64_t W, S;
    std::vector<float> image, map;
    std::vector<double> sums;
    std::vector<uint8_t> free;
    std::vector<int64_t> places;
    std::vector<std::vector<int64_t>> begins;  // of the first long snake, by direction: the map is empty then
    std::vector<uint8_t> known;

    Canvas(const PathfinderSettings& settings, const PathfinderTables& tables)
        : c(settings), t(tables), W(settings.window), S(2 * tables.half + 1), image(W * W), map(W * W),
          sums(tables.pixels), free(W * W), begins(DEGREES), known(DEGREES) {}

    void clear() {
        std::fill(image.begin(), image.end(), 0.0f);
        for (int64_t y = 0; y < W; ++y)
            for (int64_t x = 0; x < W; ++x)
                map[y * W + x] = std::min(std::min(y, W - 1 - y), std::min(x, W - 1 - x)) < c.padding ? 1.0f : 0.0f;
    }
    bool inside(Point p) const { return p.y >= 0 && p.y < W && p.x >= 0 && p.x < W; }
    static Point moved(Point p, const int64_t* step) { return {p.y + step[0], p.x + step[1]}; }

    // Calls f(pixel of the picture, pixel of the stencil) wherever a stencil with its middle at a pixel lies inside.
    template <class F>
    void over(Point at, int64_t half, F f) const {
        const int64_t side = 2 * half + 1;
        for (int64_t i = std::max<int64_t>(0, half - at.y), to = std::min(side, W - at.y + half); i < to; ++i)
            for (int64_t j = std::max<int64_t>(0, half - at.x), end = std::min(side, W - at.x + half); j < end; ++j)
                f((at.y + i - half) * W + at.x + j - half, i * side + j);
    }
    void draw(int64_t stencil, Point at, float brightness) {
        const float* line = t.line + stencil * S * S;
        over(at, t.half, [&](int64_t p, int64_t s) { image[p] = std::max(image[p], line[s] * brightness); });
    }
    void enter(const Snake& snake) {
        const float* mask = t.mask + snake.stencil * S * S;
        over(snake.at, t.half, [&](int64_t p, int64_t s) { map[p] = std::max(map[p], mask[s]); });
    }
    bool clashes(int64_t stencil, Point at) const {
        const float* mask = t.mask + stencil * S * S;
        double most = 0.0;
        over(at, t.half, [&](int64_t p, int64_t s) {
            most = std::max(most, static_cast<double>(map[p]) + static_cast<double>(mask[s]));
        });
        return !(most < CLASH);
    }
    bool placed(int64_t direction, Point at, Snake& snake) const {
        const Point head = moved(at, t.head + 2 * direction), pivot = moved(head, t.back + 2 * direction);
        snake = {pivot, direction, direction, at, at};
        return inside(head) && inside(pivot);
    }
    // Pixels, row by row, where a paddle of a direction may begin; `free` says which are free.
    void find_places(int64_t direction, std::vector<int64_t>& found) const {
        const int64_t *low = t.near + 2 * t.near_start[direction], *high = t.near + 2 * t.near_start[direction + 1];
        found.clear();
        for (int64_t y = 0; y < W; ++y)
            for (int64_t x = 0; x < W; ++x) {
                bool good = true;
                for (const int64_t* o = low; good && o < high; o += 2) {
                    const Point p = moved({y, x}, o);
                    good = !inside(p) || free[p.y * W + p.x];
                }
                if (good) found.push_back(y * W + x);
            }
    }
    // A paddle in a random direction at a random place that is free of others.
    bool first_paddle(Draws& draws, Snake& snake, bool empty) {
        for (int64_t trial = 0; trial <= c.paddle_retries; ++trial) {
            const int64_t direction = draws.below(DEGREES);
            std::vector<int64_t>& able = empty ? begins[direction] : places;
            if (!empty || !known[direction]) find_places(direction, able);
            if (empty) known[direction] = 1;
            if (able.empty()) return false;
            const int64_t place = able[draws.below(static_cast<int64_t>(able.size()))];
            if (placed(direction, {place / W, place % W}, snake)) return true;
        }
        return false;
    }
    bool grow(Draws& draws, Snake& snake, float brightness) {
        const Point pivot = moved(snake.pivot, t.ahead + 2 * snake.direction);
        double total = 0.0;
        for (int64_t k = 0; k < t.pixels; ++k) {
            const Point end = moved(pivot, t.circle + 2 * k);
            if (inside(end)) {
                float busy = 0.0f;
                for (int64_t d = 0; d < t.disc_count; ++d) {
                    const Point p = moved(end, t.disc + 2 * d);
                    if (inside(p)) busy = std::max(busy, map[p.y * W + p.x]);
                }
                // no contraction to a fused operation: the reference rounds twice
                const volatile double share = (1.0 - static_cast<double>(busy)) * t.weight[snake.direction * t.pixels + k];
                total = total + share;
            }
            sums[k] = total;
        }
        if (total < 1e-4) return false;
        for (int64_t trial = 0;; ++trial) {
            if (trial > c.paddle_retries) return false;
            const double wanted = draws.uniform() * total;
            int64_t k = 0;
            while (k < t.pixels && !(sums[k] > wanted)) ++k;
            if (k == t.pixels) k = 0;
            const Point at = moved(pivot, t.circle + 2 * k);
            if (clashes(t.reverse[k], at)) continue;
            draw(t.reverse[k], at, brightness);
            enter(snake);
            snake = {pivot, DEGREES + k, t.reverse[k], at, at};
            return true;
        }
    }
    // Which pixels the first long snake's begin keeps to: the middle.
    void free_middle() {
        const int64_t edge = 2 * c.seed_distance;
        for (int64_t y = 0; y < W; ++y)
            for (int64_t x = 0; x < W; ++x)
                free[y * W + x] = y >= edge && y < W - edge && x >= edge && x < W - edge && map[y * W + x] <= OCCUPIED;
    }
    bool long_snakes(Draws& draws, Point* begins, Point* ends) {
        Snake snakes[2];
        if (!first_paddle(draws, snakes[0], true)) return false;
        bool found = false;
        for (int64_t trial = 0; !found && trial <= c.paddle_retries; ++trial) {
            const int64_t direction = draws.below(DEGREES);
            const double angle = static_cast<double>(draws.below(360)) * DEGREE, far = static_cast<double>(c.seed_distance);
            const Point from = snakes[0].tip;
            const Point at = {from.y + static_cast<int64_t>(std::nearbyint(far * std::sin(angle))),
                              from.x + static_cast<int64_t>(std::nearbyint(far * std::cos(angle)))};
            found = placed(direction, at, snakes[1]);
        }
        if (!found) return false;
        for (int s = 0; s < 2; ++s) begins[s] = snakes[s].tip;
        for (const Snake& snake : snakes) draw(snake.stencil, snake.at, c.target_brightness);
        for (int64_t k = 1; k < c.contour_length; ++k)
            for (Snake& snake : snakes)
                if (!grow(draws, snake, c.target_brightness)) return false;
        enter(snakes[1]);
        for (int s = 0; s < 2; ++s) ends[s] = snakes[s].tip;
        return true;
    }
    bool short_snake(Draws& draws) {
        int64_t count = 0;
        for (int64_t p = 0; p < W * W; ++p) count += free[p] = map[p] <= OCCUPIED;
        if (static_cast<double>(count) < FULL * static_cast<double>(W * W)) return false;
        for (int64_t k = 0; k < W; ++k) free[k] = free[(W - 1) * W + k] = free[k * W] = free[k * W + W - 1] = 0;
        Snake snake;
        if (!first_paddle(draws, snake, false)) return false;
        draw(snake.stencil, snake.at, c.distractor_brightness);
        for (int64_t k = 1; k < c.distractor_length; ++k)
            if (!grow(draws, snake, c.distractor_brightness)) return false;
        enter(snake);
        return true;
    }
};

// One canvas a margin.
int64_t picture(const PathfinderSettings& c, std::vector<Canvas>& canvases, uint64_t seed, uint64_t index, uint8_t* out) {
    Draws draws(seed, index);
    const int64_t label = draws.below(2);
    Canvas& canvas = canvases[draws.below(c.margins)];
    Point begins[2], ends[2];
    canvas.clear();
    canvas.free_middle();
    do canvas.clear();
    while (!canvas.long_snakes(draws, begins, ends));
    for (int64_t n = 0; n < c.distractors; ++n)
        for (int64_t trial = 0; trial <= c.snake_retries; ++trial) {
            const std::vector<float> image = canvas.image, map = canvas.map;
            if (canvas.short_snake(draws)) break;
            canvas.image = image, canvas.map = map;
        }
    const int64_t first = draws.below(2), last = label ? first : 1 - first;
    for (const Point at : {begins[first], ends[last]})
        canvas.over(at, canvas.t.marker_half, [&](int64_t p, int64_t s) {
            canvas.image[p] = std::max(canvas.image[p], canvas.t.marker[s]);
        });
    const auto range = std::minmax_element(canvas.image.begin(), canvas.image.end());
    const double low = *range.first, scale = 255.0 / (static_cast<double>(*range.second) - low);
    for (int64_t p = 0; p < c.window * c.window; ++p) {
        const volatile double scaled = (static_cast<double>(canvas.image[p]) - low) * scale;
        out[p] = static_cast<uint8_t>(scaled + 0.5);
    }
    return label;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void exuvia_pathfinder(
    const PathfinderSettings* c, uint64_t seed, uint64_t first, int64_t count, uint8_t* images, int64_t* labels) {
    std::vector<Canvas> canvases;
    for (int64_t m = 0; m < c->margins; ++m) canvases.emplace_back(*c, c->tables[m]);
    for (int64_t n = 0; n < count; ++n)
        labels[n] = picture(*c, canvases, seed, first + static_cast<uint64_t>(n), images + n * c->window * c->window);
}
