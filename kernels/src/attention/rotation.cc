#include "attention/rotation.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "attention/attention.h"

namespace assay {
namespace {

struct Table {
  std::vector<float> frequencies;
  size_t positions;
  std::vector<float> values;
  const Table* next;
};

// The shared tables. They are never freed. A model has one or two sets of frequencies, and the tables of each double in
// length, so that all of them together take less than twice what the longest takes.
std::atomic<const Table*> tables{nullptr};

// Floats in shared tables, and their limit (64 MiB: 32 tables of 8,192 positions for heads of 64 channels).
// Without it, an input `frequencies` that changes from call to call would leak.
std::atomic<size_t> shared{0};
constexpr size_t kMostShared = size_t{16} << 20;

const Table* find(const Table* from, const float* frequencies, size_t pairs, size_t positions) {
  for (; from != nullptr; from = from->next) {
    if (from->positions >= positions && from->frequencies.size() == pairs &&
        std::equal(frequencies, frequencies + pairs, from->frequencies.begin())) {
      return from;
    }
  }
  return nullptr;
}

// `positions` is a multiple of kPanel.
std::vector<float> rotations(const float* frequencies, size_t pairs, size_t positions) {
  std::vector<float> values(positions * pairs * 2);
  for (size_t position = 0; position < positions; ++position) {
    float* panel = values.data() + position / kPanel * (pairs * 2 * kPanel) + position % kPanel;
    for (size_t pair = 0; pair < pairs; ++pair) {
      const float angle = static_cast<float>(position) * frequencies[pair];  // in float32, as transformers does
      panel[pair * 2 * kPanel] = static_cast<float>(std::cos(static_cast<double>(angle)));
      panel[(pair * 2 + 1) * kPanel] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return values;
}

// A shared table of at least `needed` positions, or null where the limit leaves no room for it.
const float* share(const float* frequencies, size_t pairs, size_t needed) {
  const Table* head = tables.load(std::memory_order_acquire);
  if (const Table* table = find(head, frequencies, pairs, needed)) return table->values.data();

  size_t positions = 512;
  while (positions < needed) positions *= 2;
  const size_t size = positions * pairs * 2;
  if (size > kMostShared || shared.load(std::memory_order_relaxed) > kMostShared - size) return nullptr;
  auto table = std::make_unique<Table>();
  table->frequencies.assign(frequencies, frequencies + pairs);
  table->positions = positions;
  table->values = rotations(frequencies, pairs, positions);
  table->next = head;
  while (!tables.compare_exchange_weak(head, table.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    if (const Table* other = find(head, frequencies, pairs, needed)) return other->values.data();  // made meanwhile
    table->next = head;
  }
  shared.fetch_add(size, std::memory_order_relaxed);
  return table.release()->values.data();
}

}  // namespace

RotationTable::RotationTable(const float* frequencies, size_t pairs, size_t longest) {
  const size_t needed = (longest + kPanel - 1) / kPanel * kPanel;
  data_ = share(frequencies, pairs, needed);
  if (data_ != nullptr) return;
  own_ = rotations(frequencies, pairs, needed);
  data_ = own_.data();
}

}  // namespace assay
