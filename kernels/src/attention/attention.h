// Placeholder: K2 replaces this file. One function per instruction set that isa.cc names.
#pragma once

namespace assay {

struct AttentionKernels {};

inline const AttentionKernels& no_attention() {
  static const AttentionKernels none{};
  return none;
}
inline const AttentionKernels& attention_amx() { return no_attention(); }
inline const AttentionKernels& attention_avx512vnni() { return no_attention(); }
inline const AttentionKernels& attention_avxvnni() { return no_attention(); }
inline const AttentionKernels& attention_avx2() { return no_attention(); }
inline const AttentionKernels& attention_neon_i8mm() { return no_attention(); }
inline const AttentionKernels& attention_neon_dotprod() { return no_attention(); }
inline const AttentionKernels& attention_plain() { return no_attention(); }

}  // namespace assay
