// Packed rows split into tasks, and the memory that a thread works in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "error.h"
#include "parallel.h"

namespace assay {

// Where each row starts, checked: from 0 to `tokens`, every row at least a token long.
class PackedRows {
 public:
  PackedRows(const int64_t* starts, size_t count, int64_t tokens) : starts_(starts), rows_(count - 1) {
    if (starts[0] != 0) throw Error("row_starts begins with " + std::to_string(starts[0]) + " instead of 0");
    for (size_t row = 0; row < rows_; ++row) {
      if (starts[row + 1] <= starts[row] || starts[row + 1] > tokens) {
        throw Error("row_starts has " + std::to_string(starts[row + 1]) + " after " + std::to_string(starts[row]) +
                    ", with " + std::to_string(tokens) + " tokens");
      }
      longest_ = std::max(longest_, length(row));
    }
    if (starts[rows_] != tokens) {
      throw Error("row_starts ends with " + std::to_string(starts[rows_]) + " instead of " + std::to_string(tokens) +
                  ", the number of tokens");
    }
  }
  size_t count() const { return rows_; }
  size_t longest() const { return longest_; }
  size_t start(size_t row) const { return static_cast<size_t>(starts_[row]); }
  size_t length(size_t row) const { return start(row + 1) - start(row); }

 private:
  const int64_t* starts_;
  size_t rows_, longest_ = 0;
};

// One task per row and head, unless that leaves cores without work: then rows are cut. Each piece packs all keys that it
// sees, which is not worth it for a few queries.
inline std::vector<AttentionTask> attention_tasks(const PackedRows& rows, size_t heads, bool first_token) {
  constexpr size_t kEnough = 24, kFewestQueries = 2 * kQueryBlock;
  const size_t pieces = std::max<size_t>(1, kEnough / std::max<size_t>(1, rows.count() * heads));
  std::vector<AttentionTask> tasks;
  tasks.reserve(rows.count() * heads * pieces);
  for (size_t row = 0; row < rows.count(); ++row) {
    const size_t length = rows.length(row), queries = first_token ? 1 : length;
    const size_t piece = (std::max(kFewestQueries, queries / pieces) + kQueryBlock - 1) / kQueryBlock * kQueryBlock;
    for (size_t head = 0; head < heads; ++head) {
      for (size_t query = 0; query < queries; query += piece) {
        tasks.push_back({row, rows.start(row), length, head, query, std::min(queries, query + piece)});
      }
    }
  }
  return tasks;
}

// Kept by each thread from task to task: what a task needs is a good part of the second-level cache, and fresh pages
// would cost as much as the arithmetic of a short row. What a very long row needs is returned after the task.
class ThreadMemory {
 public:
  ThreadMemory() = default;
  ThreadMemory(const ThreadMemory&) = delete;
  ThreadMemory& operator=(const ThreadMemory&) = delete;
  ~ThreadMemory() { release(); }

  void* at_least(size_t bytes) {
    if (bytes > size_) {
      release();
      memory_ = ::operator new(bytes, kAlignment);
      size_ = bytes;
    }
    return memory_;
  }
  void release_if_large() {
    if (size_ > kMostKept) release();
  }

 private:
  static constexpr size_t kMostKept = size_t{8} << 20;  // suffices for 8,192 tokens and heads of 64 channels
  static constexpr std::align_val_t kAlignment{64};
  void release() {
    ::operator delete(memory_, kAlignment);
    memory_ = nullptr;
    size_ = 0;
  }
  void* memory_ = nullptr;
  size_t size_ = 0;
};

inline void run_attention(const AttentionKernels& kernels, const AttentionCall& call, const PackedRows& rows,
                          const Parallel& parallel) {
  const std::vector<AttentionTask> tasks = attention_tasks(rows, call.heads, call.first_token);
  parallel.for_each(tasks.size(), [&](size_t index) {
    thread_local ThreadMemory memory;
    kernels.run(call, tasks[index], memory.at_least(kernels.scratch_bytes(call, tasks[index])));
    memory.release_if_large();
  });
}

}  // namespace assay
