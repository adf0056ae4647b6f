// AVX2 without VNNI. vpmaddubsw is not usable: it adds two products in 16 bits and saturates. Weights are widened to 16
// bits instead and activations are stored as such; a register holds four input columns of four output columns.
#include "linear/table.h"
#include "simd/avx2.h"

namespace assay {
namespace {

// sums += two products of signed 16 bits per lane. With intrinsics, GCC 12 schedules all products of a step before the
// first addition and spills the accumulators.
inline __attribute__((always_inline)) void dot(__m256i& sums, __m256i activations, __m256i weights) {
  __m256i products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(activations), "x"(weights));
}

template <size_t kRows>
__attribute__((noinline)) void avx2_tile(const Tile<int16_t>& t) {
  constexpr size_t kColumns = 8;
  const int8_t* ahead = t.ahead;
  const size_t ahead_step = (t.ahead_step + 1) / 2;  // for each of eight passes over the columns
  for (size_t g = 0; g < t.groups; ++g) {
    const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
    for (size_t column = 0; column < kPanelColumns; column += kColumns) {
      // Two sums for each output column, of two input columns each.
      __m256i sums[kRows][2];
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
      const int8_t* w = t.weight + begin * kPanelColumns + 4 * column;
      for (size_t k = begin; k < end; k += 4, w += 4 * kPanelColumns, ahead += ahead_step) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
        const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
        const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 16)));
#pragma GCC unroll 6
        for (size_t r = 0; r < kRows; ++r) {
          long long four;
          __builtin_memcpy(&four, t.rows + r * t.k_padded + k, sizeof(four));
          const __m256i row = _mm256_set1_epi64x(four);
          dot(sums[r][0], row, low);
          dot(sums[r][1], row, high);
        }
      }
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) {
        const __m256 scale = _mm256_set1_ps(t.scale[r * t.groups + g]);
        float* out = t.out + r * kPanelColumns + column;
        // Columns 0 1 4 5 2 3 6 7, then in order.
        const __m256i pairs = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[r][0], sums[r][1]), 0xd8);
        const __m256 sum = _mm256_cvtepi32_ps(pairs);
        _mm256_store_ps(out, g == 0 ? _mm256_mul_ps(sum, scale) : _mm256_fmadd_ps(sum, scale, _mm256_load_ps(out)));
      }
    }
  }
}

struct Avx2Micro {
  using Simd = Avx2;
  using Element = int16_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 6;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<int16_t>& t) {
    static constexpr void (*kTiles[kRows])(const Tile<int16_t>&) = {&avx2_tile<1>, &avx2_tile<2>, &avx2_tile<3>,
                                                                    &avx2_tile<4>, &avx2_tile<5>, &avx2_tile<6>};
    kTiles[rows - 1](t);
  }
};

}  // namespace

const LinearKernels& linear_avx2() {
  static constexpr LinearKernels kernels = linear_kernels<Avx2Micro, 0, 2>();
  return kernels;
}

}  // namespace assay
