// Eight floats in an array: portable C++.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace assay {
namespace {

struct Plain {
  static constexpr size_t kWidth = 8;
  struct Float {
    float lane[kWidth];
  };
  struct Int {
    int32_t lane[kWidth];
  };

  template <class F>
  static Float each(F f) {
    Float out;
    for (size_t i = 0; i < kWidth; ++i) out.lane[i] = f(i);
    return out;
  }
  template <class F>
  static Int each_int(F f) {
    Int out;
    for (size_t i = 0; i < kWidth; ++i) out.lane[i] = f(i);
    return out;
  }

  static Float zero() { return set(0); }
  static Float set(float x) {
    return each([&](size_t) { return x; });
  }
  static Float load(const float* p) {
    return each([&](size_t i) { return p[i]; });
  }
  // The first n of a vector (n <= width), the rest 0; reads nothing beyond them.
  static Float load_first(const float* p, size_t n) {
    return each([&](size_t i) { return i < n ? p[i] : 0.0f; });
  }
  static void store(float* p, Float v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
  static void store_first(float* p, Float v, size_t n) { std::memcpy(p, v.lane, n * sizeof(float)); }
  static Float keep_first(Float v, size_t n) {
    return each([&](size_t i) { return i < n ? v.lane[i] : 0.0f; });
  }

  static Float add(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] + b.lane[i]; });
  }
  static Float sub(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] - b.lane[i]; });
  }
  static Float mul(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] * b.lane[i]; });
  }
  static Float div(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] / b.lane[i]; });
  }
  // a * b + c, rounded once, as the other instruction sets do. std::fma is a slow library call on CPUs without the
  // instruction. In float64 the product is exact; the sum is rounded to odd, so that rounding it to float32 gives what a
  // single rounding would (Boldo and Melquiond, 2008, "Emulation of FMA and correctly rounded sums").
  static float fma_one(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    const double product = static_cast<double>(a) * static_cast<double>(b), addend = static_cast<double>(c);
    const double sum = product + addend, of_addend = sum - product;
    const double error = (product - (sum - of_addend)) + (addend - of_addend);
    int64_t bits;
    std::memcpy(&bits, &sum, sizeof(bits));
    // Where the sum is inexact and even, its neighbour in the direction of the error is the odd one.
    const bool inexact = error != 0 && sum - sum == 0;
    const int64_t step = (error > 0) == (sum > 0) ? 1 : -1;
    bits += inexact && (bits & 1) == 0 ? step : 0;
    double odd;
    std::memcpy(&odd, &bits, sizeof(odd));
    return static_cast<float>(odd);
#endif
  }
  static Float fma(Float a, Float b, Float c) {
    return each([&](size_t i) { return fma_one(a.lane[i], b.lane[i], c.lane[i]); });
  }
  // Returns b if either is NaN.
  static Float max(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Float min(Float a, Float b) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Float abs(Float a) {
    return each([&](size_t i) { return std::fabs(a.lane[i]); });
  }
  static Float copy_sign(Float magnitude, Float sign) {
    return each([&](size_t i) { return std::copysign(magnitude.lane[i], sign.lane[i]); });
  }
  // yes where a < b, no elsewhere.
  static Float if_less(Float a, Float b, Float yes, Float no) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i]; });
  }

  // To the nearest whole number, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
  static float round_one(float x) {
    constexpr float kShift = 12582912.0f;
    return std::fabs(x) < 4194304.0f ? (x + kShift) - kShift : x;
  }
  static Float round(Float a) {
    return each([&](size_t i) { return round_one(a.lane[i]); });
  }
  // NaN and values out of range become INT32_MIN, as on x86.
  static Int to_int(Float a) {
    return each_int([&](size_t i) {
      const float x = round_one(a.lane[i]);
      return x >= -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
    });
  }
  static Float to_float(Int a) {
    return each([&](size_t i) { return static_cast<float>(a.lane[i]); });
  }
  // 2^n for whole n in -126..127.
  static Float power_of_two(Float n) {
    return each([&](size_t i) {
      const float x = n.lane[i];
      const uint32_t bits =
          x >= -126.0f && x <= 127.0f ? static_cast<uint32_t>(static_cast<int32_t>(x) + 127) << 23 : 0;
      float power;
      std::memcpy(&power, &bits, sizeof(power));
      return power;
    });
  }
  // The upper half added to the lower one, as in lanes.h.
  static float reduce_add(Float a) {
    for (size_t half = kWidth / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
    }
    return a.lane[0];
  }
  static float reduce_max(Float a) {
    float most = a.lane[0];
    for (const float x : a.lane) most = x > most ? x : most;
    return most;
  }

  static Int load_int(const int32_t* p) {
    return each_int([&](size_t i) { return p[i]; });
  }
  static void store_int(int32_t* p, Int v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
  // The low bits of each of the integers.
  static void store_low(int8_t* p, Int v) {
    for (size_t i = 0; i < kWidth; ++i) p[i] = static_cast<int8_t>(v.lane[i]);
  }
  static Int add_int(Int a, Int b) {
    return each_int([&](size_t i) {
      return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) + static_cast<uint32_t>(b.lane[i]));
    });
  }
  static Int set_int(int32_t x) {
    return each_int([&](size_t) { return x; });
  }
  static Int bits(Float a) {
    Int out;
    std::memcpy(&out, &a, sizeof(out));
    return out;
  }
  static Float from_bits(Int a) {
    Float out;
    std::memcpy(&out, &a, sizeof(out));
    return out;
  }
  template <int n>
  static Int shift_left(Int a) {
    return each_int([&](size_t i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << n); });
  }
  template <int n>
  static Int shift_right(Int a) {  // zeros come in
    return each_int([&](size_t i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) >> n); });
  }
  static Int and_int(Int a, Int b) {
    return each_int([&](size_t i) { return a.lane[i] & b.lane[i]; });
  }
  static Int or_int(Int a, Int b) {
    return each_int([&](size_t i) { return a.lane[i] | b.lane[i]; });
  }
  static Int xor_int(Int a, Int b) {
    return each_int([&](size_t i) { return a.lane[i] ^ b.lane[i]; });
  }
  static Int sub_int(Int a, Int b) {
    return each_int([&](size_t i) {
      return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) - static_cast<uint32_t>(b.lane[i]));
    });
  }
  static Int max_int(Int a, Int b) {
    return each_int([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
};

}  // namespace
}  // namespace assay
