// Attention with NEON and its int8 dot products.
#include "attention/attend.h"
#include "simd/neon.h"

namespace assay {
namespace {

struct NeonAttention : Lanes<Neon> {
  using BaseFloat = float32x4_t;
  static constexpr size_t kTileRows = 4, kTilePanels = 1;  // 16 of 32 registers hold sums
  static constexpr int32_t kRowBias = 0;

  static void dot(Int& sum, Int row, Int column) {
    for (size_t i = 0; i < kParts; ++i) {
      sum.part[i] = vdotq_s32(sum.part[i], vreinterpretq_s8_s32(row.part[i]), vreinterpretq_s8_s32(column.part[i]));
    }
  }
  // from[rows[i] - rows[0]] for sixteen rows.
  static Float spread(const float* from, const int32_t* rows) {
    float lanes[kPanel];
    for (size_t i = 0; i < kPanel; ++i) lanes[i] = from[rows[i] - rows[0]];
    return load(lanes);
  }
  static void transpose_block(float32x4_t (&row)[4]) {
    const float32x4_t a = vtrn1q_f32(row[0], row[1]), b = vtrn2q_f32(row[0], row[1]);
    const float32x4_t c = vtrn1q_f32(row[2], row[3]), d = vtrn2q_f32(row[2], row[3]);
    const auto low = [](float32x4_t x, float32x4_t y) {
      return vreinterpretq_f32_f64(vtrn1q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
    };
    const auto high = [](float32x4_t x, float32x4_t y) {
      return vreinterpretq_f32_f64(vtrn2q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
    };
    row[0] = low(a, c);
    row[1] = low(b, d);
    row[2] = high(a, c);
    row[3] = high(b, d);
  }
};

}  // namespace

const AttentionKernels& attention_neon_dotprod() {
  static constexpr AttentionKernels kernels{attention_scratch<NeonAttention>, attention_run<NeonAttention>};
  return kernels;
}

// Its int8 matrices would want another packing of every table, for products that are a third of attention's time.
const AttentionKernels& attention_neon_i8mm() { return attention_neon_dotprod(); }

}  // namespace assay
