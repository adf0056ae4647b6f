// Milliseconds of one layer's attention on one thread: DeBERTa-v3-base (12 heads of 64) and ModernBERT-large (16 heads).
//   bench_attention [lengths ...]
// Processor time rather than the clock's, and the least of many runs: what another process took is not counted.
// ASSAY_KERNELS_ISA chooses the instruction set.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "attention/rotation.h"
#include "attention/tables.h"
#include "attention/tasks.h"
#include "isa.h"

namespace {

using namespace assay;

constexpr size_t kHeadSize = 64;

std::vector<float> random_numbers(size_t count) {
  std::mt19937 generator(0);
  std::normal_distribution<float> normal(0.0f, 0.5f);
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(generator);
  return numbers;
}

// DeBERTa-v3's: 256 buckets on each side, the first 128 distances with rows of their own, none beyond 511.
struct Tables {
  static constexpr int kFarthest = 512, kNear = 128;
  std::vector<int32_t> rows;
  size_t count;
  std::vector<float> values, scale;
  std::vector<int32_t> sum;

  explicit Tables(size_t heads) {
    for (int distance = -kFarthest; distance <= kFarthest; ++distance) rows.push_back(bucket(distance) + 256 + 15);
    const int32_t filler = rows.front() / 16 * 16;
    for (int32_t& row : rows) row -= filler;
    count = static_cast<size_t>(rows.back()) / kPanel * kPanel + kPanel;
    values = random_numbers(heads * count * kHeadSize);  // as int8, the bytes of these
    scale.assign(heads * count, 0.001f);
    sum.assign(heads * count, 0);
  }

  static int bucket(int distance) {
    const int away = std::abs(distance);
    if (away <= kNear) return distance;
    const double share = std::log(away / double{kNear}) / std::log(511.0 / kNear);
    return std::min(255, static_cast<int>(std::ceil(share * (kNear - 1))) + kNear) * (distance > 0 ? 1 : -1);
  }
  PositionTable table() const { return {values.data(), scale.data(), sum.data()}; }
};

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double milliseconds(const AttentionCall& call, size_t length) {
  const int64_t starts[] = {0, static_cast<int64_t>(length)};
  const PackedRows rows(starts, 2, starts[1]);
  const AttentionKernels& kernels = *select_kernels().attention;
  double least = 1e9;
  const double begin = processor_seconds();
  while (processor_seconds() - begin < 0.5) {
    // The clock counts microseconds: several runs of a short row make one measurement.
    const size_t runs = 1 + 512 / length;
    const double before = processor_seconds();
    for (size_t i = 0; i < runs; ++i) run_attention(kernels, call, rows, Parallel());
    least = std::min(least, (processor_seconds() - before) / static_cast<double>(runs));
  }
  return least * 1e3;
}

void bench(const char* name, size_t heads, size_t length, bool positions, bool rotary, size_t half_window) {
  static const Tables tables(12);
  const size_t width = heads * kHeadSize;
  const std::vector<float> qkv = random_numbers(length * 3 * width);
  std::vector<float> output(length * width);
  const RowsByDistance by_distance(tables.rows.data(), Tables::kFarthest, length);
  const std::vector<float> frequencies(kHeadSize / 2, 0.01f);

  AttentionCall call{};
  call.heads = heads;
  call.head_size = kHeadSize;
  call.query = qkv.data();
  call.key = call.query + width;
  call.value = call.key + width;
  call.query_stride = call.key_stride = 3 * width;
  call.output = output.data();
  if (positions) call.position_keys = call.position_queries = tables.table();
  call.table_rows = tables.count;
  call.row_at = by_distance.at_zero();
  const RotationTable rotation(frequencies.data(), frequencies.size(), length);
  if (rotary) call.rotation = rotation.data();
  call.half_window = half_window;
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kFloat32}) {
    call.arithmetic = arithmetic;
    std::printf("  %s %s %.3f", name, arithmetic == Arithmetic::kInt8 ? "int8" : "float32", milliseconds(call, length));
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<size_t> lengths{16, 32, 64, 128, 256, 512};
  if (count > 1) lengths.clear();
  for (int i = 1; i < count; ++i) lengths.push_back(static_cast<size_t>(std::max(1, std::atoi(arguments[i]))));
  std::printf("%s, ms per layer\n", select_kernels().name);
  for (const size_t length : lengths) {
    std::printf("%5zu tokens:", length);
    bench("DeBERTa", 12, length, true, false, kEveryKey);
    bench("| ModernBERT global", 16, length, false, true, kEveryKey);
    bench("| local", 16, length, false, true, 64);
    std::printf("\n");
    std::fflush(stdout);
  }
}
