// What share of the multiply instruction's peak the int8 products reach, layer by layer, on one thread.
//   bench_linear [rows ...]          every layer shape of DeBERTa-v3-base and ModernBERT-large
// The peak and the kernel are measured in turns of a few milliseconds, and the best of each is taken: what another
// process took from one turn it leaves to the next.
#include "linear/linear.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Multiply-adds a second of an instruction on registers: 12 sums, so that none waits for another.
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) double peak_of_avx512vnni(size_t turns) {
  __m512i sums[12] = {};
  const __m512i ones = _mm512_set1_epi32(1);
  const Clock::time_point start = Clock::now();
  for (size_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sums[i]) : "v"(ones));
  }
  return 12.0 * 64 * static_cast<double>(turns) / seconds_since(start);
}

__attribute__((target("avx2"))) double peak_of_avxvnni(size_t turns) {
  __m256i sums[12] = {};
  const __m256i ones = _mm256_set1_epi32(1);
  const Clock::time_point start = Clock::now();
  for (size_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sums[i]) : "x"(ones));
  }
  return 12.0 * 32 * static_cast<double>(turns) / seconds_since(start);
}

__attribute__((target("avx2"))) double peak_of_avx2(size_t turns) {
  __m256i sums[6] = {}, products[6];
  const __m256i ones = _mm256_set1_epi32(1);
  const Clock::time_point start = Clock::now();
  for (size_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      __asm__ volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0"
                       : "+x"(sums[i]), "=&x"(products[i])
                       : "x"(ones));
    }
  }
  return 6.0 * 16 * static_cast<double>(turns) / seconds_since(start);
}
#endif

// Of the multiply instruction of the kernels with this name; 0 where it is not measured.
double peak_run(const char* name, size_t turns) {
#if defined(__x86_64__)
  const bool is_amx = std::strcmp(name, "amx") == 0;  // which multiplies few rows with VNNI
  if (is_amx || std::strcmp(name, "avx512vnni") == 0) return peak_of_avx512vnni(turns);
  if (std::strcmp(name, "avxvnni") == 0) return peak_of_avxvnni(turns);
  if (std::strcmp(name, "avx2") == 0) return peak_of_avx2(2 * turns);
#endif
  static_cast<void>(name);
  static_cast<void>(turns);
  return 0;
}

struct Shape {
  const char* name;
  size_t k, n;
  bool gated;
};

constexpr Shape kShapes[] = {
    {"deberta qkv", 768, 2304, false},      {"deberta out", 768, 768, false},
    {"deberta ffn in", 768, 3072, false},   {"deberta ffn out", 3072, 768, false},
    {"modernbert qkv", 1024, 3072, false},  {"modernbert out", 1024, 1024, false},
    {"modernbert geglu", 1024, 5248, true}, {"modernbert ffn out", 2624, 1024, false},
};

// Memory that is kept, as a session's arena keeps it: fresh pages from the system would be most of a small layer's
// time.
assay::ort::Allocator* arena() {
  struct Block {
    void* memory;
    size_t bytes;
    bool used;
  };
  static std::vector<Block> blocks;
  static assay::ort::Allocator allocator{
      1,
      [](assay::ort::Allocator*, size_t bytes) {
        for (Block& block : blocks) {
          if (!block.used && block.bytes == bytes) {
            block.used = true;
            return block.memory;
          }
        }
        blocks.push_back({std::aligned_alloc(64, (bytes + 63) / 64 * 64), bytes, true});
        return blocks.back().memory;
      },
      [](assay::ort::Allocator*, void* memory) {
        for (Block& block : blocks) block.used = block.used && block.memory != memory;
      }};
  return &allocator;
}

// Weights as a mapped file has them: aligned to a cache line.
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

void measure(const assay::Kernels& kernels, const Shape& shape, size_t rows, size_t group,
             assay::Activation activation) {
  const size_t k_padded = (shape.k + 63) / 64 * 64, n_padded = (shape.n + 63) / 64 * 64;
  const size_t groups = group == 0 ? 1 : (k_padded + group - 1) / group;
  // Several copies of the weights, so that they come from as far away as in a model.
  const size_t copies = std::max<size_t>(1, (48 << 20) / (k_padded * n_padded));
  const size_t bytes = copies * k_padded * n_padded;
  const std::unique_ptr<int8_t, FreeMemory> weight(static_cast<int8_t*>(std::aligned_alloc(64, bytes)));
  for (size_t i = 0; i < bytes; ++i)
    weight.get()[i] = static_cast<int8_t>(static_cast<int>(i * 2654435761u >> 16) % 127);
  std::vector<float> x(rows * shape.k), y(rows * shape.n), scale(shape.n, 0.001f), bias(shape.n, 0.1f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 2001) / 500.0f - 2.0f;
  const std::vector<int32_t> sums(groups * n_padded, 3);

  assay::LinearJob job{};
  job.k = shape.k;
  job.k_padded = k_padded;
  job.n = shape.n;
  job.n_padded = n_padded;
  job.group = group == 0 ? k_padded : group;
  job.groups = groups;
  job.x = x.data();
  job.weight_scale = scale.data();
  job.column_sum = sums.data();
  job.bias = bias.data();
  job.activation = activation;
  job.gated = shape.gated;
  job.y = y.data();

  const double products = static_cast<double>(rows * shape.k * shape.n);
  double best_time = 1e9, best_peak = 0;
  size_t copy = 0;
  const Clock::time_point start = Clock::now();
  for (int turn = 0; turn < 400 && (turn < 20 || seconds_since(start) < 0.8); ++turn) {
    const double before = peak_run(kernels.name, 20000);
    const size_t repeats = std::max<size_t>(1, static_cast<size_t>(2e8 / products));
    const Clock::time_point begin = Clock::now();
    for (size_t i = 0; i < repeats; ++i) {
      job.weight = weight.get() + (copy++ % copies) * k_padded * n_padded;
      assay::run_linear(*kernels.linear, job, nullptr, rows, arena(), assay::Parallel());
    }
    const double time = seconds_since(begin) / static_cast<double>(repeats);
    const double peak = std::max(before, peak_run(kernels.name, 20000));
    best_time = std::min(best_time, time);
    best_peak = std::max(best_peak, peak);
  }
  std::printf("%-18s K=%4zu N=%4zu M=%3zu  %8.1f us  %.3f Top/s", shape.name, shape.k, shape.n, rows, best_time * 1e6,
              2e-12 * products / best_time);
  if (best_peak > 0) {
    std::printf("  %5.1f %% of the peak ( %.3f)", 100 * products / best_time / best_peak, 2e-12 * best_peak);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<size_t> rows, groups{0};
  assay::Activation activation = assay::Activation::kNone;
  for (int i = 1; i < count; ++i) {
    if (std::strncmp(arguments[i], "group=", 6) == 0) {
      groups = {static_cast<size_t>(std::atoi(arguments[i] + 6))};
    } else if (std::strcmp(arguments[i], "gelu") == 0) {
      activation = assay::Activation::kGelu;
    } else {
      rows.push_back(static_cast<size_t>(std::atoi(arguments[i])));
    }
  }
  if (rows.empty()) rows = {16, 64, 128, 512};
  const assay::Kernels& kernels = assay::select_kernels();
  std::printf("%s, one thread, group %zu\n", kernels.name, groups[0]);
  for (const size_t m : rows) {
    for (const Shape& shape : kShapes) measure(kernels, shape, m, groups[0], activation);
  }
}
