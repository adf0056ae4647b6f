// NEON with int8 matrix products: an instruction multiplies two rows by two columns over eight input columns. 8 rows by
// 8 columns keep 16 sums in registers.
#include "linear/table.h"
#include "simd/neon.h"

namespace assay {
namespace {

inline int8x16_t low_pairs(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip1q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}
inline int8x16_t high_pairs(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip2q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}

// kPairs pairs of rows. With an odd number of rows the last one is paired with itself.
template <size_t kPairs>
__attribute__((noinline)) void i8mm_tile(size_t rows, const Tile<int8_t>& t) {
  constexpr size_t kColumns = 8;
  const int8_t* row[2 * kPairs];
  for (size_t r = 0; r < 2 * kPairs; ++r) row[r] = t.rows + (r < rows ? r : rows - 1) * t.k_padded;
  const int8_t* ahead = t.ahead;
  for (size_t g = 0; g < t.groups; ++g) {
    const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
    for (size_t column = 0; column < kPanelColumns; column += kColumns) {
      // [row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1]
      int32x4_t sums[kPairs][4];
#pragma GCC unroll 4
      for (size_t p = 0; p < kPairs; ++p) sums[p][0] = sums[p][1] = sums[p][2] = sums[p][3] = vdupq_n_s32(0);
      const int8_t* w = t.weight + begin * kPanelColumns + 4 * column;
      for (size_t k = begin; k < end; k += 8, w += 8 * kPanelColumns, ahead += t.ahead_step) {
        // This is two steps of four input columns, in each of eight passes over the columns.
        __builtin_prefetch(ahead, 0, 2);
        // Each is four input columns of four output columns: the first four input columns (0) and the next four (1).
        const int8x16_t left0 = vld1q_s8(w), left1 = vld1q_s8(w + 4 * kPanelColumns);
        const int8x16_t right0 = vld1q_s8(w + 16), right1 = vld1q_s8(w + 4 * kPanelColumns + 16);
        const int8x16_t columns[4] = {low_pairs(left0, left1), high_pairs(left0, left1), low_pairs(right0, right1),
                                      high_pairs(right0, right1)};
#pragma GCC unroll 4
        for (size_t p = 0; p < kPairs; ++p) {
          const int8x16_t pair = vcombine_s8(vld1_s8(row[2 * p] + k), vld1_s8(row[2 * p + 1] + k));
#pragma GCC unroll 4
          for (size_t j = 0; j < 4; ++j) sums[p][j] = vmmlaq_s32(sums[p][j], pair, columns[j]);
        }
      }
      for (size_t r = 0; r < rows; ++r) {
        const float32x4_t scale = vdupq_n_f32(t.scale[r * t.groups + g]);
        for (size_t j = 0; j < 2; ++j) {
          const int32x4_t first = sums[r / 2][2 * j], second = sums[r / 2][2 * j + 1];
          const int32x4_t four = r % 2 == 0 ? vcombine_s32(vget_low_s32(first), vget_low_s32(second))
                                            : vcombine_s32(vget_high_s32(first), vget_high_s32(second));
          float* out = t.out + r * kPanelColumns + column + 4 * j;
          const float32x4_t sum = vcvtq_f32_s32(four);
          vst1q_f32(out, g == 0 ? vmulq_f32(sum, scale) : vfmaq_f32(vld1q_f32(out), sum, scale));
        }
      }
    }
  }
}

struct MatrixMicro {
  using Simd = Neon;
  using Element = int8_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 8;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<int8_t>& t) {
    static constexpr void (*kTiles[kRows / 2])(size_t, const Tile<int8_t>&) = {&i8mm_tile<1>, &i8mm_tile<2>,
                                                                               &i8mm_tile<3>, &i8mm_tile<4>};
    kTiles[(rows - 1) / 2](rows, t);
  }
};

}  // namespace

const LinearKernels& linear_neon_i8mm() {
  static constexpr LinearKernels kernels = linear_kernels<MatrixMicro, 0, 4>();
  return kernels;
}

}  // namespace assay
