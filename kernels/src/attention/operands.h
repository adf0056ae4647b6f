// Queries, keys and values of one head as operands of `multiply`, quantised for Arithmetic::kInt8.
//
// A number that isn't finite makes its vector's scale NaN, and with it every score or output that the vector enters.
#pragma once

#include <math.h>

#include "attention/product.h"
#include "simd/lanes.h"

namespace assay {
namespace {

// Adding it leaves a whole number in the low bits of a float, in two's complement: |x| < 2^22.
constexpr float kRoundingShift = 12582912.0f;

// Up to sixteen vectors of d floats, at `stride` from one to the next, side by side: [d, 16]. Lanes from `count` on are 0.
template <class S>
void load_columns(const float* first, size_t stride, size_t count, size_t d, float* columns) {
  for (size_t c = 0; c < d; c += kPanel) {
    const size_t n = d - c < kPanel ? d - c : kPanel;
    typename S::Float x[kPanel];
    for (size_t i = 0; i < kPanel; ++i) {
      const float* p = first + i * stride + c;
      x[i] = i >= count ? S::zero() : n == kPanel ? S::load(p) : S::load_first(p, n);
    }
    transpose<S>(x);
    for (size_t i = 0; i < n; ++i) S::store(columns + (c + i) * kPanel, x[i]);
  }
}

// RoPE (arXiv 2104.09864) in halves: channel c turns with channel c + d / 2. rotation is [d / 2, cos or sin, 16].
template <class S>
void rotate(float* columns, size_t d, const float* rotation) {
  for (size_t c = 0; c < d / 2; ++c, rotation += 2 * kPanel) {
    float *left = columns + c * kPanel, *right = columns + (c + d / 2) * kPanel;
    const auto x = S::load(left), y = S::load(right), cos = S::load(rotation), sin = S::load(rotation + kPanel);
    S::store(left, S::sub(S::mul(x, cos), S::mul(y, sin)));
    S::store(right, S::add(S::mul(y, cos), S::mul(x, sin)));
  }
}

// The largest magnitude by bit pattern, so that what is not a number wins over all that is.
template <class S>
typename S::Int magnitude(typename S::Float x) {
  return S::and_int(S::bits(x), S::set_int(0x7fffffff));
}
template <class S>
typename S::Float largest_magnitude(const float* columns, size_t d) {
  typename S::Int most = S::set_int(0);
  for (size_t c = 0; c < d; ++c) most = S::max_int(most, magnitude<S>(S::load(columns + c * kPanel)));
  return S::from_bits(most);
}
// 0 for a finite number, NaN for others.
template <class S>
typename S::Float nan_unless_finite(typename S::Float x) {
  return S::sub(x, x);
}

// Below every score that finite queries and keys have, unless they overflow.
constexpr float kMaskedScore = -3e38f;

// In float64 and rounded, because logf differs in the last bit from one C library and CPU to another.
inline float natural_logarithm(float x) { return static_cast<float>(log(static_cast<double>(x))); }

constexpr float kLeastScale = 1e-30f;  // of a vector of zeros: its reciprocal must be finite

// Four whole numbers, left in the low bits by kRoundingShift, as the bytes of a word.
template <class S>
typename S::Int word_of(typename S::Int a, typename S::Int b, typename S::Int c, typename S::Int d) {
  const auto byte = S::set_int(255);
  const auto low = S::or_int(S::and_int(a, byte), S::template shift_left<8>(S::and_int(b, byte)));
  return S::or_int(low, S::template shift_left<16>(S::or_int(S::and_int(c, byte), S::template shift_left<8>(d))));
}

template <class S>
struct Int8 {
  using Words = Int8Sum<S>;
  static constexpr size_t kElements = 4;  // per word

  // Sixteen vectors [d, 16] to words [ceil(d / 4), 16] with scale [16].
  //   signed_words  as columns of a product, with `start` [16] of their sums
  //   row_words     as rows: plus S::kRowBias in each byte, which is what `start` takes off again
  // Either may be null.
  static void pack(const float* columns, size_t d, int32_t* signed_words, int32_t* row_words, float* scale,
                   int32_t* start) {
    const auto most = largest_magnitude<S>(columns, d);
    S::store(scale, S::add(S::mul(most, S::set(1.0f / 127)), nan_unless_finite<S>(most)));
    const auto inverse = S::div(S::set(127), S::max(S::set(kLeastScale), most));
    auto sum = S::set_int(0);
    for (size_t c = 0; c < d; c += 4) {
      typename S::Int q[4];
      for (size_t i = 0; i < 4; ++i) {
        const auto x = c + i < d ? S::load(columns + (c + i) * kPanel) : S::zero();
        q[i] = S::bits(S::fma(x, inverse, S::set(kRoundingShift)));
      }
      const auto word = word_of<S>(q[0], q[1], q[2], q[3]);
      if (row_words != nullptr) S::store_int(row_words + c * (kPanel / 4), S::xor_int(word, S::set_int(S::kRowBias)));
      if (signed_words != nullptr) {
        S::store_int(signed_words + c * (kPanel / 4), word);
        if constexpr (S::kRowBias != 0) S::dot(sum, S::set_int(S::kRowBias), word);
      }
    }
    if (start != nullptr) S::store_int(start, S::sub_int(S::set_int(0), sum));
  }

  // The values of `count` keys (a multiple of 4; those from `present` on are 0) as columns over the keys: words
  // [ceil(d / 16), count / 4, 16] at panel_stride. The keys of a word are in the order of pack_probabilities.
  //
  // A value's scale joins its key's probability. For that its logarithm is added to the scores, and the sum of the
  // probabilities takes it off again: log_scale and inverse_scale [count].
  static void pack_values(const float* first, size_t stride, size_t present, size_t count, size_t d, int32_t* words,
                          size_t panel_stride, float* log_scale, float* inverse_scale) {
    for (size_t key = 0; key < count; key += 4) {
      float inverse[4];
      for (size_t i = 0; i < 4; ++i) {
        if (key + i >= present) {
          inverse[i] = inverse_scale[key + i] = 0;
          log_scale[key + i] = kMasked;
          continue;
        }
        const float* value = first + (key + i) * stride;
        auto most = S::set_int(0);
        for (size_t c = 0; c < d; c += kPanel) most = S::max_int(most, magnitude<S>(part(value, c, d)));
        float largest = largest_lane(most);
        const float nan = largest - largest;  // unless finite
        largest = largest > kLeastScale ? largest : kLeastScale;
        inverse[i] = 127 / largest;
        inverse_scale[key + i] = 127 / largest + nan;
        log_scale[key + i] = natural_logarithm(largest * (1.0f / 127)) + nan;
      }
      for (size_t c = 0; c < d; c += kPanel) {
        typename S::Int q[4];
        for (size_t i = 0; i < 4; ++i) {
          const auto x = key + i < present ? part(first + (key + i) * stride, c, d) : S::zero();
          q[i] = S::bits(S::fma(x, S::set(inverse[i]), S::set(kRoundingShift)));
        }
        S::store_int(words + c / kPanel * panel_stride + key * (kPanel / 4), word_of<S>(q[0], q[2], q[1], q[3]));
      }
    }
  }

  // Probabilities in 0 .. 1 of four keys as whole numbers of 14 bits, in two digits of base 128: both fit a signed and
  // an unsigned byte, whichever an instruction wants. With 8 bits, a long flat tail beside one likely key would be
  // rounded away: an error of 5e-2 of the output where 14 bits give 6e-3, which is what the rounding of V costs.
  static constexpr float kOne = 16383;
  static void pack_probabilities(const typename S::Float (&p)[4], int32_t* high, int32_t* low) {
    typename S::Int n[4];
    for (size_t i = 0; i < 4; ++i) n[i] = S::bits(S::fma(p[i], S::set(kOne), S::set(kRoundingShift)));
    const auto half = S::set_int(0xffff), digits = S::set_int(0x007f007f);
    const auto first = S::or_int(S::and_int(n[0], half), S::template shift_left<16>(n[1]));
    const auto last = S::or_int(S::and_int(n[2], half), S::template shift_left<16>(n[3]));
    const auto both = [&](typename S::Int a, typename S::Int b) {
      return S::or_int(S::and_int(a, digits), S::template shift_left<8>(S::and_int(b, digits)));
    };
    S::store_int(low, both(first, last));
    S::store_int(high, both(S::template shift_right<7>(first), S::template shift_right<7>(last)));
  }

  static constexpr float kMasked = kMaskedScore;

 private:
  static typename S::Float part(const float* vector, size_t c, size_t d) {
    return d - c < kPanel ? S::load_first(vector + c, d - c) : S::load(vector + c);
  }
  static float largest_lane(typename S::Int most) {
    int32_t lanes[kPanel], result = 0;
    S::store_int(lanes, most);
    for (const int32_t lane : lanes) result = lane > result ? lane : result;
    float largest;
    __builtin_memcpy(&largest, &result, sizeof(largest));
    return largest;
  }
};

template <class S>
struct Float32 {
  using Words = Float32Sum<S>;
  static constexpr size_t kElements = 1;
  static constexpr float kOne = 1, kMasked = kMaskedScore;

  static void pack(const float* columns, size_t d, int32_t* signed_words, int32_t* row_words, float* scale, int32_t*) {
    S::store(scale, S::add(S::set(1), nan_unless_finite<S>(largest_magnitude<S>(columns, d))));
    for (size_t c = 0; c < d; ++c) {
      const auto word = S::bits(S::load(columns + c * kPanel));
      if (signed_words != nullptr) S::store_int(signed_words + c * kPanel, word);
      if (row_words != nullptr) S::store_int(row_words + c * kPanel, word);
    }
  }

  static void pack_values(const float* first, size_t stride, size_t present, size_t count, size_t d, int32_t* words,
                          size_t panel_stride, float* log_scale, float* inverse_scale) {
    for (size_t key = 0; key < count; ++key) {
      const bool real = key < present;
      auto nan = S::zero();
      for (size_t c = 0; c < d; c += kPanel) {
        const float* p = first + key * stride + c;
        const auto x = !real ? S::zero() : d - c < kPanel ? S::load_first(p, d - c) : S::load(p);
        nan = S::add(nan, nan_unless_finite<S>(x));
        S::store_int(words + c / kPanel * panel_stride + key * kPanel, S::bits(x));
      }
      float lanes[kPanel], sum = 0;
      S::store(lanes, nan);
      for (const float lane : lanes) sum += lane;
      log_scale[key] = real ? sum : kMasked;
      inverse_scale[key] = real ? 1 : 0;
    }
  }

  static void pack_probabilities(const typename S::Float (&p)[4], int32_t* words, size_t step) {
    for (size_t i = 0; i < 4; ++i) S::store_int(words + i * step, S::bits(p[i]));
  }
};

}  // namespace
}  // namespace assay
