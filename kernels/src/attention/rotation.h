// Cosines and sines of rotary positions.
#pragma once

#include <cstddef>

namespace assay {

// AttentionCall::rotation for rows of up to `longest` tokens: [positions / 16, pairs, cos or sin, 16]. `frequencies` are
// the radians per position of each pair of channels. Computed once per process and length, valid until it ends. Safe
// from any thread, and in a child process after fork: no lock is held.
const float* rotation_table(const float* frequencies, size_t pairs, size_t longest);

}  // namespace assay
