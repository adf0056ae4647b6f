// RotaryAttention: ModernBERT's attention, with rotary positions inside and over all keys or a window of them.
#include <string>

#include "attention/rotation.h"
#include "custom_op.h"
#include "ops/attention_inputs.h"
#include "ops/ops.h"

namespace assay {
namespace {

class RotaryAttention {
 public:
  static constexpr const char* kName = "RotaryAttention";
  static constexpr InputSpec kInputs[] = {
      {"query", ort::kFloat, ort::kRequired},        // [tokens, 3 * heads * d] or [rows, heads * d]
      {"row_starts", ort::kInt64, ort::kRequired},   // [rows + 1]
      {"frequencies", ort::kFloat, ort::kRequired},  // [d / 2], radians per position
      {"kv", ort::kFloat, ort::kOptional},           // [tokens, 2 * heads * d]
  };

  explicit RotaryAttention(const Attributes& attributes)
      : kernels_(*attributes.kernels().attention),
        attributes_(attributes),
        half_window_(attributes.integer("half_window")) {
    if (half_window_ < -1 || half_window_ > INT32_MAX) throw Error("half_window is " + std::to_string(half_window_));
  }

  void compute(Context& context) const {
    const AttentionInputs inputs(context, attributes_, 0, 1, 3);
    const PackedRows rows = inputs.rows();
    AttentionCall call = inputs.call();
    if (call.head_size % 2 != 0) throw Error("heads of odd size " + std::to_string(call.head_size));
    const size_t pairs = call.head_size / 2;
    const auto frequencies = context.input<float>(2, {static_cast<int64_t>(pairs)});
    const RotationTable rotation(frequencies.data, pairs, rows.longest());
    call.rotation = rotation.data();
    // A window that holds every key is none.
    const auto half_window = static_cast<size_t>(half_window_);
    if (half_window_ >= 0 && half_window + 1 < rows.longest()) call.half_window = half_window;
    call.output = context.output(inputs.output_shape());
    run_attention(kernels_, call, rows, context.parallel());
  }

 private:
  const AttentionKernels& kernels_;
  AttentionAttributes attributes_;
  int64_t half_window_;
};

}  // namespace

const ort::CustomOp* rotary_attention_op() { return custom_op<RotaryAttention>(); }

}  // namespace assay
