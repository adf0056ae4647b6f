// MeanRows: the mean over the tokens of each packed row.
#include <algorithm>
#include <vector>

#include "attention/tasks.h"
#include "custom_op.h"
#include "ops/ops.h"

namespace assay {
namespace {

class MeanRows {
 public:
  static constexpr const char* kName = "MeanRows";
  static constexpr InputSpec kInputs[] = {
      {"x", ort::kFloat, ort::kRequired},           // [tokens, N]
      {"row_starts", ort::kInt64, ort::kRequired},  // [rows + 1]
  };

  explicit MeanRows(const Attributes&) {}

  void compute(Context& context) const {
    const auto x = context.input<float>(0, {-1, -1});
    const auto starts = context.input<int64_t>(1, {-1});
    if (starts.shape[0] < 1) throw Error("row_starts is empty");
    const PackedRows rows(starts.data, static_cast<size_t>(starts.shape[0]), x.shape[0]);
    const auto width = static_cast<size_t>(x.shape[1]);
    float* const y = context.output({starts.shape[0] - 1, x.shape[1]});

    // A strip of columns at a time, so that a single long row is shared out as well. Summed in float64: 8,192 tokens
    // lose nothing.
    const size_t strips = (width + kStrip - 1) / kStrip;
    context.parallel().for_each(rows.count() * strips, [&](size_t index) {
      const size_t row = index / strips, first = index % strips * kStrip, n = std::min(kStrip, width - first);
      double sum[kStrip] = {};
      for (size_t token = 0; token < rows.length(row); ++token) {
        const float* values = x.data + (rows.start(row) + token) * width + first;
        for (size_t i = 0; i < n; ++i) sum[i] += static_cast<double>(values[i]);
      }
      const auto length = static_cast<double>(rows.length(row));
      for (size_t i = 0; i < n; ++i) y[row * width + first + i] = static_cast<float>(sum[i] / length);
    });
  }

 private:
  static constexpr size_t kStrip = 128;
};

}  // namespace

const ort::CustomOp* mean_rows_op() { return custom_op<MeanRows>(); }

}  // namespace assay
