// FloatLinear: y = epilogue(activation(prologue(x) * weight + bias)) in float32, for heads and for layers that int8
// harms.
#include "linear/linear.h"
#include "ops/linear_attributes.h"
#include "ops/ops.h"

namespace assay {
namespace {

class FloatLinear {
 public:
  static constexpr const char* kName = "FloatLinear";
  static constexpr InputSpec kInputs[] = {
      {"x", ort::kFloat, ort::kRequired},         // [tokens, K]
      {"weight", ort::kFloat, ort::kRequired},    // [N_padded / 64, K, 64], the columns in the order of Linear's panels
      {"bias", ort::kFloat, ort::kOptional},      // [N]
      {"residual", ort::kFloat, ort::kOptional},  // [tokens, N], gated [tokens, N / 2]
      {"norm_gain", ort::kFloat, ort::kOptional},  // [K] in the prologue, [N] in the epilogue
      {"norm_bias", ort::kFloat, ort::kOptional},  // the same
  };

  explicit FloatLinear(const Attributes& attributes)
      : kernels_(*attributes.kernels().linear), allocator_(attributes.allocator()), attributes_(attributes) {}

  void compute(Context& context) const {
    const auto x = context.input<float>(0, {-1, attributes_.k});
    const auto weight = context.input<float>(1, {attributes_.panels(), attributes_.k, 64});
    LinearJob job{};
    NormJob norm{};
    attributes_.read_inputs(context, 2, x.shape[0], &job, &norm);
    job.x = x.data;
    job.float_weight = weight.data;
    job.y = context.output({x.shape[0], attributes_.columns()});
    norm.x = norm.y = job.y;
    run_linear(kernels_, job, attributes_.norm_last ? &norm : nullptr, static_cast<size_t>(x.shape[0]), allocator_,
               context.parallel());
  }

 private:
  const LinearKernels& kernels_;
  ort::Allocator* allocator_;
  LinearAttributes attributes_;
};

}  // namespace

const ort::CustomOp* float_linear_op() { return custom_op<FloatLinear>(); }

}  // namespace assay
