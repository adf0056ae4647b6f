// The one matrix product of the attention kernels: rows whose words are broadcast, times panels of sixteen columns.
//
// A word is 32 bits: four int8 (Arithmetic::kInt8) or one float. Both operands are stored by step of the inner
// dimension, one word each:
//   rows     [steps, at least `rows`]        at row_step words from step to step
//   columns  [panels, steps, 16]             at panel_stride words from panel to panel
#pragma once

#include "attention/attention.h"
#include "simd/lanes.h"

namespace assay {
namespace {

static_assert(kPanel == kLanes, "a panel fills the lanes");

struct Product {
  const int32_t* rows;
  const int32_t* low_rows;  // int8: the low digits of the rows, base 128; null where there is one digit
  size_t row_step;
  const int32_t* columns;
  size_t panel_stride;
  size_t steps;

  // out = sum * column_scale * row_scale + row_offset, or + out
  const int32_t* start;  // what the sum of a column starts at; null: 0
  const float* row_scale;
  const float* column_scale;  // null: 1
  const float* row_offset;    // null: 0, or out to accumulate
  bool accumulate;
  float* out;
  size_t out_stride;
};

template <class S>
struct Int8Sum {
  using Sum = typename S::Int;
  static Sum start(const int32_t* p) { return S::load_int(p); }
  static Sum none() { return S::set_int(0); }
  static void multiply_add(Sum& sum, typename S::Int row, typename S::Int column) { S::dot(sum, row, column); }
  static Sum next_digit(Sum sum) { return S::template shift_left<7>(sum); }
  static typename S::Float value(Sum sum) { return S::to_float(sum); }
};

template <class S>
struct Float32Sum {
  using Sum = typename S::Float;
  static Sum start(const int32_t*) { return S::zero(); }
  static Sum none() { return S::zero(); }
  static void multiply_add(Sum& sum, typename S::Int row, typename S::Int column) {
    sum = S::fma(S::from_bits(row), S::from_bits(column), sum);
  }
  static Sum next_digit(Sum sum) { return sum; }
  static typename S::Float value(Sum sum) { return sum; }
};

// kRows x kPanels sums held in registers. Not inlined: in a larger function the compiler spills them.
template <class S, class Words, size_t kRows, size_t kPanels>
[[gnu::noinline]] void product_tile(const Product& x, size_t row, size_t panel) {
  using Int = typename S::Int;
  typename Words::Sum sum[kRows][kPanels];
#pragma GCC unroll 3
  for (size_t p = 0; p < kPanels; ++p) {
    const auto start = x.start != nullptr ? Words::start(x.start + (panel + p) * kPanel) : Words::none();
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) sum[r][p] = start;
  }
  const auto add_all = [&](const int32_t* rows) __attribute__((always_inline)) {
    const int32_t* columns = x.columns + panel * x.panel_stride;
    const int32_t* const end = columns + x.steps * kPanel;
    for (; columns != end; columns += kPanel, rows += x.row_step) {
      Int column[kPanels];
#pragma GCC unroll 3
      for (size_t p = 0; p < kPanels; ++p) column[p] = S::load_int(columns + p * x.panel_stride);
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        const Int word = S::set_int(rows[r]);
#pragma GCC unroll 3
        for (size_t p = 0; p < kPanels; ++p) Words::multiply_add(sum[r][p], word, column[p]);
      }
    }
  };
  add_all(x.rows + row);
  if (x.low_rows != nullptr) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (size_t p = 0; p < kPanels; ++p) sum[r][p] = Words::next_digit(sum[r][p]);
    }
    add_all(x.low_rows + row);
  }
#pragma GCC unroll 3
  for (size_t p = 0; p < kPanels; ++p) {
    const size_t column = (panel + p) * kPanel;
    const auto column_scale = x.column_scale != nullptr ? S::load(x.column_scale + column) : S::set(1);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      float* out = x.out + (row + r) * x.out_stride + column;
      const auto offset = x.row_offset != nullptr ? S::set(x.row_offset[row + r])
                          : x.accumulate          ? S::load(out)
                                                  : S::zero();
      S::store(out, S::fma(S::mul(Words::value(sum[r][p]), column_scale), S::set(x.row_scale[row + r]), offset));
    }
  }
}

// rows is a multiple of 16.
template <class S, class Words>
void multiply(const Product& x, size_t rows, size_t panels) {
  constexpr size_t kRows = S::kTileRows, kPanels = S::kTilePanels;
  size_t panel = 0;
  for (; panels - panel >= kPanels; panel += kPanels) {
    // 4 panels as 2 + 2: a single one leaves too few independent sums to hide the latency of a product.
    if (kPanels == 3 && panels - panel == 4) break;
    for (size_t row = 0; row < rows; row += kRows) product_tile<S, Words, kRows, kPanels>(x, row, panel);
  }
  if constexpr (kPanels > 2) {
    for (; panels - panel >= 2; panel += 2) {
      for (size_t row = 0; row < rows; row += kRows) product_tile<S, Words, kRows, 2>(x, row, panel);
    }
  }
  if constexpr (kPanels > 1) {
    for (; panel < panels; ++panel) {
      for (size_t row = 0; row < rows; row += kRows) product_tile<S, Words, kRows, 1>(x, row, panel);
    }
  }
}

}  // namespace
}  // namespace assay
