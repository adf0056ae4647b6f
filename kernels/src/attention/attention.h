// Attention of packed rows, one call per layer: what the operators hand to the kernels of an instruction set.
//
//   score[i, j] = q_i . k_j  +  q_i . PK[b(i - j)]  +  k_j . PQ[b(i - j)]        (DeBERTa; BERT: q_i . k_j alone)
//   score[i, j] = rotate(q_i, i) . rotate(k_j, j)     for |i - j| <= half_window  (ModernBERT)
//   output_i = softmax over j of score[i, j], times v_j
//
// Scores are never held for more than a block of queries and keys. Blocks are counted from the first token of a row, so
// a row's result doesn't depend on what else is in the call or on how the call is split into tasks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

// Everything in the kernels comes in panels of sixteen: queries, table rows or channels side by side in vector lanes.
constexpr size_t kPanel = 16;
constexpr size_t kQueryBlock = 64;
constexpr size_t kEveryKey = static_cast<size_t>(-1);

enum class Arithmetic {
  kInt8,     // int8 with a scale per row of q, k, v and tables; probabilities in 14 bits; integer sums
  kFloat32,
};

// A table of vectors by distance, packed in panels of sixteen rows:
//   int8     [heads, rows / 16, ceil(d / 4), 16, 4], with scale and sum (of the row's integers) [heads, rows]
//   float32  [heads, rows / 16, d, 16]
struct PositionTable {
  const void* panels = nullptr;  // null: the model has no such term
  const float* scale = nullptr;
  const int32_t* sum = nullptr;
};

struct AttentionCall {
  size_t heads, head_size;
  Arithmetic arithmetic;
  bool first_token;  // one query per row, its first token

  const float* query;  // [tokens or rows, heads * d] at query_stride
  const float* key;    // [tokens, heads * d] at key_stride, as is value
  const float* value;
  size_t query_stride, key_stride;
  float* output;  // [tokens or rows, heads * d]

  PositionTable position_keys, position_queries;
  size_t table_rows;            // a multiple of 16
  const int32_t* row_at;        // row_at[r] is the table row of distance r = i - j, for |r| < longest row + 2 * kQueryBlock

  const float* rotation;  // null: none. [positions / 16, d / 2, cos or sin, 16]
  size_t half_window = kEveryKey;  // keys that a query sees on each side
};

// Some queries of one head of one row.
struct AttentionTask {
  size_t row, first_token_of_row, length;
  size_t head;
  size_t first_query, end_query;  // first_query is a multiple of kQueryBlock
};

struct AttentionKernels {
  size_t (*scratch_bytes)(const AttentionCall&, const AttentionTask&);
  void (*run)(const AttentionCall&, const AttentionTask&, void* scratch);  // scratch is aligned to 64 bytes
};

// As isa.cc names them. Where an instruction set adds nothing for attention, it takes the next lower one's.
const AttentionKernels& attention_amx();
const AttentionKernels& attention_avx512vnni();
const AttentionKernels& attention_avxvnni();
const AttentionKernels& attention_avx2();
const AttentionKernels& attention_neon_i8mm();
const AttentionKernels& attention_neon_dotprod();
const AttentionKernels& attention_plain();

}  // namespace assay
