// LayerNorm: layer normalisation of each row.
#include <algorithm>

#include "custom_op.h"
#include "linear/linear_kernels.h"
#include "ops/ops.h"

namespace assay {
namespace {

class LayerNorm {
 public:
  static constexpr const char* kName = "LayerNorm";
  static constexpr InputSpec kInputs[] = {
      {"x", ort::kFloat, ort::kRequired},     // [rows, N]
      {"gain", ort::kFloat, ort::kRequired},  // [N]
      {"bias", ort::kFloat, ort::kOptional},  // [N]
  };

  explicit LayerNorm(const Attributes& attributes)
      : kernels_(*attributes.kernels().linear), epsilon_(attributes.number("epsilon")) {}

  void compute(Context& context) const {
    const auto x = context.input<float>(0, {-1, -1});
    const auto gain = context.input<float>(1, {x.shape[1]});
    const auto bias = context.input<float>(2, {x.shape[1]});
    const auto rows = static_cast<size_t>(x.shape[0]);
    const NormJob job{x.data,   static_cast<size_t>(x.shape[1]),         gain.data, bias.data,
                      epsilon_, context.output({x.shape[0], x.shape[1]})};
    context.parallel().for_each((rows + kRows - 1) / kRows,
                                [&](size_t i) { kernels_.norm(job, i * kRows, std::min(rows, (i + 1) * kRows)); });
  }

 private:
  static constexpr size_t kRows = 16;

  const LinearKernels& kernels_;
  float epsilon_;
};

}  // namespace

const ort::CustomOp* layer_norm_op() { return custom_op<LayerNorm>(); }

}  // namespace assay
