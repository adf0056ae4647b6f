// Thrown on malformed input. custom_op.h turns it into an OrtStatus.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace assay {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string to_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace assay
