// Eight vectors of eight floats, rows for columns.
#pragma once

#include <immintrin.h>

#include <cstddef>

namespace assay {
namespace {

inline void transpose_8x8(__m256 (&row)[8]) {
  __m256 quads[8];
  for (size_t i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(row[i], row[i + 1]), b = _mm256_unpackhi_ps(row[i], row[i + 1]);
    const __m256 c = _mm256_unpacklo_ps(row[i + 2], row[i + 3]), d = _mm256_unpackhi_ps(row[i + 2], row[i + 3]);
    quads[i] = _mm256_shuffle_ps(a, c, 0x44);
    quads[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    quads[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    quads[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  for (size_t i = 0; i < 4; ++i) {
    row[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    row[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

// from[rows[i] - rows[0]] for eight rows.
inline __m256 spread_8(const float* from, const int32_t* rows, int32_t first) {
  const __m256i row = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows));
  return _mm256_i32gather_ps(from, _mm256_sub_epi32(row, _mm256_set1_epi32(first)), sizeof(float));
}

}  // namespace
}  // namespace assay
