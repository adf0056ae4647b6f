// Runs linear layers that a file describes: for instruction sets of another architecture, whose kernels run in an
// emulator that has no ONNX Runtime.
//   run_linear CASES RESULTS
// CASES is a sequence of layers, each of nine int64 (K, N, group, groups, N_padded, outliers, rows, activation, gated)
// and then arrays in the order of `run_one` below, each after its length in elements (0: absent). A layer with
// float_weight is a FloatLinear. RESULTS gets y of each. Everything is in the machine's byte order, as numpy wrote it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "isa.h"
#include "linear/linear.h"

namespace {

using namespace assay;

[[noreturn]] void fail(const char* message) {
  std::fprintf(stderr, "run_linear: %s\n", message);
  std::exit(1);
}

template <class T>
std::vector<T> read_some(std::FILE* file, size_t count) {
  std::vector<T> values(count);
  if (count > 0 && std::fread(values.data(), sizeof(T), count, file) != count) fail("the file of cases ends too early");
  return values;
}

template <class T>
std::vector<T> read_array(std::FILE* file) {
  return read_some<T>(file, static_cast<size_t>(read_some<int64_t>(file, 1)[0]));
}

template <class T>
const T* data_or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

ort::Allocator heap{1, [](ort::Allocator*, size_t bytes) { return std::malloc(bytes); },
                    [](ort::Allocator*, void* memory) { std::free(memory); }};

bool run_one(const Kernels& kernels, std::FILE* cases, std::FILE* results) {
  int64_t head[9];
  const size_t got = std::fread(head, sizeof(int64_t), 9, cases);
  if (got == 0) return false;
  if (got != 9) fail("the file of cases ends too early");
  LinearJob job{};
  job.k = static_cast<size_t>(head[0]);
  job.k_padded = (job.k + 63) / 64 * 64;
  job.n = static_cast<size_t>(head[1]);
  job.group = head[2] == 0 ? job.k_padded : static_cast<size_t>(head[2]);
  job.group = job.group < job.k_padded ? job.group : job.k_padded;
  job.groups = static_cast<size_t>(head[3]);
  job.n_padded = static_cast<size_t>(head[4]);
  job.outliers = static_cast<size_t>(head[5]);
  const size_t rows = static_cast<size_t>(head[6]);
  job.activation = static_cast<Activation>(head[7]);
  job.gated = head[8] != 0;
  job.epsilon = 1e-5f;

  const auto x = read_array<float>(cases);
  const auto weight = read_array<int8_t>(cases);
  const auto float_weight = read_array<float>(cases);
  const auto weight_scale = read_array<float>(cases);
  const auto column_sum = read_array<int32_t>(cases);
  const auto bias = read_array<float>(cases);
  const auto residual = read_array<float>(cases);
  const auto first_gain = read_array<float>(cases);
  const auto last_gain = read_array<float>(cases);
  const auto norm_bias = read_array<float>(cases);
  const auto outlier_columns = read_array<int32_t>(cases);
  const auto outlier_weight = read_array<float>(cases);
  std::vector<float> kept(job.k, 1.0f);
  for (const int32_t column : outlier_columns) kept[static_cast<size_t>(column)] = 0.0f;

  const size_t columns = job.gated ? job.n / 2 : job.n;
  std::vector<float> y(rows * columns);
  job.x = x.data();
  job.norm_gain = data_or_null(first_gain);
  job.norm_bias = data_or_null(norm_bias);
  job.outlier_columns = data_or_null(outlier_columns);
  job.kept = job.outliers > 0 ? kept.data() : nullptr;
  job.weight = data_or_null(weight);
  job.float_weight = data_or_null(float_weight);
  job.weight_scale = weight_scale.data();
  job.column_sum = column_sum.data();
  job.bias = data_or_null(bias);
  job.outlier_weight = data_or_null(outlier_weight);
  job.residual = data_or_null(residual);
  job.y = y.data();
  const NormJob norm{job.y, columns, data_or_null(last_gain), data_or_null(norm_bias), job.epsilon, job.y};
  run_linear(*kernels.linear, job, last_gain.empty() ? nullptr : &norm, rows, &heap, Parallel());
  if (std::fwrite(y.data(), sizeof(float), y.size(), results) != y.size()) fail("the results cannot be written");
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) fail("usage: run_linear CASES RESULTS");
  std::FILE* cases = std::fopen(arguments[1], "rb");
  std::FILE* results = std::fopen(arguments[2], "wb");
  if (cases == nullptr || results == nullptr) fail("a file cannot be opened");
  try {
    const Kernels& kernels = select_kernels();
    std::puts(kernels.name);
    while (run_one(kernels, cases, results)) {
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
  return std::fclose(results);
}
