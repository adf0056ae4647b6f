// One panel of 64 columns of a float32 layer for some rows. A template over the vector type and the shape of a tile.
//
// Each element is one chain of multiply-adds over the input columns in their order, whatever the tile: the answer for a
// row does not depend on the rows beside it.
#pragma once

#include "linear/panel.h"

namespace assay {
namespace {

// out[row][0 .. vectors of S] = rows times the columns of `weight`, which is [k, 64].
template <class S, size_t kRows, size_t kVectors>
__attribute__((noinline)) void float_tile(const float* rows, size_t k, const float* weight, float* out) {
  typename S::Float sums[kRows][kVectors];
#pragma GCC unroll 6
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t j = 0; j < kVectors; ++j) sums[r][j] = S::zero();
  }
  for (size_t i = 0; i < k; ++i, weight += kPanelColumns) {
    typename S::Float columns[kVectors];
#pragma GCC unroll 4
    for (size_t j = 0; j < kVectors; ++j) columns[j] = S::load(weight + j * S::kWidth);
#pragma GCC unroll 6
    for (size_t r = 0; r < kRows; ++r) {
      const typename S::Float x = S::set(rows[r * k + i]);
#pragma GCC unroll 4
      for (size_t j = 0; j < kVectors; ++j) sums[r][j] = S::fma(x, columns[j], sums[r][j]);
    }
  }
#pragma GCC unroll 6
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t j = 0; j < kVectors; ++j) S::store(out + r * kPanelColumns + j * S::kWidth, sums[r][j]);
  }
}

template <class S, size_t kVectors>
void float_tile_of(size_t count, const float* rows, size_t k, const float* weight, float* out) {
  switch (count) {
    case 1:
      return float_tile<S, 1, kVectors>(rows, k, weight, out);
    case 2:
      return float_tile<S, 2, kVectors>(rows, k, weight, out);
    case 3:
      return float_tile<S, 3, kVectors>(rows, k, weight, out);
    case 4:
      return float_tile<S, 4, kVectors>(rows, k, weight, out);
    case 5:
      return float_tile<S, 5, kVectors>(rows, k, weight, out);
    default:
      return float_tile<S, 6, kVectors>(rows, k, weight, out);
  }
}

// kVectors: how many vectors of columns a tile of 6 rows has, so that its sums stay in registers.
template <class S, size_t kVectors>
void float_panel(const LinearJob& job, size_t panel, size_t first_row, size_t end_row) {
  constexpr size_t kTileRows = 6;
  constexpr size_t kTileColumns = kVectors * S::kWidth;
  static_assert(kPanelColumns % kTileColumns == 0, "a panel is cut into tiles of one width");
  PanelColumns columns;
  load_columns(job, panel, &columns);
  for (float& scale : columns.scale) scale = 1.0f;
  const Finish finish = job.gated ? finish_for<S, true>(job.activation) : finish_for<S, false>(job.activation);
  const float* weight = job.float_weight + panel * job.k * kPanelColumns;
  alignas(64) float sums[kTileRows * kPanelColumns];
  for (size_t row = first_row; row < end_row; row += kTileRows) {
    const size_t rows = end_row - row < kTileRows ? end_row - row : kTileRows;
    for (size_t c = 0; c < kPanelColumns; c += kTileColumns) {
      float_tile_of<S, kVectors>(rows, job.x + row * job.k, job.k, weight + c, sums + c);
    }
    finish(job, columns, panel, row, rows, sums);
  }
}

}  // namespace
}  // namespace assay
