// Sixteen lanes out of one, two or four vectors of an instruction set. What must come out the same on every machine is
// written for sixteen lanes, whatever the width of a register: the packed tables of attention, and sums over a row, whose
// rounding depends on the order in which they are added up.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {
namespace {

constexpr size_t kLanes = 16;

template <class Base>
struct Lanes {
  static constexpr size_t kWidth = Base::kWidth;
  static constexpr size_t kParts = kLanes / kWidth;

  struct Float {
    typename Base::Float part[kParts];
  };
  struct Int {
    typename Base::Int part[kParts];
  };

#define ASSAY_EACH_PART(Type, expression) \
  Type out;                               \
  for (size_t i = 0; i < kParts; ++i) {   \
    out.part[i] = Base::expression;       \
  }                                       \
  return out

  static Float set(float x) { ASSAY_EACH_PART(Float, set(x)); }
  static Float zero() { ASSAY_EACH_PART(Float, zero()); }
  static Float load(const float* p) { ASSAY_EACH_PART(Float, load(p + i * kWidth)); }
  static Float add(Float a, Float b) { ASSAY_EACH_PART(Float, add(a.part[i], b.part[i])); }
  static Float sub(Float a, Float b) { ASSAY_EACH_PART(Float, sub(a.part[i], b.part[i])); }
  static Float mul(Float a, Float b) { ASSAY_EACH_PART(Float, mul(a.part[i], b.part[i])); }
  static Float div(Float a, Float b) { ASSAY_EACH_PART(Float, div(a.part[i], b.part[i])); }
  static Float fma(Float a, Float b, Float c) { ASSAY_EACH_PART(Float, fma(a.part[i], b.part[i], c.part[i])); }
  static Float max(Float a, Float b) { ASSAY_EACH_PART(Float, max(a.part[i], b.part[i])); }
  static Float min(Float a, Float b) { ASSAY_EACH_PART(Float, min(a.part[i], b.part[i])); }
  static Float abs(Float a) { ASSAY_EACH_PART(Float, abs(a.part[i])); }
  static Float if_less(Float a, Float b, Float yes, Float no) {
    ASSAY_EACH_PART(Float, if_less(a.part[i], b.part[i], yes.part[i], no.part[i]));
  }
  static Float to_float(Int a) { ASSAY_EACH_PART(Float, to_float(a.part[i])); }
  static Float from_bits(Int a) { ASSAY_EACH_PART(Float, from_bits(a.part[i])); }

  static Int bits(Float a) { ASSAY_EACH_PART(Int, bits(a.part[i])); }
  static Int set_int(int32_t x) { ASSAY_EACH_PART(Int, set_int(x)); }
  static Int load_int(const int32_t* p) { ASSAY_EACH_PART(Int, load_int(p + i * kWidth)); }
  static Int add_int(Int a, Int b) { ASSAY_EACH_PART(Int, add_int(a.part[i], b.part[i])); }
  static Int sub_int(Int a, Int b) { ASSAY_EACH_PART(Int, sub_int(a.part[i], b.part[i])); }
  static Int and_int(Int a, Int b) { ASSAY_EACH_PART(Int, and_int(a.part[i], b.part[i])); }
  static Int or_int(Int a, Int b) { ASSAY_EACH_PART(Int, or_int(a.part[i], b.part[i])); }
  static Int xor_int(Int a, Int b) { ASSAY_EACH_PART(Int, xor_int(a.part[i], b.part[i])); }
  static Int max_int(Int a, Int b) { ASSAY_EACH_PART(Int, max_int(a.part[i], b.part[i])); }
  template <int n>
  static Int shift_left(Int a) {
    ASSAY_EACH_PART(Int, template shift_left<n>(a.part[i]));
  }
  template <int n>
  static Int shift_right(Int a) {
    ASSAY_EACH_PART(Int, template shift_right<n>(a.part[i]));
  }
#undef ASSAY_EACH_PART

  static void store(float* p, Float a) {
    for (size_t i = 0; i < kParts; ++i) Base::store(p + i * kWidth, a.part[i]);
  }
  static void store_int(int32_t* p, Int a) {
    for (size_t i = 0; i < kParts; ++i) Base::store_int(p + i * kWidth, a.part[i]);
  }

  // The first n lanes (n <= 16), the rest 0; nothing beyond them is read or written.
  static Float load_first(const float* p, size_t n) {
    Float out;
    for (size_t i = 0; i < kParts; ++i) {
      const size_t before = i * kWidth;
      out.part[i] = n > before ? Base::load_first(p + before, n - before < kWidth ? n - before : kWidth) : Base::zero();
    }
    return out;
  }
  static void store_first(float* p, Float a, size_t n) {
    for (size_t i = 0; i * kWidth < n; ++i) {
      const size_t left = n - i * kWidth;
      Base::store_first(p + i * kWidth, a.part[i], left < kWidth ? left : kWidth);
    }
  }
  static Float keep_first(Float a, size_t n) {
    Float out;
    for (size_t i = 0; i < kParts; ++i) {
      const size_t before = i * kWidth;
      out.part[i] = n >= before + kWidth ? a.part[i] : n > before ? Base::keep_first(a.part[i], n - before) : Base::zero();
    }
    return out;
  }

  // The sum of all lanes: always the upper half added to the lower one.
  static float reduce_add(Float a) {
    for (size_t half = kParts / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) a.part[i] = Base::add(a.part[i], a.part[i + half]);
    }
    return Base::reduce_add(a.part[0]);
  }
};

// Sixteen vectors of sixteen lanes, rows for columns: by the square blocks that one register's width makes.
// `transpose_block` does that for kWidth vectors of the base type.
template <class S>
void transpose(typename S::Float (&row)[kLanes]) {
  constexpr size_t kWidth = S::kWidth;
  for (size_t up = 0; up < S::kParts; ++up) {
    for (size_t across = up; across < S::kParts; ++across) {
      typename S::BaseFloat upper[kWidth], lower[kWidth];
      for (size_t i = 0; i < kWidth; ++i) upper[i] = row[up * kWidth + i].part[across];
      S::transpose_block(upper);
      if (across != up) {
        for (size_t i = 0; i < kWidth; ++i) lower[i] = row[across * kWidth + i].part[up];
        S::transpose_block(lower);
        for (size_t i = 0; i < kWidth; ++i) row[up * kWidth + i].part[across] = lower[i];
      }
      for (size_t i = 0; i < kWidth; ++i) row[across * kWidth + i].part[up] = upper[i];
    }
  }
}

}  // namespace
}  // namespace assay
