// Eight floats in a ymm register, with FMA.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace assay {
namespace {

struct Avx2 {
  using Float = __m256;
  using Int = __m256i;
  static constexpr size_t kWidth = 8;

  static __m256i first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  static Float zero() { return _mm256_setzero_ps(); }
  static Float set(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  // The first n of a vector (n <= width), the rest 0; reads nothing beyond them.
  static Float load_first(const float* p, size_t n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static void store_first(float* p, Float v, size_t n) { _mm256_maskstore_ps(p, first(n), v); }

  static Float keep_first(Float v, size_t n) { return _mm256_and_ps(v, _mm256_castsi256_ps(first(n))); }

  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }  // a * b + c
  // Returns b if either is NaN.
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float abs(Float a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Float copy_sign(Float magnitude, Float sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
  }
  // yes where a < b, no elsewhere.
  static Float if_less(Float a, Float b, Float yes, Float no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }

  static Float round(Float a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Int to_int(Float a) { return _mm256_cvtps_epi32(a); }  // to nearest, ties to even
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  // 2^n for whole n in -126..127.
  static Float power_of_two(Float n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
  }
  // The upper half added to the lower one, as in lanes.h.
  static float reduce_add(Float a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float reduce_max(Float a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }

  static Int load_int(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_int(int32_t* p, Int v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  // The low bits of each of the integers.
  static void store_low(uint8_t* p, Int v) {
    const __m256i low = _mm256_shuffle_epi8(v, _mm256_set1_epi32(0x0c080400));
    const __m128i pair = _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), pair);
  }
  static void store_low(int16_t* p, Int v) {
    const __m256i pairs = _mm256_packs_epi32(v, v);  // saturates: v is within 16 bits
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08)));
  }
  static Int add_int(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int set_int(int32_t x) { return _mm256_set1_epi32(x); }
  static Int bits(Float a) { return _mm256_castps_si256(a); }
  static Float from_bits(Int a) { return _mm256_castsi256_ps(a); }
  template <int n>
  static Int shift_left(Int a) {
    return _mm256_slli_epi32(a, n);
  }
  template <int n>
  static Int shift_right(Int a) {  // zeros come in
    return _mm256_srli_epi32(a, n);
  }
  static Int and_int(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int or_int(Int a, Int b) { return _mm256_or_si256(a, b); }
  static Int xor_int(Int a, Int b) { return _mm256_xor_si256(a, b); }
  static Int sub_int(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int max_int(Int a, Int b) { return _mm256_max_epi32(a, b); }
};

}  // namespace
}  // namespace assay
