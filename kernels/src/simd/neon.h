// Four floats in a NEON register.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace assay {
namespace {

struct Neon {
  using Float = float32x4_t;
  using Int = int32x4_t;
  static constexpr size_t kWidth = 4;

  static Float zero() { return vdupq_n_f32(0); }
  static Float set(float x) { return vdupq_n_f32(x); }
  static Float load(const float* p) { return vld1q_f32(p); }
  // The first n of a vector (n <= width), the rest 0; reads nothing beyond them.
  static Float load_first(const float* p, size_t n) {
    float lanes[4] = {};
    for (size_t i = 0; i < n; ++i) lanes[i] = p[i];
    return vld1q_f32(lanes);
  }
  static void store(float* p, Float v) { vst1q_f32(p, v); }
  static void store_first(float* p, Float v, size_t n) {
    float lanes[4];
    vst1q_f32(lanes, v);
    for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
  }
  static Float keep_first(Float v, size_t n) {
    float lanes[4];
    vst1q_f32(lanes, v);
    return load_first(lanes, n);
  }

  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float div(Float a, Float b) { return vdivq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }  // a * b + c
  // Returns b if either is NaN, as on x86.
  static Float max(Float a, Float b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static Float min(Float a, Float b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static Float abs(Float a) { return vabsq_f32(a); }
  static Float copy_sign(Float magnitude, Float sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }
  // yes where a < b, no elsewhere.
  static Float if_less(Float a, Float b, Float yes, Float no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }

  static Float round(Float a) { return vrndnq_f32(a); }
  static Int to_int(Float a) { return vcvtnq_s32_f32(a); }  // to nearest, ties to even
  static Float to_float(Int a) { return vcvtq_f32_s32(a); }
  // 2^n for whole n in -126..127.
  static Float power_of_two(Float n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
  }
  // The upper half added to the lower one, as in lanes.h; vaddvq adds neighbours.
  static float reduce_add(Float a) {
    const float32x2_t two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static float reduce_max(Float a) { return vmaxvq_f32(a); }

  static Int load_int(const int32_t* p) { return vld1q_s32(p); }
  static void store_int(int32_t* p, Int v) { vst1q_s32(p, v); }
  // The low bits of each of the integers.
  static void store_low(int8_t* p, Int v) {
    const uint16x4_t half = vmovn_u32(vreinterpretq_u32_s32(v));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(half, half));
    const uint32_t word = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    __builtin_memcpy(p, &word, sizeof(word));
  }
  static Int add_int(Int a, Int b) { return vaddq_s32(a, b); }
  static Int set_int(int32_t x) { return vdupq_n_s32(x); }
  static Int bits(Float a) { return vreinterpretq_s32_f32(a); }
  static Float from_bits(Int a) { return vreinterpretq_f32_s32(a); }
  template <int n>
  static Int shift_left(Int a) {
    return vshlq_n_s32(a, n);
  }
  template <int n>
  static Int shift_right(Int a) {  // zeros come in
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n));
  }
  static Int and_int(Int a, Int b) { return vandq_s32(a, b); }
  static Int or_int(Int a, Int b) { return vorrq_s32(a, b); }
  static Int xor_int(Int a, Int b) { return veorq_s32(a, b); }
  static Int sub_int(Int a, Int b) { return vsubq_s32(a, b); }
  static Int max_int(Int a, Int b) { return vmaxq_s32(a, b); }
};

}  // namespace
}  // namespace assay
