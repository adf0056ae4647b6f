// Attention in plain C++.
#include "attention/attend.h"
#include "simd/plain.h"

namespace assay {
namespace {

struct PlainAttention : Lanes<Plain> {
  using BaseFloat = Plain::Float;
  static constexpr size_t kTileRows = 4, kTilePanels = 1;
  static constexpr int32_t kRowBias = 0;

  static int32_t byte(int32_t word, int index) {
    return static_cast<int8_t>(static_cast<uint32_t>(word) >> (8 * index) & 0xff);
  }
  static void dot(Int& sum, Int row, Int column) {
    for (size_t i = 0; i < kParts; ++i) {
      for (size_t lane = 0; lane < kWidth; ++lane) {
        const int32_t a = row.part[i].lane[lane], b = column.part[i].lane[lane];
        int32_t products = 0;
        for (int k = 0; k < 4; ++k) products += byte(a, k) * byte(b, k);
        sum.part[i].lane[lane] += products;
      }
    }
  }
  // from[rows[i] - rows[0]] for sixteen rows.
  static Float spread(const float* from, const int32_t* rows) {
    float lanes[kPanel];
    for (size_t i = 0; i < kPanel; ++i) lanes[i] = from[rows[i] - rows[0]];
    return load(lanes);
  }
  static void transpose_block(Plain::Float (&row)[kWidth]) {
    for (size_t i = 0; i < kWidth; ++i) {
      for (size_t k = i + 1; k < kWidth; ++k) {
        const float x = row[i].lane[k];
        row[i].lane[k] = row[k].lane[i];
        row[k].lane[i] = x;
      }
    }
  }
};

}  // namespace

const AttentionKernels& attention_plain() {
  static constexpr AttentionKernels kernels{attention_scratch<PlainAttention>, attention_run<PlainAttention>};
  return kernels;
}

}  // namespace assay
