// One panel of 64 columns for a block of rows: a micro-kernel computes a tile of products; scale, bias, activation and
// residual are a separate pass over the tile while it is in the L1 cache. Inlined into the micro-kernel, an expensive
// activation would make the compiler spill the sums. Templates over the micro-kernel.
//
// A micro-kernel is a class with
//   using Simd, Element, Setup;          vector type; element of the quantised rows; constructed once per panel
//   static constexpr size_t kRows;       most rows of a tile
//   static constexpr size_t kExtraRows;  rows that a tile may read past the last one
//   static void tile(size_t rows, const Tile<Element>&);
// Integer sums are exact and every element goes through the same float32 operations whatever the tile, so that a row's
// result does not depend on the other rows.
#pragma once

#include "linear/linear_kernels.h"
#include "linear/rows.h"
#include "simd/math.h"

namespace assay {
namespace {

// out[row][64] = sum over the groups of scale[row][group] * (sum of the products of the group's columns).
template <class Element>
struct Tile {
  const Element* rows;  // [kRows, k_padded]
  size_t k_padded;
  size_t group, groups;
  const float* scale;         // [kRows, groups]
  const int8_t* weight;       // [k_padded / 4, 64, 4]
  const int32_t* column_sum;  // [groups, n_padded], the panel's first
  size_t n_padded;
  // Weights to prefetch: 4 * ahead_step bytes in each step of four input columns.
  const int8_t* ahead;
  size_t ahead_step;  // at most 64
  float* out;
};

// Scale and bias in the column order of the panel, padded with zeros.
struct PanelColumns {
  alignas(64) float scale[kPanelColumns];
  alignas(64) float bias[kPanelColumns];
};

inline void copy_columns(const float* from, size_t first, size_t end, float* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = from != nullptr && first + i < end ? from[first + i] : 0.0f;
}

inline void load_columns(const LinearJob& job, size_t panel, PanelColumns* columns) {
  if (!job.gated) {
    copy_columns(job.weight_scale, panel * kPanelColumns, job.n, columns->scale, kPanelColumns);
    copy_columns(job.bias, panel * kPanelColumns, job.n, columns->bias, kPanelColumns);
    return;
  }
  const size_t half = job.n / 2, first = panel * (kPanelColumns / 2);
  copy_columns(job.weight_scale, first, half, columns->scale, kPanelColumns / 2);
  copy_columns(job.bias, first, half, columns->bias, kPanelColumns / 2);
  copy_columns(job.weight_scale, half + first, job.n, columns->scale + kPanelColumns / 2, kPanelColumns / 2);
  copy_columns(job.bias, half + first, job.n, columns->bias + kPanelColumns / 2, kPanelColumns / 2);
}

template <class S, Activation kActivation>
inline typename S::Float activate(typename S::Float x) {
  switch (kActivation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return S::max(S::zero(), x);  // propagates NaN
    case Activation::kGelu:
      return gelu<S>(x);
    case Activation::kGeluTanh:
      return gelu_tanh<S>(x);
    case Activation::kSilu:
      return silu<S>(x);
    case Activation::kTanh:
      return tanh<S>(x);
  }
  return x;
}

// Turns a tile of products into y.
template <class S, Activation kActivation, bool kGated>
void finish(const LinearJob& job, const PanelColumns& columns, size_t panel, size_t first_row, size_t rows,
            const float* tile) {
  constexpr size_t kColumns = kGated ? kPanelColumns / 2 : kPanelColumns;
  const size_t width = kGated ? job.n / 2 : job.n;
  const size_t first = panel * kColumns;
  const size_t end = width - first < kColumns ? width - first : kColumns;
  for (size_t r = 0; r < rows; ++r) {
    const size_t row = first_row + r;
    const float* outlier = job.outlier_value + row * job.outliers;
    const auto linear = [&](size_t i) {
      typename S::Float y = S::load(tile + r * kPanelColumns + i);
      y = S::fma(y, S::load(columns.scale + i), S::load(columns.bias + i));
      for (size_t o = 0; o < job.outliers; ++o) {
        y = S::fma(S::set(outlier[o]), S::load(job.outlier_weight + o * job.n_padded + panel * kPanelColumns + i), y);
      }
      // Infinity becomes NaN: ReLU or tanh would make it a finite number, and nobody would notice the overflow.
      return S::add(y, S::sub(y, y));
    };
    for (size_t i = 0; i < end; i += S::kWidth) {
      const size_t lanes = end - i < S::kWidth ? end - i : S::kWidth;
      typename S::Float y = activate<S, kActivation>(linear(i));
      if (kGated) y = S::mul(y, linear(i + kPanelColumns / 2));
      const size_t at = row * width + first + i;
      if (job.residual != nullptr) y = S::add(y, load_some<S>(job.residual + at, lanes));
      store_some<S>(job.y + at, y, lanes);
    }
  }
}

using Finish = void (*)(const LinearJob&, const PanelColumns&, size_t, size_t, size_t, const float*);

template <class S, bool kGated>
inline Finish finish_for(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return &finish<S, Activation::kNone, kGated>;
    case Activation::kRelu:
      return &finish<S, Activation::kRelu, kGated>;
    case Activation::kGelu:
      return &finish<S, Activation::kGelu, kGated>;
    case Activation::kGeluTanh:
      return &finish<S, Activation::kGeluTanh, kGated>;
    case Activation::kSilu:
      return &finish<S, Activation::kSilu, kGated>;
    case Activation::kTanh:
      return &finish<S, Activation::kTanh, kGated>;
  }
  return nullptr;
}

template <class Micro>
void panel(const LinearJob& job, size_t panel, size_t first_row, size_t end_row) {
  using S = typename Micro::Simd;
  PanelColumns columns;
  load_columns(job, panel, &columns);
  const Finish finish = job.gated ? finish_for<S, true>(job.activation) : finish_for<S, false>(job.activation);
  const int8_t* weight = job.weight + panel * job.k_padded * kPanelColumns;
  const int32_t* column_sum = job.column_sum + panel * kPanelColumns;
  const auto* quantized = static_cast<const typename Micro::Element*>(job.quantized);
  alignas(64) float sums[Micro::kRows * kPanelColumns];
  // Tiles of equal height: a short last one would have too few independent sums to hide the latency of an instruction.
  size_t tiles = (end_row - first_row + Micro::kRows - 1) / Micro::kRows;
  // With few rows, time is bound by reading the weights. Each pass over this panel prefetches its share of the next
  // panel, which keeps memory busy throughout.
  const bool last = (panel + 1) * kPanelColumns == job.n_padded;
  const int8_t* ahead = last ? weight : weight + job.k_padded * kPanelColumns;
  const size_t ahead_step = (64 + tiles - 1) / tiles;
  const typename Micro::Setup setup;
  for (size_t row = first_row; tiles > 0; --tiles) {
    const size_t rows = (end_row - row + tiles - 1) / tiles;
    Micro::tile(rows, {quantized + row * job.k_padded, job.k_padded, job.group, job.groups,
                       job.scale + row * job.groups, weight, column_sum, job.n_padded, ahead, ahead_step, sums});
    finish(job, columns, panel, row, rows, sums);
    ahead += job.k_padded * ahead_step;
    row += rows;
  }
}

}  // namespace
}  // namespace assay
