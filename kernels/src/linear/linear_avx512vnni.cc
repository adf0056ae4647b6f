// AVX-512 with VNNI: a tile of 6 rows by 64 columns keeps its 24 sums in registers.
#include "linear/table.h"
#include "simd/avx512.h"

namespace assay {
namespace {

// sums += four products of unsigned by signed bytes per lane. With the intrinsic, GCC 12 copies the accumulators and
// spills them.
inline __attribute__((always_inline)) void dot(__m512i& sums, __m512i activations, __m512i weights) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(activations), "v"(weights));
}

// Not inlined: the caller's values would compete with the 24 accumulators for registers.
template <size_t kRows>
__attribute__((noinline)) void avx512_tile(const Tile<uint8_t>& t) {
  const int8_t* ahead = t.ahead;
  for (size_t g = 0; g < t.groups; ++g) {
    const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
    __m512i sums[kRows][4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
      // Activations are stored with 128 added.
      const __m512i column = _mm512_loadu_si512(t.column_sum + g * t.n_padded + 16 * j);
      const __m512i start = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(column, 7));
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) sums[r][j] = start;
    }
    const int8_t* w = t.weight + begin * kPanelColumns;
    for (size_t k = begin; k < end; k += 4, w += 4 * kPanelColumns) {
      __m512i columns[4];
#pragma GCC unroll 4
      for (size_t j = 0; j < 4; ++j, ahead += t.ahead_step) {
        columns[j] = _mm512_loadu_si512(w + 64 * j);
        _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
      }
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) {
        int32_t four;
        __builtin_memcpy(&four, t.rows + r * t.k_padded + k, sizeof(four));
        const __m512i row = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) dot(sums[r][j], row, columns[j]);
      }
    }
#pragma GCC unroll 6
    for (size_t r = 0; r < kRows; ++r) {
      const __m512 scale = _mm512_set1_ps(t.scale[r * t.groups + g]);
#pragma GCC unroll 4
      for (size_t j = 0; j < 4; ++j) {
        float* out = t.out + r * kPanelColumns + 16 * j;
        const __m512 sum = _mm512_cvtepi32_ps(sums[r][j]);
        _mm512_store_ps(out, g == 0 ? _mm512_mul_ps(sum, scale) : _mm512_fmadd_ps(sum, scale, _mm512_load_ps(out)));
      }
    }
  }
}

struct Avx512Micro {
  using Simd = Avx512;
  using Element = uint8_t;
  struct Setup {
    Setup() {}
  };
  static constexpr size_t kRows = 6;
  static constexpr size_t kExtraRows = 0;

  static void tile(size_t rows, const Tile<uint8_t>& t) {
    static constexpr void (*kTiles[kRows])(const Tile<uint8_t>&) = {&avx512_tile<1>, &avx512_tile<2>, &avx512_tile<3>,
                                                                    &avx512_tile<4>, &avx512_tile<5>, &avx512_tile<6>};
    kTiles[rows - 1](t);
  }
};

}  // namespace

const LinearKernels& linear_avx512vnni() {
  static constexpr LinearKernels kernels = linear_kernels<Avx512Micro, 128, 4>();
  return kernels;
}

}  // namespace assay
