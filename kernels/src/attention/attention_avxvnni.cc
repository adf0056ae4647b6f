// Attention with AVX2 and the int8 dot products of AVX-VNNI.
#include "attention/attend.h"
#include "attention/avx2_transpose.h"
#include "simd/avx2.h"

namespace assay {
namespace {

struct AvxVnniAttention : Lanes<Avx2> {
  using BaseFloat = __m256;
  static constexpr size_t kTileRows = 4, kTilePanels = 1;                // 8 of 16 registers hold sums
  static constexpr int32_t kRowBias = static_cast<int32_t>(0x80808080);  // vpdpbusd takes its first factor unsigned

  static void dot(Int& sum, Int row, Int column) {
    for (size_t i = 0; i < kParts; ++i) {
#if defined(ASSAY_KERNELS_EMULATE)
      sum.part[i] = _mm256_dpbusd_epi32(sum.part[i], row.part[i], column.part[i]);
#elif defined(__GNUC__)
      __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.part[i]) : "x"(row.part[i]), "x"(column.part[i]));
#else
      sum.part[i] = _mm256_dpbusd_avx_epi32(sum.part[i], row.part[i], column.part[i]);
#endif
    }
  }
  static Float spread(const float* from, const int32_t* rows) {
    return {{spread_8(from, rows, rows[0]), spread_8(from, rows + kWidth, rows[0])}};
  }
  static void transpose_block(__m256 (&row)[8]) { transpose_8x8(row); }
};

}  // namespace

const AttentionKernels& attention_avxvnni() {
  static constexpr AttentionKernels kernels{attention_scratch<AvxVnniAttention>, attention_run<AvxVnniAttention>};
  return kernels;
}

}  // namespace assay
