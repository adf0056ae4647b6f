// Plain C++: what is right everywhere, and the reference of the other files.
#include "linear/panel.h"
#include "simd/plain.h"

namespace assay {
namespace {

struct PlainMicro {
  using Simd = Plain;
  using Element = int8_t;
  static constexpr size_t kRows = 4;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const int8_t* q, size_t k_padded, const int8_t* weight, const int32_t*, size_t,
                   const float* scale, size_t group, size_t groups, float* out) {
    for (size_t r = 0; r < rows; ++r) {
      const int8_t* a = q + r * k_padded;
      for (size_t g = 0; g < groups; ++g) {
        const size_t begin = g * group, end = begin + group < k_padded ? begin + group : k_padded;
        int32_t sums[kPanel] = {};
        for (size_t k = begin; k < end; k += 4) {
          const int8_t* w = weight + k * kPanel;
          for (size_t j = 0; j < kPanel; ++j) {
            sums[j] += a[k] * w[4 * j] + a[k + 1] * w[4 * j + 1] + a[k + 2] * w[4 * j + 2] + a[k + 3] * w[4 * j + 3];
          }
        }
        const float s = scale[r * groups + g];
        for (size_t j = 0; j < kPanel; ++j) {
          const float sum = static_cast<float>(sums[j]) * s;
          out[r * kPanel + j] = g == 0 ? sum : out[r * kPanel + j] + sum;
        }
      }
    }
  }
};

}  // namespace

const LinearKernels& linear_plain() {
  static constexpr LinearKernels kernels = linear_kernels<PlainMicro, 0>();
  return kernels;
}

}  // namespace assay
