// The interface of the per-instruction-set kernels of linear layers. The driver (linear.h) splits the work into calls
// of these functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

enum class Activation { kNone, kRelu, kGelu, kGeluTanh, kSilu, kTanh };

// Columns of a panel: weights are packed [panels, k / 4, 64 columns, 4].
constexpr size_t kPanelColumns = 64;

struct LinearJob {
  size_t k;         // input columns
  size_t k_padded;  // to a multiple of 64
  size_t n;         // columns of weight_scale and bias; gated: both halves
  size_t n_padded;  // 64 per panel
  size_t group;     // input columns that share a scale; k_padded where a whole row does
  size_t groups;
  size_t outliers;  // columns that are multiplied in float32

  // Activations, and what becomes of them before they are quantised.
  const float* x;          // [rows, k]
  const float* norm_gain;  // [k], or null: no layer norm
  const float* norm_bias;  // [k] or null
  float epsilon;
  const int32_t* outlier_columns;  // [outliers]
  const float* kept;               // [k]: 0 at an outlier column, else 1; null where there are none

  // The quantised rows. The type of an element is the instruction set's own.
  void* quantized;       // [rows, k_padded]
  float* scale;          // [rows, groups]; not a number where a row of x has such, or infinity
  float* outlier_value;  // [rows, outliers]

  const int8_t* weight;         // [panels, k_padded / 4, 64, 4], or null: the layer is float32
  const float* float_weight;    // [panels, k, 64]
  const float* weight_scale;    // [n]
  const int32_t* column_sum;    // [groups, n_padded]
  const float* bias;            // [n] or null
  const float* outlier_weight;  // [outliers, n_padded]
  Activation activation;
  bool gated;             // a panel is 32 columns to be activated and the 32 that multiply them
  const float* residual;  // [rows, columns of y] or null; added to y
  float* y;               // [rows, n], gated [rows, n / 2]
};

// y = layer norm of x.
struct NormJob {
  const float* x;  // [rows, n]; may be y
  size_t n;
  const float* gain;  // [n]
  const float* bias;  // [n] or null
  float epsilon;
  float* y;  // [rows, n]
};

struct LinearKernels {
  size_t element_size;  // of LinearJob::quantized, in bytes
  size_t extra_rows;    // that a tile may read beyond the last, whatever they hold
  void (*quantize)(const LinearJob&, size_t first_row, size_t end_row);
  // One panel of columns for some rows: products, bias, activation, residual.
  void (*panel)(const LinearJob&, size_t panel, size_t first_row, size_t end_row);
  // The same in float32; quantises nothing.
  void (*float_panel)(const LinearJob&, size_t panel, size_t first_row, size_t end_row);
  void (*norm)(const NormJob&, size_t first_row, size_t end_row);
};

const LinearKernels& linear_amx();
const LinearKernels& linear_avx512vnni();
const LinearKernels& linear_avxvnni();
const LinearKernels& linear_avx2();
const LinearKernels& linear_neon_i8mm();
const LinearKernels& linear_neon_dotprod();
const LinearKernels& linear_plain();

}  // namespace assay
