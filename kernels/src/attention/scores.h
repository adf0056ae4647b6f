// Scores of sixteen keys with a block of queries, as [key, query]: queries lie in the vector lanes, so that the softmax
// over keys works lane by lane.
#pragma once

#include "attention/attention.h"
#include "simd/lanes.h"

namespace assay {
namespace {

// Products of vectors with the rows of a position table that a block reaches.
struct TableProducts {
  const float* values;  // [vectors, stride]; null: the model has no such term
  size_t stride;
  ptrdiff_t first_row;  // the table row of column 0

  const float* at(size_t vector, int32_t row) const {
    return values + vector * stride + (static_cast<ptrdiff_t>(row) - first_row);
  }
};

// The entries of sixteen rising distances. Table rows follow the distances one by one near 0, and then several distances
// share a row: row_at[] tells. `from` is the entry of row_at[0].
template <class S>
typename S::Float by_distance(const float* from, const int32_t* row_at) {
  if (row_at[kPanel - 1] - row_at[0] == static_cast<int32_t>(kPanel) - 1) return S::load(from);
  return S::spread(from, row_at);
}

// Adds the position terms to scores [16 keys, query_panels * 16] and takes each query's largest into `most`.
//
// A key's products lie by rising distance, which is by query: they're added as they are. A query's products lie by
// falling key: sixteen queries' worth are transposed.
template <class S>
[[gnu::noinline]] void add_positions(float* scores, size_t query_panels, ptrdiff_t first_query, ptrdiff_t first_key, const int32_t* row_at,
                   const TableProducts& of_queries, const TableProducts& of_keys, float* most) {
  const size_t stride = query_panels * kPanel;
  for (size_t panel = 0; panel < query_panels; ++panel) {
    const ptrdiff_t query = first_query + static_cast<ptrdiff_t>(panel * kPanel);
    typename S::Float from_queries[kPanel];  // by falling key
    if (of_queries.values != nullptr) {
      for (size_t i = 0; i < kPanel; ++i) {
        const int32_t* rows = row_at + (query + static_cast<ptrdiff_t>(i) - first_key - 15);
        from_queries[i] = by_distance<S>(of_queries.at(panel * kPanel + i, rows[0]), rows);
      }
      transpose<S>(from_queries);
    }
    auto largest = S::load(most + panel * kPanel);
    for (size_t key = 0; key < kPanel; ++key) {
      float* score = scores + key * stride + panel * kPanel;
      auto sum = S::load(score);
      if (of_queries.values != nullptr) sum = S::add(sum, from_queries[kPanel - 1 - key]);
      if (of_keys.values != nullptr) {
        const int32_t* rows = row_at + (query - first_key - static_cast<ptrdiff_t>(key));
        sum = S::add(sum, by_distance<S>(of_keys.at(key, rows[0]), rows));
      }
      S::store(score, sum);
      largest = S::max(sum, largest);
    }
    S::store(most + panel * kPanel, largest);
  }
}

// Masks the scores beyond the window where `partly` says that there are any, and takes each query's largest.
template <class S>
[[gnu::noinline]] void add_window(float* scores, size_t query_panels, ptrdiff_t first_query, ptrdiff_t first_key, bool partly,
                size_t half_window, float masked, float* most) {
  static const float kLane[kPanel] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const size_t stride = query_panels * kPanel;
  for (size_t panel = 0; panel < query_panels; ++panel) {
    auto largest = S::load(most + panel * kPanel);
    for (size_t key = 0; key < kPanel; ++key) {
      float* score = scores + key * stride + panel * kPanel;
      auto value = S::load(score);
      if (partly) {
        const ptrdiff_t distance = first_query + static_cast<ptrdiff_t>(panel * kPanel) - first_key - static_cast<ptrdiff_t>(key);
        const auto away = S::abs(S::add(S::load(kLane), S::set(static_cast<float>(distance))));
        value = S::if_less(S::set(static_cast<float>(half_window)), away, S::set(masked), value);
        S::store(score, value);
      }
      largest = S::max(value, largest);
    }
    S::store(most + panel * kPanel, largest);
  }
}

}  // namespace
}  // namespace assay
