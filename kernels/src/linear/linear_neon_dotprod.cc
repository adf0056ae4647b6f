// NEON with the dot product by lane: 6 rows by 16 columns keep 24 sums in registers, sixteen input columns of each row
// are loaded at once.
#include "linear/table.h"
#include "simd/neon.h"

namespace assay {
namespace {

template <size_t kRows>
__attribute__((noinline)) void dotprod_tile(const Tile<int8_t>& t) {
  constexpr size_t kColumns = 16;
  const int8_t* ahead = t.ahead;
  for (size_t g = 0; g < t.groups; ++g) {
    const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
    for (size_t column = 0; column < kPanelColumns; column += kColumns) {
      int32x4_t sums[kRows][4];
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = sums[r][2] = sums[r][3] = vdupq_n_s32(0);
      const int8_t* w = t.weight + begin * kPanelColumns + 4 * column;
      for (size_t k = begin; k < end; k += 16, w += 16 * kPanelColumns) {
        int8x16_t rows[kRows];
#pragma GCC unroll 6
        for (size_t r = 0; r < kRows; ++r) rows[r] = vld1q_s8(t.rows + r * t.k_padded + k);
        // This is four steps of four input columns, in each of four passes over the columns.
        for (size_t i = 0; i < 4; ++i, ahead += t.ahead_step) __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
          const int8x16_t w0 = vld1q_s8(w + 16 * j), w1 = vld1q_s8(w + 4 * kPanelColumns + 16 * j);
          const int8x16_t w2 = vld1q_s8(w + 8 * kPanelColumns + 16 * j), w3 = vld1q_s8(w + 12 * kPanelColumns + 16 * j);
#pragma GCC unroll 6
          for (size_t r = 0; r < kRows; ++r) {
            sums[r][j] = vdotq_laneq_s32(sums[r][j], w0, rows[r], 0);
            sums[r][j] = vdotq_laneq_s32(sums[r][j], w1, rows[r], 1);
            sums[r][j] = vdotq_laneq_s32(sums[r][j], w2, rows[r], 2);
            sums[r][j] = vdotq_laneq_s32(sums[r][j], w3, rows[r], 3);
          }
        }
      }
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) {
        const float32x4_t scale = vdupq_n_f32(t.scale[r * t.groups + g]);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
          float* out = t.out + r * kPanelColumns + column + 4 * j;
          const float32x4_t sum = vcvtq_f32_s32(sums[r][j]);
          vst1q_f32(out, g == 0 ? vmulq_f32(sum, scale) : vfmaq_f32(vld1q_f32(out), sum, scale));
        }
      }
    }
  }
}

struct DotProductMicro {
  using Simd = Neon;
  using Element = int8_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 6;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<int8_t>& t) {
    static constexpr void (*kTiles[kRows])(const Tile<int8_t>&) = {
        &dotprod_tile<1>, &dotprod_tile<2>, &dotprod_tile<3>, &dotprod_tile<4>, &dotprod_tile<5>, &dotprod_tile<6>};
    kTiles[rows - 1](t);
  }
};

}  // namespace

const LinearKernels& linear_neon_dotprod() {
  static constexpr LinearKernels kernels = linear_kernels<DotProductMicro, 0, 4>();
  return kernels;
}

}  // namespace assay
