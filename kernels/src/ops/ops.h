// The operators of this library.
#pragma once

#include "ort_abi.h"

namespace assay {

const ort::CustomOp* linear_op();

}  // namespace assay
