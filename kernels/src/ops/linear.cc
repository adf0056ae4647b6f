// Linear: y = epilogue(activation(prologue(x) * weight + bias)), with int8 products of rows that are quantised here.
#include "linear/linear.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ops/ops.h"

namespace assay {
namespace {

// int32 sums of products up to 255 * 127 do not overflow.
constexpr int64_t kMostColumns = 65536;

Activation activation_named(const std::string& name) {
  if (name == "none") return Activation::kNone;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_tanh") return Activation::kGeluTanh;
  if (name == "silu") return Activation::kSilu;
  if (name == "tanh") return Activation::kTanh;
  throw Error("activation is \"" + name + "\"");
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

class Linear {
 public:
  static constexpr const char* kName = "Linear";
  static constexpr InputSpec kInputs[] = {
      {"x", ort::kFloat, ort::kRequired},              // [tokens, K]
      {"weight", ort::kInt8, ort::kRequired},          // [N_padded / 64, K_padded / 4, 64, 4]
      {"weight_scale", ort::kFloat, ort::kRequired},   // [N]
      {"column_sum", ort::kInt32, ort::kRequired},     // [groups, N_padded]
      {"bias", ort::kFloat, ort::kOptional},           // [N]
      {"residual", ort::kFloat, ort::kOptional},       // [tokens, N], gated [tokens, N / 2]
      {"norm_gain", ort::kFloat, ort::kOptional},      // [K] in the prologue, [N] in the epilogue
      {"norm_bias", ort::kFloat, ort::kOptional},      // the same
      {"outlier_columns", ort::kInt32, ort::kOptional},  // [c]
      {"outlier_weight", ort::kFloat, ort::kOptional},   // [c, N_padded]
  };

  explicit Linear(const Attributes& attributes)
      : kernels_(*attributes.kernels().linear),
        allocator_(attributes.allocator()),
        k_(attributes.integer("K")),
        n_(attributes.integer("N")),
        group_(attributes.integer("group")),
        epsilon_(attributes.number("epsilon")) {
    if (k_ < 1 || k_ > kMostColumns) throw Error("K is " + std::to_string(k_));
    if (n_ < 1 || n_ > INT32_MAX) throw Error("N is " + std::to_string(n_));
    if (group_ != 0 && group_ != 64 && group_ != 128 && group_ != 256) {
      throw Error("group is " + std::to_string(group_) + ", not 0, 64, 128 or 256");
    }
    std::string activation = attributes.text("activation");
    const std::string gate = "geglu_";
    gated_ = activation.compare(0, gate.size(), gate) == 0;
    if (gated_) activation.erase(0, gate.size());
    activation_ = activation_named(activation);
    if (gated_ && n_ % 2 != 0) throw Error("N is odd: " + std::to_string(n_));

    const std::string prologue = attributes.text("prologue"), epilogue = attributes.text("epilogue");
    norm_first_ = prologue == "layer_norm";
    norm_last_ = epilogue == "add_layer_norm";
    adds_ = norm_last_ || epilogue == "add";
    if (!norm_first_ && prologue != "none") throw Error("prologue is \"" + prologue + "\"");
    if (!adds_ && epilogue != "none") throw Error("epilogue is \"" + epilogue + "\"");
    if (norm_first_ && norm_last_) throw Error("a layer norm on either side: there is one norm_gain");
  }

  void compute(Context& context) const {
    const int64_t k_padded = ceil_div(k_, 64) * 64;
    const int64_t columns = gated_ ? n_ / 2 : n_;
    const int64_t panels = ceil_div(columns, gated_ ? 32 : 64);
    const int64_t group = group_ == 0 ? k_padded : std::min(group_, k_padded);
    const int64_t groups = ceil_div(k_padded, group);

    const auto x = context.input<float>(0, {-1, k_});
    const auto weight = context.input<int8_t>(1, {panels, k_padded / 4, 64, 4});
    const auto weight_scale = context.input<float>(2, {n_});
    const auto column_sum = context.input<int32_t>(3, {groups, panels * 64});
    const auto bias = context.input<float>(4, {n_});
    const auto residual = context.input<float>(5, {x.shape[0], columns});
    const auto norm_gain = context.input<float>(6, {norm_first_ ? k_ : columns});
    const auto norm_bias = context.input<float>(7, {norm_first_ ? k_ : columns});
    const auto outlier_columns = context.input<int32_t>(8, {-1});
    const int64_t outliers = outlier_columns ? outlier_columns.shape[0] : 0;
    const auto outlier_weight = context.input<float>(9, {outliers, panels * 64});
    if (static_cast<bool>(residual) != adds_) throw Error(adds_ ? "residual is missing" : "residual without an epilogue");
    if (static_cast<bool>(norm_gain) != (norm_first_ || norm_last_)) {
      throw Error(norm_gain ? "norm_gain without a layer norm" : "norm_gain is missing");
    }
    if (norm_bias && !norm_gain) throw Error("norm_bias without norm_gain");
    if (outliers > 0 && !outlier_weight) throw Error("outlier_weight is missing");

    std::vector<float> kept;
    if (outliers > 0) {
      kept.assign(static_cast<size_t>(k_), 1.0f);
      for (int64_t o = 0; o < outliers; ++o) {
        const int32_t column = outlier_columns.data[o];
        if (column < 0 || column >= k_) throw Error("outlier_columns has " + std::to_string(column));
        kept[static_cast<size_t>(column)] = 0.0f;
      }
    }

    LinearJob job{};
    job.k = static_cast<size_t>(k_);
    job.k_padded = static_cast<size_t>(k_padded);
    job.n = static_cast<size_t>(n_);
    job.n_padded = static_cast<size_t>(panels * 64);
    job.group = static_cast<size_t>(group);
    job.groups = static_cast<size_t>(groups);
    job.outliers = static_cast<size_t>(outliers);
    job.x = x.data;
    if (norm_first_) {
      job.norm_gain = norm_gain.data;
      job.norm_bias = norm_bias.data;
    }
    job.epsilon = epsilon_;
    job.outlier_columns = outlier_columns.data;
    job.kept = kept.empty() ? nullptr : kept.data();
    job.weight = weight.data;
    job.weight_scale = weight_scale.data;
    job.column_sum = column_sum.data;
    job.bias = bias.data;
    job.outlier_weight = outliers > 0 ? outlier_weight.data : nullptr;
    job.activation = activation_;
    job.gated = gated_;
    job.residual = residual.data;
    job.y = context.output({x.shape[0], columns});

    const NormJob norm{static_cast<size_t>(columns), norm_gain.data, norm_bias.data, epsilon_, job.y};
    run_linear(kernels_, job, norm_last_ ? &norm : nullptr, static_cast<size_t>(x.shape[0]), allocator_,
               context.parallel());
  }

 private:
  const LinearKernels& kernels_;
  ort::Allocator* allocator_;
  int64_t k_, n_, group_;
  float epsilon_;
  Activation activation_ = Activation::kNone;
  bool gated_ = false, norm_first_ = false, norm_last_ = false, adds_ = false;
};

}  // namespace

const ort::CustomOp* linear_op() { return custom_op<Linear>(); }

}  // namespace assay
