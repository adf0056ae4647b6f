// What the two attention operators have in common: attributes, and queries, keys and values of packed rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "attention/tasks.h"
#include "custom_op.h"

namespace assay {

struct AttentionAttributes {
  int64_t heads;
  bool first_token;
  Arithmetic arithmetic;

  explicit AttentionAttributes(const Attributes& attributes)
      : heads(attributes.integer("heads")), first_token(attributes.integer("first_token") != 0) {
    if (heads < 1 || heads > INT32_MAX) throw Error("heads is " + std::to_string(heads));
    const std::string name = attributes.text("arithmetic");
    if (name != "int8" && name != "float32") throw Error("arithmetic is \"" + name + "\"");
    arithmetic = name == "int8" ? Arithmetic::kInt8 : Arithmetic::kFloat32;
  }
};

// For all tokens, `query` is [tokens, 3 * heads * d]: queries, keys and values side by side. For first tokens only, it is
// [rows, heads * d], and `kv` is [tokens, 2 * heads * d].
class AttentionInputs {
 public:
  AttentionInputs(const Context& context, const AttentionAttributes& attributes, size_t query, size_t row_starts,
                  size_t kv)
      : query_(context.input<float>(query, {-1, -1})),
        kv_(context.input<float>(kv, {-1, -1})),
        starts_(context.input<int64_t>(row_starts, {-1})) {
    const bool first = attributes.first_token;
    if (first != static_cast<bool>(kv_)) throw Error(first ? "kv is missing" : "kv without first_token");
    const int64_t parts = first ? 1 : 3;
    width_ = query_.shape[1] / parts;
    if (width_ < 1 || query_.shape[1] % parts != 0 || width_ % attributes.heads != 0) {
      throw Error("query has " + std::to_string(query_.shape[1]) + " columns for " + std::to_string(attributes.heads) +
                  " heads");
    }
    if (first && kv_.shape[1] != 2 * width_) {
      throw Error("kv has shape " + to_text(kv_.shape) + ", query " + to_text(query_.shape));
    }
    if (starts_.shape[0] < 1) throw Error("row_starts is empty");
    const int64_t rows = starts_.shape[0] - 1;
    if (first && query_.shape[0] != rows) {
      throw Error("query has shape " + to_text(query_.shape) + " for " + std::to_string(rows) + " rows");
    }
    tokens_ = first ? kv_.shape[0] : query_.shape[0];
    call_.heads = static_cast<size_t>(attributes.heads);
    call_.head_size = static_cast<size_t>(width_ / attributes.heads);
    // int32 sums: 512 keys times 14 bits of probability times 127 always fit, products of longer vectors than this do not.
    if (call_.head_size > 65536) throw Error("heads of " + std::to_string(call_.head_size) + " channels");
    call_.arithmetic = attributes.arithmetic;
    call_.first_token = first;
    call_.query = query_.data;
    call_.key = first ? kv_.data : query_.data + width_;
    call_.value = call_.key + width_;
    call_.query_stride = static_cast<size_t>(parts * width_);
    call_.key_stride = static_cast<size_t>((first ? 2 : 3) * width_);
  }

  PackedRows rows() const { return {starts_.data, static_cast<size_t>(starts_.shape[0]), tokens_}; }
  const AttentionCall& call() const { return call_; }
  std::vector<int64_t> output_shape() const { return {query_.shape[0], width_}; }

 private:
  Tensor<float> query_, kv_;
  Tensor<int64_t> starts_;
  int64_t width_, tokens_;
  AttentionCall call_{};
};

}  // namespace assay
