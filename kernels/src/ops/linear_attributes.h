// The attributes that Linear and FloatLinear have in common.
#pragma once

#include <cstdint>
#include <string>

#include "custom_op.h"
#include "linear/linear_kernels.h"

namespace assay {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct LinearAttributes {
  int64_t k, n;
  float epsilon;
  Activation activation = Activation::kNone;
  bool gated = false;                          // half of the columns multiply the other half
  bool norm_first = false, norm_last = false;  // layer norm of x, or of the sum with the residual
  bool adds = false;                           // a residual

  explicit LinearAttributes(const Attributes& attributes)
      : k(attributes.integer("K")), n(attributes.integer("N")), epsilon(attributes.number("epsilon")) {
    // int32 sums of products up to 255 * 127 do not overflow.
    constexpr int64_t kMostColumns = 65536;
    if (k < 1 || k > kMostColumns) throw Error("K is " + std::to_string(k));
    if (n < 1 || n > INT32_MAX) throw Error("N is " + std::to_string(n));
    std::string name = attributes.text("activation");
    const std::string gate = "geglu_";
    gated = name.compare(0, gate.size(), gate) == 0;
    if (gated) name.erase(0, gate.size());
    activation = activation_named(name);
    if (gated && n % 2 != 0) throw Error("N is odd: " + std::to_string(n));

    const std::string prologue = attributes.text("prologue"), epilogue = attributes.text("epilogue");
    norm_first = prologue == "layer_norm";
    norm_last = epilogue == "add_layer_norm";
    adds = norm_last || epilogue == "add";
    if (!norm_first && prologue != "none") throw Error("prologue is \"" + prologue + "\"");
    if (!adds && epilogue != "none") throw Error("epilogue is \"" + epilogue + "\"");
    if (norm_first && norm_last) throw Error("a layer norm on either side: there is one norm_gain");
  }

  int64_t columns() const { return gated ? n / 2 : n; }  // of the output
  int64_t panels() const { return ceil_div(columns(), gated ? 32 : 64); }

  // The inputs that stand behind the weights: bias, residual, norm_gain and norm_bias, from `first` on.
  void read_inputs(const Context& context, size_t first, int64_t rows, LinearJob* job, NormJob* norm) const {
    const auto bias = context.input<float>(first, {n});
    const auto residual = context.input<float>(first + 1, {rows, columns()});
    const auto gain = context.input<float>(first + 2, {norm_first ? k : columns()});
    const auto norm_bias = context.input<float>(first + 3, {norm_first ? k : columns()});
    if (static_cast<bool>(residual) != adds) throw Error(adds ? "residual is missing" : "residual without an epilogue");
    if (static_cast<bool>(gain) != (norm_first || norm_last)) {
      throw Error(gain ? "norm_gain without a layer norm" : "norm_gain is missing");
    }
    if (norm_bias && !gain) throw Error("norm_bias without norm_gain");
    job->k = static_cast<size_t>(k);
    job->n = static_cast<size_t>(n);
    job->n_padded = static_cast<size_t>(panels() * 64);
    if (norm_first) {
      job->norm_gain = gain.data;
      job->norm_bias = norm_bias.data;
    }
    job->epsilon = epsilon;
    job->bias = bias.data;
    job->activation = activation;
    job->gated = gated;
    job->residual = residual.data;
    *norm = NormJob{nullptr, static_cast<size_t>(columns()), gain.data, norm_bias.data, epsilon, nullptr};
  }

 private:
  static Activation activation_named(const std::string& name) {
    if (name == "none") return Activation::kNone;
    if (name == "relu") return Activation::kRelu;
    if (name == "gelu") return Activation::kGelu;
    if (name == "gelu_tanh") return Activation::kGeluTanh;
    if (name == "silu") return Activation::kSilu;
    if (name == "tanh") return Activation::kTanh;
    throw Error("activation is \"" + name + "\"");
  }
};

}  // namespace assay
