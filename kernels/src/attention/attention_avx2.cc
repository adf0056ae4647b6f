// Attention with AVX2 and FMA. Its int8 products are exact.
#include "attention/attend.h"
#include "attention/avx2_transpose.h"
#include "simd/avx2.h"

namespace assay {
namespace {

struct Avx2Attention : Lanes<Avx2> {
  using BaseFloat = __m256;
  static constexpr size_t kTileRows = 4, kTilePanels = 1;  // 8 of 16 registers hold sums
  static constexpr int32_t kRowBias = 0;

  // vpmaddubsw wants an unsigned factor and saturates its sums of two products at 16 bits. |row| times the column with
  // the row's sign is the same product, and as both lie in -127 .. 127, the sum of two is at most 32,258.
  static void dot(Int& sum, Int row, Int column) {
    for (size_t i = 0; i < kParts; ++i) {
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row.part[i]),
                                                 _mm256_sign_epi8(column.part[i], row.part[i]));
      sum.part[i] = _mm256_add_epi32(sum.part[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }
  static Float spread(const float* from, const int32_t* rows) {
    return {{spread_8(from, rows, rows[0]), spread_8(from, rows + kWidth, rows[0])}};
  }
  static void transpose_block(__m256 (&row)[8]) { transpose_8x8(row); }
};

}  // namespace

const AttentionKernels& attention_avx2() {
  static constexpr AttentionKernels kernels{attention_scratch<Avx2Attention>, attention_run<Avx2Attention>};
  return kernels;
}

}  // namespace assay
