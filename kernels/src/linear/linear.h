// Driver of a linear layer: quantises the rows, multiplies panels of columns by blocks of rows, normalises finished
// rows. A float32 layer is the same without quantisation.
#pragma once

#include "custom_op.h"
#include "linear/linear_kernels.h"

namespace assay {

// `job` without the members that hold quantised rows: memory for these is taken from `allocator`. `norm` is null where
// the layer ends without one.
void run_linear(const LinearKernels& kernels, LinearJob job, const NormJob* norm, size_t rows,
                ort::Allocator* allocator, const Parallel& parallel);

}  // namespace assay
