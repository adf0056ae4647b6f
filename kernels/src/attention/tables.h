// What positions give the attention kernels: table rows by distance, and rotations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "attention/attention.h"

namespace assay {

// AttentionCall::row_at for rows of up to `longest` tokens: the given rows of distances -farthest .. farthest, and the
// end rows beyond.
class RowsByDistance {
 public:
  RowsByDistance(const int32_t* rows, size_t farthest, size_t longest)
      : reach_(longest + 2 * kQueryBlock), rows_(2 * reach_ + 1) {
    const size_t near = std::min(reach_, farthest);
    std::fill_n(rows_.begin(), reach_ - near, rows[0]);
    std::copy_n(rows + (farthest - near), 2 * near + 1, rows_.begin() + static_cast<ptrdiff_t>(reach_ - near));
    std::fill(rows_.end() - static_cast<ptrdiff_t>(reach_ - near), rows_.end(), rows[2 * farthest]);
  }
  const int32_t* at_zero() const { return rows_.data() + reach_; }

 private:
  size_t reach_;
  std::vector<int32_t> rows_;
};

}  // namespace assay
