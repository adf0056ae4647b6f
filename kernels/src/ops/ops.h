// The operators of this library.
#pragma once

#include "ort_abi.h"

namespace assay {

const ort::CustomOp* linear_op();
const ort::CustomOp* float_linear_op();
const ort::CustomOp* layer_norm_op();
const ort::CustomOp* embedding_norm_op();
const ort::CustomOp* mean_rows_op();
const ort::CustomOp* rotary_attention_op();
const ort::CustomOp* disentangled_attention_op();

}  // namespace assay
