#include "linear/linear.h"

#include <algorithm>
#include <memory>

namespace assay {
namespace {

// Rows per block: enough to amortise reading a panel of weights.
constexpr size_t kBlockRows = 256;
// The same with a layer norm after it, which a single thread computes for the whole block.
constexpr size_t kBlockRowsNorm = 128;
// Multiply-adds below which a parallel loop costs more than it saves (about 20 microseconds of work).
constexpr size_t kWorthSharing = size_t{4} << 20;
// Rows that a thread quantises at a time.
constexpr size_t kQuantizeRows = 16;

size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

}  // namespace

void run_linear(const LinearKernels& kernels, LinearJob job, const NormJob* norm, size_t rows,
                ort::Allocator* allocator, const Parallel& parallel) {
  if (rows == 0) return;
  const bool is_float = job.float_weight != nullptr;
  const bool norms_rows = is_float && job.norm_gain != nullptr;
  const size_t row_bytes = is_float ? 0 : job.k_padded * kernels.element_size;
  const Scratch<unsigned char> quantized(allocator, (rows + kernels.extra_rows) * row_bytes);
  const Scratch<float> scale(allocator, rows * job.groups);
  const Scratch<float> outlier_value(allocator, rows * job.outliers);
  const Scratch<float> normed(allocator, norms_rows ? rows * job.k : 0);
  job.quantized = quantized.get();
  job.scale = scale.get();
  job.outlier_value = outlier_value.get();

  const bool shared = rows * job.k * job.n > kWorthSharing;
  const Parallel threads = shared ? parallel : Parallel();

  // Preparing the rows is about 1 % of the work: parallelise it only if that is still substantial.
  const Parallel preparers = rows * job.k > kWorthSharing / 32 ? threads : Parallel();
  if (norms_rows) {
    const NormJob first{job.x, job.k, job.norm_gain, job.norm_bias, job.epsilon, normed.get()};
    preparers.for_each(ceil_div(rows, kQuantizeRows), [&](size_t i) {
      kernels.norm(first, i * kQuantizeRows, std::min(rows, (i + 1) * kQuantizeRows));
    });
    job.x = normed.get();
  }
  if (!is_float) {
    preparers.for_each(ceil_div(rows, kQuantizeRows), [&](size_t i) {
      kernels.quantize(job, i * kQuantizeRows, std::min(rows, (i + 1) * kQuantizeRows));
    });
  }

  const size_t panels = job.n_padded / kPanelColumns;
  // Blocks of equal size rather than full ones and a remainder.
  const size_t block_rows = ceil_div(rows, ceil_div(rows, norm != nullptr ? kBlockRowsNorm : kBlockRows));
  const size_t blocks = ceil_div(rows, block_rows);
  // The thread that finishes the last panel of a block normalises its rows.
  std::unique_ptr<std::atomic<size_t>[]> left;
  if (norm != nullptr) {
    left.reset(new std::atomic<size_t>[blocks]);
    for (size_t b = 0; b < blocks; ++b) left[b].store(panels, std::memory_order_relaxed);
  }
  threads.for_each(blocks * panels, [&](size_t task) {
    const size_t block = task / panels;
    const size_t first = block * block_rows, end = std::min(rows, first + block_rows);
    (is_float ? kernels.float_panel : kernels.panel)(job, task % panels, first, end);
    if (norm != nullptr && left[block].fetch_sub(1, std::memory_order_acq_rel) == 1) kernels.norm(*norm, first, end);
  });
}

}  // namespace assay
