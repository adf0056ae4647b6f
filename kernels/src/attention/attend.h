// One task of attention: pack its keys and values, then go through its queries block by block.
//
// Templates over S, the lanes of an instruction set with its product, and over an Arithmetic (operands.h).
#pragma once

#include "attention/attention.h"
#include "attention/buffers.h"
#include "attention/operands.h"
#include "attention/product.h"
#include "attention/scores.h"
#include "simd/math.h"

namespace assay {
namespace {

template <class S, template <class> class Operands>
class Attention {
  using Packed = Operands<S>;
  using Words = typename Packed::Words;
  using Float = typename S::Float;
  static constexpr bool kDigits = Packed::kElements == 4;

 public:
  static size_t scratch_bytes(const AttentionCall& call, const AttentionTask& task) {
    return Buffers(call, task, Packed::kElements, nullptr).bytes;
  }

  Attention(const AttentionCall& call, const AttentionTask& task, void* scratch)
      : call_(call), task_(task), b_(call, task, Packed::kElements, scratch) {}

  void run() {
    pack_keys();
    const size_t block = call_.half_window != kEveryKey ? kLocalQueryBlock : kQueryBlock;
    for (size_t query = task_.first_query; query < task_.end_query; query += block) {
      attend({query, smaller(task_.end_query, query + block)});
    }
  }

 private:
  // With a window, a wide block of queries would score many keys that most of them don't see.
  static constexpr size_t kLocalQueryBlock = 32;
  static_assert(kQueryBlock % kLocalQueryBlock == 0, "tasks begin at multiples of kQueryBlock");

  [[gnu::noinline]] void pack_keys() {
    const size_t d = call_.head_size, stride = call_.key_stride;
    const size_t offset = task_.first_token_of_row * stride + task_.head * d;
    for (size_t key = b_.keys.begin; key < b_.keys.end; key += kPanel) {
      const size_t at = key - b_.keys.begin, present = smaller(kPanel, task_.length - key);
      load_columns<S>(call_.key + offset + key * stride, stride, present, d, b_.columns);
      if (call_.rotation != nullptr) rotate<S>(b_.columns, d, rotation_of(key));
      Packed::pack(b_.columns, d, nullptr, b_.key_words + at * b_.steps, b_.key_scale + at, nullptr);
    }
    Packed::pack_values(call_.value + offset + b_.keys.begin * stride, stride,
                        smaller(task_.length, b_.keys.end) - b_.keys.begin, b_.keys.size(), d, b_.values,
                        b_.value_stride, b_.log_scale, b_.inverse_scale);
  }

  [[gnu::noinline]] void pack_queries(Range queries) {
    const size_t d = call_.head_size, stride = call_.query_stride;
    const size_t first = call_.first_token ? task_.row : task_.first_token_of_row + queries.begin;
    for (size_t at = 0; at < queries.size(); at += kPanel) {
      load_columns<S>(call_.query + (first + at) * stride + task_.head * d, stride,
                      smaller(kPanel, queries.size() - at), d, b_.columns);
      if (call_.rotation != nullptr) rotate<S>(b_.columns, d, rotation_of(queries.begin + at));
      Packed::pack(b_.columns, d, b_.query_words + at * b_.steps, b_.query_rows + at * b_.steps, b_.query_scale + at,
                   b_.query_start + at);
    }
  }

  const float* rotation_of(size_t position) const { return call_.rotation + position * (call_.head_size / 2) * 2; }

  void attend(Range queries) {
    const size_t rows = round_up(queries.size(), kPanel), channels = b_.value_panels * kPanel;
    pack_queries(queries);
    const Range keys = keys_seen(call_, task_, queries);
    for (size_t key = keys.begin; key < keys.end; key += kKeyBlock) {
      const Range block{key, smaller(keys.end, key + kKeyBlock)};
      score(queries, block);
      merge_maxima(rows, key == keys.begin);
      exponentiate(rows, block);
      Product product{};
      product.rows = kDigits ? b_.digits_high : as_words(b_.scores);
      product.low_rows = kDigits ? b_.digits_low : nullptr;
      product.row_step = rows;
      product.columns = b_.values + (block.begin - b_.keys.begin) / Packed::kElements * kPanel;
      product.panel_stride = b_.value_stride;
      product.steps = block.size() / Packed::kElements;
      product.row_scale = b_.output_scale;
      product.accumulate = key != keys.begin;
      product.out = b_.context;
      product.out_stride = channels;
      multiply<S, Words>(product, rows, b_.value_panels);
    }
    write(queries);
  }

  // Scores of a block as [key, query], and each query's largest.
  void score(Range queries, Range keys) {
    const size_t rows = round_up(queries.size(), kPanel);
    for (size_t i = 0; i < rows; i += kPanel) S::store(b_.block_most + i, S::set(Packed::kMasked));
    Product product{};
    product.row_step = kPanel;
    product.columns = b_.query_words;
    product.panel_stride = b_.steps * kPanel;
    product.steps = b_.steps;
    product.start = kDigits && S::kRowBias != 0 ? b_.query_start : nullptr;
    product.column_scale = b_.query_scale;
    product.out_stride = rows;

    const bool positions = call_.position_keys.panels != nullptr || call_.position_queries.panels != nullptr;
    TableProducts of_queries{}, of_keys{};
    if (call_.position_keys.panels != nullptr) of_queries = times_position_keys(rows, queries, keys);
    for (size_t key = keys.begin; key < keys.end; key += kPanel) {
      const size_t at = key - b_.keys.begin;
      float* scores = b_.scores + (key - keys.begin) * rows;
      product.rows = b_.key_words + at * b_.steps;
      product.row_scale = b_.key_scale + at;
      product.row_offset = b_.log_scale + at;
      product.out = scores;
      multiply<S, Words>(product, kPanel, rows / kPanel);
      if (positions) {
        if (call_.position_queries.panels != nullptr) of_keys = times_position_queries(rows, queries, key);
        add_positions<S>(scores, rows / kPanel, queries.begin, key, call_.row_at, of_queries, of_keys, b_.block_most);
      } else {
        add_window<S>(scores, rows / kPanel, queries.begin, key, !wholly_seen(queries, key), call_.half_window,
                      Packed::kMasked, b_.block_most);
      }
    }
  }

  bool wholly_seen(Range queries, size_t key) const {
    return call_.half_window == kEveryKey ||
           (queries.end <= key + call_.half_window + 1 && key + kPanel <= queries.begin + call_.half_window + 1);
  }

  // Queries times the rows of the c2p table that they reach: [queries, columns]. Each panel of queries leaves out the
  // columns that only others reach.
  TableProducts times_position_keys(size_t rows, Range queries, Range keys) {
    const auto farthest = static_cast<ptrdiff_t>(queries.begin) - static_cast<ptrdiff_t>(keys.end) + 1;
    const auto nearest = static_cast<ptrdiff_t>(queries.begin + kPanel - 1) - static_cast<ptrdiff_t>(keys.begin);
    const size_t first_panel = table_panel(farthest);
    for (size_t at = 0; at < rows; at += kPanel) {
      const auto ahead = static_cast<ptrdiff_t>(at);
      times_table(call_.position_keys, farthest + ahead, nearest + ahead, b_.query_rows + at * b_.steps,
                  b_.query_scale + at, b_.of_queries + at * b_.window_columns, first_panel);
    }
    return {b_.of_queries, b_.window_columns, static_cast<ptrdiff_t>(first_panel * kPanel)};
  }

  // Sixteen keys times the rows of the p2c table that they reach: [16, columns].
  TableProducts times_position_queries(size_t rows, Range queries, size_t key) {
    const auto farthest = static_cast<ptrdiff_t>(queries.begin) - static_cast<ptrdiff_t>(key + kPanel) + 1;
    const auto nearest = static_cast<ptrdiff_t>(queries.begin + rows - 1) - static_cast<ptrdiff_t>(key);
    const size_t at = key - b_.keys.begin, first_panel = table_panel(farthest);
    times_table(call_.position_queries, farthest, nearest, b_.key_words + at * b_.steps, b_.key_scale + at, b_.of_keys,
                first_panel);
    return {b_.of_keys, b_.window_columns, static_cast<ptrdiff_t>(first_panel * kPanel)};
  }

  size_t table_panel(ptrdiff_t distance) const { return static_cast<size_t>(call_.row_at[distance]) / kPanel; }

  // Sixteen vectors times the rows of some distances; column 0 of `out` belongs to the first row of panel `origin`.
  void times_table(const PositionTable& table, ptrdiff_t lowest, ptrdiff_t highest, const int32_t* words,
                   const float* scale, float* out, size_t origin) {
    const size_t first_panel = table_panel(lowest), panels = table_panel(highest) - first_panel + 1;
    const size_t column = task_.head * call_.table_rows + first_panel * kPanel;
    Product product{};
    product.rows = words;
    product.row_step = kPanel;
    product.columns = static_cast<const int32_t*>(table.panels) + column * b_.steps;
    product.panel_stride = b_.steps * kPanel;
    product.steps = b_.steps;
    product.start = S::kRowBias != 0 && kDigits ? table.sum + column : nullptr;
    product.row_scale = scale;
    product.column_scale = kDigits ? table.scale + column : nullptr;
    product.out = out + (first_panel - origin) * kPanel;
    product.out_stride = b_.window_columns;
    multiply<S, Words>(product, kPanel, panels);
  }

  // The running maximum takes in the block's; sums and outputs so far are scaled down to it (online softmax, arXiv
  // 1805.02867).
  void merge_maxima(size_t rows, bool first) {
    const size_t channels = b_.value_panels * kPanel;
    for (size_t i = 0; i < rows; i += kPanel) {
      const Float block = S::load(b_.block_most + i);
      if (first) {
        S::store(b_.most + i, block);
        S::store(b_.sum + i, S::zero());
        S::store(b_.output_scale + i, S::set(1 / Packed::kOne));
        continue;
      }
      const Float before = S::load(b_.most + i), most = S::max(before, block);
      const Float correction = exp<S>(S::sub(before, most));
      S::store(b_.most + i, most);
      S::store(b_.sum + i, S::mul(S::load(b_.sum + i), correction));
      S::store(b_.correction + i, correction);
    }
    for (size_t i = 0; !first && i < rows; ++i) {
      const Float correction = S::set(b_.correction[i]);
      for (size_t c = 0; c < channels; c += kPanel) {
        float* context = b_.context + i * channels + c;
        S::store(context, S::mul(S::load(context), correction));
      }
    }
  }

  // Scores to probabilities times the keys' value scales, over the largest of these products; and the sums of the
  // probabilities themselves.
  [[gnu::noinline]] void exponentiate(size_t rows, Range keys) {
    for (size_t key = 0; key < keys.size(); key += 4) {
      const float* inverse = b_.inverse_scale + (keys.begin - b_.keys.begin) + key;
      for (size_t i = 0; i < rows; i += kPanel) {
        const Float most = S::load(b_.most + i);
        Float p[4], sum = S::load(b_.sum + i);
        for (size_t k = 0; k < 4; ++k) {
          p[k] = exp<S>(S::sub(S::load(b_.scores + (key + k) * rows + i), most));
          sum = S::fma(p[k], S::set(inverse[k]), sum);
        }
        S::store(b_.sum + i, sum);
        if constexpr (kDigits) {
          const size_t at = key / 4 * rows + i;
          Packed::pack_probabilities(p, b_.digits_high + at, b_.digits_low + at);
        } else {
          Packed::pack_probabilities(p, as_words(b_.scores) + key * rows + i, rows);
        }
      }
    }
  }

  void write(Range queries) {
    const size_t d = call_.head_size, channels = b_.value_panels * kPanel, width = call_.heads * d;
    const size_t first = call_.first_token ? task_.row : task_.first_token_of_row + queries.begin;
    for (size_t i = 0; i < queries.size(); ++i) {
      const Float scale = S::set(1 / b_.sum[i]);
      float* out = call_.output + (first + i) * width + task_.head * d;
      for (size_t c = 0; c < d; c += kPanel) {
        const Float value = S::mul(S::load(b_.context + i * channels + c), scale);
        if (d - c < kPanel) {
          S::store_first(out + c, value, d - c);
        } else {
          S::store(out + c, value);
        }
      }
    }
  }

  static int32_t* as_words(float* p) { return reinterpret_cast<int32_t*>(p); }

  const AttentionCall& call_;
  const AttentionTask& task_;
  Buffers b_;
};

template <class S>
size_t attention_scratch(const AttentionCall& call, const AttentionTask& task) {
  return call.arithmetic == Arithmetic::kInt8 ? Attention<S, Int8>::scratch_bytes(call, task)
                                              : Attention<S, Float32>::scratch_bytes(call, task);
}

template <class S>
void attention_run(const AttentionCall& call, const AttentionTask& task, void* scratch) {
  if (call.arithmetic == Arithmetic::kInt8) {
    Attention<S, Int8>(call, task, scratch).run();
  } else {
    Attention<S, Float32>(call, task, scratch).run();
  }
}

}  // namespace
}  // namespace assay
