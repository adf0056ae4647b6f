// Linear: y = epilogue(activation(prologue(x) * weight + bias)), with int8 products of rows that are quantised here.
#include "linear/linear.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ops/linear_attributes.h"
#include "ops/ops.h"

namespace assay {
namespace {

class Linear {
 public:
  static constexpr const char* kName = "Linear";
  static constexpr InputSpec kInputs[] = {
      {"x", ort::kFloat, ort::kRequired},                // [tokens, K]
      {"weight", ort::kInt8, ort::kRequired},            // [N_padded / 64, K_padded / 4, 64, 4]
      {"weight_scale", ort::kFloat, ort::kRequired},     // [N]
      {"column_sum", ort::kInt32, ort::kRequired},       // [groups, N_padded]
      {"bias", ort::kFloat, ort::kOptional},             // [N]
      {"residual", ort::kFloat, ort::kOptional},         // [tokens, N], gated [tokens, N / 2]
      {"norm_gain", ort::kFloat, ort::kOptional},        // [K] in the prologue, [N] in the epilogue
      {"norm_bias", ort::kFloat, ort::kOptional},        // the same
      {"outlier_columns", ort::kInt32, ort::kOptional},  // [c]
      {"outlier_weight", ort::kFloat, ort::kOptional},   // [c, N_padded]
  };

  explicit Linear(const Attributes& attributes)
      : kernels_(*attributes.kernels().linear),
        allocator_(attributes.allocator()),
        attributes_(attributes),
        group_(attributes.integer("group")) {
    if (group_ != 0 && group_ != 64 && group_ != 128 && group_ != 256) {
      throw Error("group is " + std::to_string(group_) + ", not 0, 64, 128 or 256");
    }
  }

  void compute(Context& context) const {
    const int64_t k = attributes_.k, k_padded = ceil_div(k, 64) * 64, n_padded = attributes_.panels() * 64;
    const int64_t group = group_ == 0 ? k_padded : std::min(group_, k_padded);
    const int64_t groups = ceil_div(k_padded, group);

    const auto x = context.input<float>(0, {-1, k});
    const auto weight = context.input<int8_t>(1, {attributes_.panels(), k_padded / 4, 64, 4});
    const auto weight_scale = context.input<float>(2, {attributes_.n});
    const auto column_sum = context.input<int32_t>(3, {groups, n_padded});
    const auto outlier_columns = context.input<int32_t>(8, {-1});
    const int64_t outliers = outlier_columns ? outlier_columns.shape[0] : 0;
    const auto outlier_weight = context.input<float>(9, {outliers, n_padded});
    if (outliers > 0 && !outlier_weight) throw Error("outlier_weight is missing");

    std::vector<float> kept;
    if (outliers > 0) {
      kept.assign(static_cast<size_t>(k), 1.0f);
      for (int64_t o = 0; o < outliers; ++o) {
        const int32_t column = outlier_columns.data[o];
        if (column < 0 || column >= k) throw Error("outlier_columns has " + std::to_string(column));
        float& keep = kept[static_cast<size_t>(column)];
        if (keep == 0.0f) throw Error("outlier_columns has " + std::to_string(column) + " twice");
        keep = 0.0f;
      }
    }

    LinearJob job{};
    NormJob norm{};
    attributes_.read_inputs(context, 4, x.shape[0], &job, &norm);
    job.k_padded = static_cast<size_t>(k_padded);
    job.group = static_cast<size_t>(group);
    job.groups = static_cast<size_t>(groups);
    job.outliers = static_cast<size_t>(outliers);
    job.x = x.data;
    job.outlier_columns = outlier_columns.data;
    job.kept = kept.empty() ? nullptr : kept.data();
    job.weight = weight.data;
    job.weight_scale = weight_scale.data;
    job.column_sum = column_sum.data;
    job.outlier_weight = outliers > 0 ? outlier_weight.data : nullptr;
    job.y = context.output({x.shape[0], attributes_.columns()});
    norm.x = norm.y = job.y;
    run_linear(kernels_, job, attributes_.norm_last ? &norm : nullptr, static_cast<size_t>(x.shape[0]), allocator_,
               context.parallel());
  }

 private:
  const LinearKernels& kernels_;
  ort::Allocator* allocator_;
  LinearAttributes attributes_;
  int64_t group_;
};

}  // namespace

const ort::CustomOp* linear_op() { return custom_op<Linear>(); }

}  // namespace assay
