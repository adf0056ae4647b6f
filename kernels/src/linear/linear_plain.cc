// Portable C++, for CPUs without any of the other instruction sets.
#include "linear/table.h"
#include "simd/plain.h"

namespace assay {
namespace {

struct PlainMicro {
  using Simd = Plain;
  using Element = int8_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 4;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<int8_t>& t) {
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* a = t.rows + r * t.k_padded;
      for (size_t g = 0; g < t.groups; ++g) {
        const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
        int32_t sums[kPanelColumns] = {};
        for (size_t k = begin; k < end; k += 4) {
          const int8_t* w = t.weight + k * kPanelColumns;
          for (size_t j = 0; j < kPanelColumns; ++j) {
            sums[j] += a[k] * w[4 * j] + a[k + 1] * w[4 * j + 1] + a[k + 2] * w[4 * j + 2] + a[k + 3] * w[4 * j + 3];
          }
        }
        const float s = t.scale[r * t.groups + g];
        for (size_t j = 0; j < kPanelColumns; ++j) {
          const float sum = static_cast<float>(sums[j]);
          float& out = t.out[r * kPanelColumns + j];
          out = g == 0 ? sum * s : Plain::fma_one(sum, s, out);
        }
      }
    }
  }
};

}  // namespace

const LinearKernels& linear_plain() {
  static constexpr LinearKernels kernels = linear_kernels<PlainMicro, 0, 2>();
  return kernels;
}

}  // namespace assay
