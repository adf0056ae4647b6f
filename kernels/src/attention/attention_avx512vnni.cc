// Attention with AVX-512 and its int8 dot products.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // in GCC's own intrinsics (bug 105593)
#endif

#include "attention/attend.h"
#include "simd/avx512.h"

namespace assay {
namespace {

struct Avx512Attention : Lanes<Avx512> {
  using BaseFloat = __m512;
  static constexpr size_t kTileRows = 8, kTilePanels = 3;  // 24 of 32 registers hold sums
  static constexpr int32_t kRowBias = static_cast<int32_t>(0x80808080);  // vpdpbusd takes its first factor unsigned

  // An intrinsic would do, but gcc 12 then copies the sum before each product and runs out of registers.
  static void dot(Int& sum, Int row, Int column) {
#if defined(__GNUC__)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.part[0]) : "v"(row.part[0]), "v"(column.part[0]));
#else
    sum.part[0] = _mm512_dpbusd_epi32(sum.part[0], row.part[0], column.part[0]);
#endif
  }

  // from[rows[i] - rows[0]] for sixteen rows that rise by 0 or 1.
  static Float spread(const float* from, const int32_t* rows) {
    const __m512i lane = _mm512_sub_epi32(_mm512_loadu_si512(rows), _mm512_set1_epi32(rows[0]));
    return {{_mm512_permutexvar_ps(lane, _mm512_loadu_ps(from))}};
  }

  static void transpose_block(__m512 (&row)[16]) {
    __m512 pairs[16], quads[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_ps(row[i], row[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
    }
    const auto low = [](__m512 a, __m512 b) {
      return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    };
    const auto high = [](__m512 a, __m512 b) {
      return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    };
#pragma GCC unroll 4
    for (size_t i = 0; i < 16; i += 4) {
      quads[i] = low(pairs[i], pairs[i + 2]);
      quads[i + 1] = high(pairs[i], pairs[i + 2]);
      quads[i + 2] = low(pairs[i + 1], pairs[i + 3]);
      quads[i + 3] = high(pairs[i + 1], pairs[i + 3]);
    }
    // quads[4 g + c] holds columns c, c + 4, c + 8, c + 12 of rows 4 g .. 4 g + 3, 128 bits each.
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; ++c) {
      const __m512 a = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0x88);
      const __m512 b = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0xdd);
      const __m512 d = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0x88);
      const __m512 e = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0xdd);
      row[c] = _mm512_shuffle_f32x4(a, d, 0x88);
      row[c + 4] = _mm512_shuffle_f32x4(b, e, 0x88);
      row[c + 8] = _mm512_shuffle_f32x4(a, d, 0xdd);
      row[c + 12] = _mm512_shuffle_f32x4(b, e, 0xdd);
    }
  }
};

}  // namespace

const AttentionKernels& attention_avx512vnni() {
  static constexpr AttentionKernels kernels{attention_scratch<Avx512Attention>, attention_run<Avx512Attention>};
  return kernels;
}

// Tiles would speed up the products only, which are half of attention's time with AVX-512.
const AttentionKernels& attention_amx() { return attention_avx512vnni(); }

}  // namespace assay
