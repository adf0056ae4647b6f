// VNNI in 256 bits (Alder Lake and later, without AVX-512): 6 rows by 16 columns keep their 12 sums in registers.
#include "linear/table.h"
#include "simd/avx2.h"

namespace assay {
namespace {

// sums += four products of unsigned by signed bytes per lane. With the intrinsic, GCC 12 copies the accumulators and
// spills them.
inline __attribute__((always_inline)) void dot(__m256i& sums, __m256i activations, __m256i weights) {
#if defined(ASSAY_KERNELS_EMULATE)
  // The same instruction in EVEX encoding, for CPUs with AVX-512 but without AVX-VNNI.
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(activations), "v"(weights));
#else
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(activations), "x"(weights));
#endif
}

template <size_t kRows>
__attribute__((noinline)) void avxvnni_tile(const Tile<uint8_t>& t) {
  constexpr size_t kColumns = 16;
  const int8_t* ahead = t.ahead;
  for (size_t g = 0; g < t.groups; ++g) {
    const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
    for (size_t column = 0; column < kPanelColumns; column += kColumns) {
      __m256i sums[kRows][2];
#pragma GCC unroll 2
      for (size_t j = 0; j < 2; ++j) {
        // Activations are stored with 128 added.
        const int32_t* from = t.column_sum + g * t.n_padded + column + 8 * j;
        const __m256i sum = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        const __m256i start = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(sum, 7));
#pragma GCC unroll 6
        for (size_t r = 0; r < kRows; ++r) sums[r][j] = start;
      }
      const int8_t* w = t.weight + begin * kPanelColumns + 4 * column;
      for (size_t k = begin; k < end; k += 4, w += 4 * kPanelColumns, ahead += t.ahead_step) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
        const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32));
        // There are four passes over the columns: prefetch a quarter in each.
        _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
#pragma GCC unroll 6
        for (size_t r = 0; r < kRows; ++r) {
          int32_t four;
          __builtin_memcpy(&four, t.rows + r * t.k_padded + k, sizeof(four));
          const __m256i row = _mm256_set1_epi32(four);
          dot(sums[r][0], row, low);
          dot(sums[r][1], row, high);
        }
      }
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) {
        const __m256 scale = _mm256_set1_ps(t.scale[r * t.groups + g]);
#pragma GCC unroll 2
        for (size_t j = 0; j < 2; ++j) {
          float* out = t.out + r * kPanelColumns + column + 8 * j;
          const __m256 sum = _mm256_cvtepi32_ps(sums[r][j]);
          _mm256_store_ps(out, g == 0 ? _mm256_mul_ps(sum, scale) : _mm256_fmadd_ps(sum, scale, _mm256_load_ps(out)));
        }
      }
    }
  }
}

struct AvxVnniMicro {
  using Simd = Avx2;
  using Element = uint8_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 6;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<uint8_t>& t) {
    static constexpr void (*kTiles[kRows])(const Tile<uint8_t>&) = {
        &avxvnni_tile<1>, &avxvnni_tile<2>, &avxvnni_tile<3>, &avxvnni_tile<4>, &avxvnni_tile<5>, &avxvnni_tile<6>};
    kTiles[rows - 1](t);
  }
};

}  // namespace

const LinearKernels& linear_avxvnni() {
  static constexpr LinearKernels kernels = linear_kernels<AvxVnniMicro, 128, 2>();
  return kernels;
}

}  // namespace assay
