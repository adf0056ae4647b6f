// Runs attention that a file describes: for instruction sets of another architecture, whose kernels run in an emulator
// that has no ONNX Runtime.
//   run_attention CASES RESULTS
// CASES is a sequence of nine int64 (heads, d, float32?, first token?, half window or -1, farthest, table rows, rows, tokens)
// and then arrays in the order of `main` below, each after its length in elements (0: absent). RESULTS gets the output of
// each. Everything is in the machine's byte order, as numpy wrote it.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "attention/rotation.h"
#include "attention/tables.h"
#include "attention/tasks.h"
#include "isa.h"

namespace {

using namespace assay;

template <class T>
std::vector<T> read_some(std::FILE* file, size_t count) {
  std::vector<T> values(count);
  if (count > 0 && std::fread(values.data(), sizeof(T), count, file) != count) {
    std::fputs("run_attention: the file of cases ends too early\n", stderr);
    std::exit(1);
  }
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

}  // namespace

int main(int, char** arguments) {
  std::FILE *cases = std::fopen(arguments[1], "rb"), *results = std::fopen(arguments[2], "wb");
  if (cases == nullptr || results == nullptr) return 1;
  const Kernels& kernels = select_kernels();
  std::puts(kernels.name);
  int64_t head[9];
  while (std::fread(head, sizeof(int64_t), 9, cases) == 9) {
    const auto number = [&](int index) { return static_cast<size_t>(head[index]); };
    const auto query = read_array<float>(cases), kv = read_array<float>(cases);
    const auto starts = read_array<int64_t>(cases);
    const auto frequencies = read_array<float>(cases);
    const auto bucket_rows = read_array<int32_t>(cases);
    const auto keys = read_array<int32_t>(cases);  // words, whichever the arithmetic
    const auto keys_scale = read_array<float>(cases);
    const auto keys_sum = read_array<int32_t>(cases);
    const auto queries = read_array<int32_t>(cases);
    const auto queries_scale = read_array<float>(cases);
    const auto queries_sum = read_array<int32_t>(cases);

    AttentionCall call{};
    call.heads = number(0);
    call.head_size = number(1);
    call.arithmetic = head[2] != 0 ? Arithmetic::kFloat32 : Arithmetic::kInt8;
    call.first_token = head[3] != 0;
    if (head[4] >= 0) call.half_window = number(4);
    const size_t width = call.heads * call.head_size, outputs = call.first_token ? number(7) : number(8);
    call.query = query.data();
    call.key = call.first_token ? kv.data() : query.data() + width;
    call.value = call.key + width;
    call.query_stride = call.first_token ? width : 3 * width;
    call.key_stride = call.first_token ? 2 * width : 3 * width;
    call.table_rows = number(6);
    call.position_keys = {data_or_null(keys), data_or_null(keys_scale), data_or_null(keys_sum)};
    call.position_queries = {data_or_null(queries), data_or_null(queries_scale), data_or_null(queries_sum)};
    // Ends where the last number does, so that a sanitizer sees what is written beyond it.
    const std::unique_ptr<float[]> output(new float[outputs * width]);
    call.output = output.get();

    const PackedRows rows(starts.data(), starts.size(), head[8]);
    std::unique_ptr<RotationTable> rotation;
    if (!frequencies.empty()) {
      rotation = std::make_unique<RotationTable>(frequencies.data(), frequencies.size(), rows.longest());
      call.rotation = rotation->data();
    }
    std::unique_ptr<RowsByDistance> by_distance;
    if (!bucket_rows.empty()) {
      by_distance = std::make_unique<RowsByDistance>(bucket_rows.data(), number(5), rows.longest());
      call.row_at = by_distance->at_zero();
    }
    run_attention(*kernels.attention, call, rows, Parallel());
    std::fwrite(output.get(), sizeof(float), outputs * width, results);
  }
  return std::fclose(results);
}
