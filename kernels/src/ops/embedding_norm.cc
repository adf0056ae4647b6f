// EmbeddingNorm: LayerNorm of int8 embeddings, each with a scale.
#include <algorithm>
#include <cmath>
#include <string>

#include "custom_op.h"
#include "ops/ops.h"

namespace assay {
namespace {

class EmbeddingNorm {
 public:
  static constexpr const char* kName = "EmbeddingNorm";
  static constexpr InputSpec kInputs[] = {
      {"ids", ort::kInt64, ort::kRequired},          // [tokens]
      {"table", ort::kInt8, ort::kRequired},         // [V, N]
      {"table_scale", ort::kFloat, ort::kRequired},  // [V]
      {"norm_gain", ort::kFloat, ort::kRequired},    // [N]
      {"norm_bias", ort::kFloat, ort::kOptional},    // [N]
  };

  explicit EmbeddingNorm(const Attributes& attributes) : epsilon_(attributes.number("epsilon")) {}

  void compute(Context& context) const {
    const auto ids = context.input<int64_t>(0, {-1});
    const auto table = context.input<int8_t>(1, {-1, -1});
    const int64_t vocabulary = table.shape[0], width = table.shape[1];
    if (width > kMostColumns) throw Error("table has shape " + to_text(table.shape));
    const auto scale = context.input<float>(2, {vocabulary});
    const auto gain = context.input<float>(3, {width}), bias = context.input<float>(4, {width});
    const int64_t tokens = ids.shape[0];
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t id = ids.data[token];
      if (id < 0 || id >= vocabulary) {
        throw Error("token id " + std::to_string(id) + " in a vocabulary of " + std::to_string(vocabulary));
      }
    }
    float* const y = context.output({tokens, width});
    const int64_t blocks = (tokens + kTokens - 1) / kTokens;
    context.parallel().for_each(static_cast<size_t>(blocks), [&](size_t block) {
      const int64_t first = static_cast<int64_t>(block) * kTokens, end = std::min(tokens, first + kTokens);
      for (int64_t token = first; token < end; ++token) {
        const int64_t id = ids.data[token];
        normalise(table.data + id * width, scale.data[id], gain.data, bias.data, width, y + token * width);
      }
    });
  }

 private:
  static constexpr int64_t kTokens = 16;           // per task
  static constexpr int64_t kMostColumns = 131071;  // the sum of their squares, 128 * 128 each, fits int32

  // Sums of whole numbers are exact, and so the same in any order.
  void normalise(const int8_t* row, float scale, const float* gain, const float* bias, int64_t width, float* y) const {
    int32_t sum = 0, squares = 0;
    for (int64_t i = 0; i < width; ++i) {
      sum += row[i];
      squares += row[i] * row[i];
    }
    const double mean = sum / static_cast<double>(width), factor = static_cast<double>(scale);
    const double variance = squares / static_cast<double>(width) - mean * mean;
    const auto rate = static_cast<float>(factor / std::sqrt(factor * factor * variance + static_cast<double>(epsilon_)));
    const auto middle = static_cast<float>(mean);
    if (bias == nullptr) {
      for (int64_t i = 0; i < width; ++i) y[i] = (static_cast<float>(row[i]) - middle) * rate * gain[i];
    } else {
      for (int64_t i = 0; i < width; ++i) y[i] = (static_cast<float>(row[i]) - middle) * rate * gain[i] + bias[i];
    }
  }

  float epsilon_;
};

}  // namespace

const ort::CustomOp* embedding_norm_op() { return custom_op<EmbeddingNorm>(); }

}  // namespace assay
