// The memory of one task: where each of its arrays lies, and how much that is.
#pragma once

#include "attention/attention.h"

namespace assay {
namespace {

constexpr size_t kKeyBlock = 512;  // keys whose scores are held at once

inline size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

// Half open.
struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

// The keys that some queries see, widened to whole panels counted from the row's first key. The end may lie up to a
// panel beyond the row.
inline Range keys_seen(const AttentionCall& call, const AttentionTask& task, Range queries) {
  Range keys{0, task.length};
  if (call.half_window != kEveryKey) {
    keys.begin = queries.begin > call.half_window ? (queries.begin - call.half_window) / kPanel * kPanel : 0;
    keys.end = smaller(task.length, queries.end + call.half_window);
  }
  keys.end = round_up(keys.end, kPanel);
  return keys;
}

struct Buffers {
  Range keys;             // of the whole task
  size_t steps;           // words of a vector of head_size
  size_t value_panels;    // panels of head_size channels
  size_t value_stride;    // words of a panel of values
  size_t query_panels;    // most panels of a block of queries
  size_t key_block;       // most keys of a block
  size_t window_columns;  // most columns of a block of queries times a position table

  // Per task.
  int32_t* key_words;  // [keys / 16, steps, 16]
  float* key_scale;    // [keys]
  int32_t* values;     // [value_panels, keys / elements, 16]
  float *log_scale, *inverse_scale;  // [keys]

  // Per block of queries.
  int32_t *query_words, *query_rows;  // [query_panels, steps, 16]
  float* query_scale;                 // [queries], as are the next three
  int32_t* query_start;
  float *most, *sum, *block_most, *correction;
  float* output_scale;  // [queries]
  float* context;       // [queries, value_panels * 16]

  // Per block of queries and keys.
  float* scores;              // [keys, queries]
  int32_t *digits_high, *digits_low;  // [keys / 4, queries]
  float* of_queries;          // [queries, window_columns]
  float* of_keys;             // [16, window_columns]

  float* columns;  // sixteen vectors on their way to words, [head_size, 16]

  size_t bytes = 0;

  // With `memory` null, only `bytes` is of use.
  Buffers(const AttentionCall& call, const AttentionTask& task, size_t elements, void* memory) {
    keys = keys_seen(call, task, {task.first_query, task.end_query});
    const size_t channels = round_up(call.head_size, kPanel);
    const size_t queries = smaller(kQueryBlock, round_up(task.end_query - task.first_query, kPanel));
    steps = (call.head_size + elements - 1) / elements;
    value_panels = channels / kPanel;
    value_stride = keys.size() / elements * kPanel;
    query_panels = queries / kPanel;
    key_block = smaller(kKeyBlock, keys.size());
    // The rows that a block's distances reach, begun panels at both ends included.
    window_columns = smaller(call.table_rows, round_up(key_block + queries, kPanel) + 2 * kPanel) + kPanel;

    char* const base = static_cast<char*>(memory);
    take(base, key_words, keys.size() * steps);
    take(base, key_scale, keys.size());
    take(base, values, value_panels * value_stride);
    take(base, log_scale, keys.size());
    take(base, inverse_scale, keys.size());
    take(base, query_words, queries * steps);
    take(base, query_rows, queries * steps);
    take(base, query_scale, queries);
    take(base, query_start, queries);
    take(base, most, queries);
    take(base, sum, queries);
    take(base, block_most, queries);
    take(base, correction, queries);
    take(base, output_scale, queries);
    take(base, context, queries * channels);
    take(base, scores, key_block * queries);
    take(base, digits_high, elements == 4 ? key_block / 4 * queries : 0);
    take(base, digits_low, elements == 4 ? key_block / 4 * queries : 0);
    take(base, of_queries, call.position_keys.panels != nullptr ? queries * window_columns : 0);
    take(base, of_keys, call.position_queries.panels != nullptr ? kPanel * window_columns : 0);
    take(base, columns, channels * kPanel);
  }

 private:
  template <class T>
  void take(char* base, T*& array, size_t count) {
    array = base != nullptr ? reinterpret_cast<T*>(base + bytes) : nullptr;
    bytes = round_up(bytes + count * sizeof(T), 64);
  }
};

}  // namespace
}  // namespace assay
