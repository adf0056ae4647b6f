// Cosines and sines of rotary positions.
#pragma once

#include <cstddef>
#include <vector>

namespace assay {

// AttentionCall::rotation for rows of up to `longest` tokens: [positions / 16, pairs, cos or sin, 16]. `frequencies` are
// the radians per position of each pair of channels. Tables are shared by all nodes of a process as long as their total
// stays within a limit, and private beyond it. Safe from any thread, and in a child process after fork: there is no lock.
class RotationTable {
 public:
  RotationTable(const float* frequencies, size_t pairs, size_t longest);
  RotationTable(const RotationTable&) = delete;
  RotationTable& operator=(const RotationTable&) = delete;

  const float* data() const { return data_; }

 private:
  std::vector<float> own_;
  const float* data_;
};

}  // namespace assay
