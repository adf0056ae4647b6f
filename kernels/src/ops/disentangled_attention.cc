// DisentangledAttention: DeBERTa's scores by content and by relative position, softmax, and the product with the values.
// Without position tables it is plain attention, as in BERT.
#include <algorithm>
#include <string>

#include "attention/tables.h"
#include "custom_op.h"
#include "ops/attention_inputs.h"
#include "ops/ops.h"

namespace assay {
namespace {

// The position tables are int8 or float32, as the arithmetic is; which of them is checked with their shapes.
constexpr ort::ElementType kEither = static_cast<ort::ElementType>(0);

class DisentangledAttention {
 public:
  static constexpr const char* kName = "DisentangledAttention";
  static constexpr InputSpec kInputs[] = {
      {"query", ort::kFloat, ort::kRequired},       // [tokens, 3 * heads * d] or [rows, heads * d]
      {"row_starts", ort::kInt64, ort::kRequired},  // [rows + 1]
      {"kv", ort::kFloat, ort::kOptional},          // [tokens, 2 * heads * d]
      {"bucket_rows", ort::kInt32, ort::kOptional},  // [2 * farthest + 1]
      {"position_keys", kEither, ort::kOptional},    // int8 [heads, R / 16, ceil(d / 4), 16, 4], float32 [heads, R / 16, d, 16]
      {"position_keys_scale", ort::kFloat, ort::kOptional},  // [heads, R]
      {"position_keys_sum", ort::kInt32, ort::kOptional},    // [heads, R], -128 * the sum of the row's int8
      {"position_queries", kEither, ort::kOptional},
      {"position_queries_scale", ort::kFloat, ort::kOptional},
      {"position_queries_sum", ort::kInt32, ort::kOptional},
  };

  explicit DisentangledAttention(const Attributes& attributes)
      : kernels_(*attributes.kernels().attention), attributes_(attributes) {}

  void compute(Context& context) const {
    const AttentionInputs inputs(context, attributes_, 0, 1, 2);
    const PackedRows rows = inputs.rows();
    AttentionCall call = inputs.call();
    const auto bucket_rows = context.input<int32_t>(3, {-1});
    if (bucket_rows) call.table_rows = checked_table_rows(bucket_rows);
    call.position_keys = table(context, 4, call);
    call.position_queries = table(context, 7, call);
    const bool positions = call.position_keys.panels != nullptr || call.position_queries.panels != nullptr;
    if (positions && !bucket_rows) throw Error("bucket_rows is missing");

    call.output = context.output(inputs.output_shape());
    if (!positions) return run_attention(kernels_, call, rows, context.parallel());
    const auto farthest = static_cast<size_t>(bucket_rows.shape[0] / 2);
    const RowsByDistance by_distance(bucket_rows.data, farthest, rows.longest());
    call.row_at = by_distance.at_zero();
    run_attention(kernels_, call, rows, context.parallel());
  }

 private:
  // The rows that a table must have: up to the last distance's, in whole panels. From one distance to the next, the row
  // stays or is the next one; the kernels count on that.
  static size_t checked_table_rows(const Tensor<int32_t>& bucket_rows) {
    if (bucket_rows.shape[0] % 2 == 0) {
      throw Error("bucket_rows has shape " + to_text(bucket_rows.shape) + ", not one row per distance -n .. n");
    }
    const int32_t *row = bucket_rows.data, *const end = row + bucket_rows.shape[0];
    if (*row < 0) throw Error("bucket_rows begins with " + std::to_string(*row));
    for (++row; row != end; ++row) {
      const int64_t step = int64_t{row[0]} - row[-1];
      if (step != 0 && step != 1) {
        throw Error("bucket_rows has " + std::to_string(row[0]) + " after " + std::to_string(row[-1]));
      }
    }
    return static_cast<size_t>(end[-1]) / kPanel * kPanel + kPanel;
  }

  static PositionTable table(const Context& context, size_t first, const AttentionCall& call) {
    const auto heads = static_cast<int64_t>(call.heads), d = static_cast<int64_t>(call.head_size);
    const auto rows = static_cast<int64_t>(call.table_rows), panel = static_cast<int64_t>(kPanel);
    if (call.arithmetic == Arithmetic::kFloat32) {
      return {context.input<float>(first, {heads, rows / panel, d, panel}).data, nullptr, nullptr};
    }
    const PositionTable result{context.input<int8_t>(first, {heads, rows / panel, (d + 3) / 4, panel, 4}).data,
                               context.input<float>(first + 1, {heads, rows}).data,
                               context.input<int32_t>(first + 2, {heads, rows}).data};
    if (result.panels != nullptr && (result.scale == nullptr || result.sum == nullptr)) {
      throw Error(std::string(kInputs[first].name) + " without scale or sum");
    }
    return result;
  }

  const AttentionKernels& kernels_;
  AttentionAttributes attributes_;
};

}  // namespace

const ort::CustomOp* disentangled_attention_op() { return custom_op<DisentangledAttention>(); }

}  // namespace assay
