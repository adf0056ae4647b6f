// Layer norm and quantisation of rows, as templates over a vector type.
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>

#include "linear/linear_kernels.h"
#include "simd/lanes.h"

namespace assay {
namespace {

// Calls f(column, lanes) for the vectors of a row; all but the last have every lane.
template <class S, class F>
inline void for_each_vector(size_t begin, size_t end, const F& f) {
  size_t i = begin;
  for (; i + S::kWidth <= end; i += S::kWidth) f(i, S::kWidth);
  if (i < end) f(i, end - i);
}

template <class S>
inline typename S::Float load_some(const float* p, size_t lanes) {
  return lanes == S::kWidth ? S::load(p) : S::load_first(p, lanes);
}

template <class S>
inline void store_some(float* p, typename S::Float v, size_t lanes) {
  if (lanes == S::kWidth) {
    S::store(p, v);
  } else {
    S::store_first(p, v, lanes);
  }
}

struct Moments {
  float mean, inverse_deviation;
};

// Summed in sixteen lanes on every instruction set, so that all round alike.
template <class S>
inline Moments moments(const float* x, size_t n, float epsilon) {
  using L = Lanes<S>;
  const size_t whole = n / kLanes * kLanes;
  typename L::Float sum = L::zero();
  for (size_t i = 0; i < whole; i += kLanes) sum = L::add(sum, L::load(x + i));
  if (whole < n) sum = L::add(sum, L::load_first(x + whole, n - whole));
  const float mean = L::reduce_add(sum) / static_cast<float>(n);
  typename L::Float square = L::zero();
  for (size_t i = 0; i < whole; i += kLanes) {
    const typename L::Float d = L::sub(L::load(x + i), L::set(mean));
    square = L::fma(d, d, square);
  }
  if (whole < n) {
    const typename L::Float d = L::keep_first(L::sub(L::load_first(x + whole, n - whole), L::set(mean)), n - whole);
    square = L::fma(d, d, square);
  }
  const float variance = L::reduce_add(square) / static_cast<float>(n);
  // NaN if the squares overflow: the reciprocal alone would turn the row into zeros.
  return {mean, 1.0f / sqrtf(variance + epsilon) + (variance - variance)};
}

template <class S>
inline typename S::Float normalized(const float* x, const float* gain, const float* bias, const Moments& m, size_t i,
                                    size_t lanes) {
  typename S::Float v = S::mul(S::sub(load_some<S>(x + i, lanes), S::set(m.mean)), S::set(m.inverse_deviation));
  v = S::mul(v, load_some<S>(gain + i, lanes));
  return bias != nullptr ? S::add(v, load_some<S>(bias + i, lanes)) : v;
}

template <class S>
void norm_rows(const NormJob& job, size_t first_row, size_t end_row) {
  for (size_t row = first_row; row < end_row; ++row) {
    const float* x = job.x + row * job.n;
    float* y = job.y + row * job.n;
    const Moments m = moments<S>(x, job.n, job.epsilon);
    for_each_vector<S>(0, job.n, [&](size_t i, size_t lanes) {
      store_some<S>(y + i, normalized<S>(x, job.gain, job.bias, m, i, lanes), lanes);
    });
  }
}

// A row whose largest value is below this counts as zero: 127 / max would overflow.
constexpr float kLeastMax = 1e-36f;

// One row, value(i, lanes) being its vectors: q = x * 127 / max to the nearest whole number, ties to even.
template <class S, class Q, int kOffset, class Value>
inline void quantize_row(const LinearJob& job, Q* q, float* scale, const Value& value) {
  // x * 0 is 0 for finite x and NaN otherwise.
  typename S::Float bad = S::zero();
  for (size_t g = 0; g < job.groups; ++g) {
    const size_t begin = g * job.group;
    const size_t padded_end = begin + job.group < job.k_padded ? begin + job.group : job.k_padded;
    const size_t end = padded_end < job.k ? padded_end : job.k;
    typename S::Float most = S::zero();
    for_each_vector<S>(begin, end, [&](size_t i, size_t lanes) {
      const typename S::Float v = value(i, lanes);
      bad = S::fma(v, S::zero(), bad);
      most = S::max(S::abs(v), most);
    });
    const float max = S::reduce_max(most);
    const bool nothing = !(max >= kLeastMax && max <= 3.4028235e38f);
    scale[g] = nothing ? 0.0f : max / 127.0f;
    const typename S::Float factor = S::set(nothing ? 0.0f : 127.0f / max);
    size_t i = begin;
    for (; i + S::kWidth <= end; i += S::kWidth) {
      S::store_low(q + i, S::add_int(S::to_int(S::mul(value(i, S::kWidth), factor)), S::set_int(kOffset)));
    }
    // The remainder and the padding. The weights of the padding are 0, so its activations may have any value.
    for (; i < padded_end; i += S::kWidth) {
      typename S::Float v = S::zero();
      if (i < end) v = S::mul(value(i, end - i), factor);
      S::store_low(q + i, S::add_int(S::to_int(v), S::set_int(kOffset)));
    }
  }
  if (S::reduce_add(bad) != 0.0f) {
    for (size_t g = 0; g < job.groups; ++g) scale[g] = __builtin_nanf("");
  }
}

// Q is the type that is stored, with kOffset added.
template <class S, class Q, int kOffset>
void quantize_rows(const LinearJob& job, size_t first_row, size_t end_row) {
  for (size_t row = first_row; row < end_row; ++row) {
    const float* x = job.x + row * job.k;
    Q* q = static_cast<Q*>(job.quantized) + row * job.k_padded;
    float* scale = job.scale + row * job.groups;
    Moments m{0.0f, 1.0f};
    if (job.norm_gain != nullptr) m = moments<S>(x, job.k, job.epsilon);
    const auto value = [&](size_t i, size_t lanes) {
      return job.norm_gain != nullptr ? normalized<S>(x, job.norm_gain, job.norm_bias, m, i, lanes)
                                      : load_some<S>(x + i, lanes);
    };
    if (job.outliers == 0) {
      quantize_row<S, Q, kOffset>(job, q, scale, value);
      continue;
    }
    quantize_row<S, Q, kOffset>(job, q, scale, [&](size_t i, size_t lanes) {
      return S::mul(value(i, lanes), load_some<S>(job.kept + i, lanes));
    });
    float* outlier = job.outlier_value + row * job.outliers;
    for (size_t o = 0; o < job.outliers; ++o) {
      const size_t column = static_cast<size_t>(job.outlier_columns[o]);
      float v = x[column];
      if (job.norm_gain != nullptr) {
        v = (v - m.mean) * m.inverse_deviation * job.norm_gain[column];
        if (job.norm_bias != nullptr) v += job.norm_bias[column];
      }
      outlier[o] = v;
    }
  }
}

}  // namespace
}  // namespace assay
