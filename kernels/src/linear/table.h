// The functions of LinearKernels for one instruction set.
#pragma once

#include "linear/float_panel.h"
#include "linear/panel.h"

namespace assay {
namespace {

// Micro: see panel.h. kOffset: what is added to quantised values. kVectors: see float_panel.h.
template <class Micro, int kOffset, size_t kVectors>
constexpr LinearKernels linear_kernels() {
  using S = typename Micro::Simd;
  using Element = typename Micro::Element;
  return {sizeof(Element), Micro::kExtraRows,         &quantize_rows<S, Element, kOffset>,
          &panel<Micro>,   &float_panel<S, kVectors>, &norm_rows<S>};
}

}  // namespace
}  // namespace assay
