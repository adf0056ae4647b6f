#include "attention/rotation.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "attention/attention.h"

namespace assay {
namespace {

struct Table {
  std::vector<float> frequencies;
  size_t positions;
  std::vector<float> values;
  const Table* next;
};

// All tables so far. A model has one or two, and each of them grows by doubling, so what is never freed is less than
// twice what is in use.
std::atomic<const Table*> tables{nullptr};

const Table* find(const Table* from, const float* frequencies, size_t pairs, size_t positions) {
  for (; from != nullptr; from = from->next) {
    if (from->positions >= positions && from->frequencies.size() == pairs &&
        std::equal(frequencies, frequencies + pairs, from->frequencies.begin())) {
      return from;
    }
  }
  return nullptr;
}

}  // namespace

const float* rotation_table(const float* frequencies, size_t pairs, size_t longest) {
  const size_t needed = (longest + kPanel - 1) / kPanel * kPanel;
  const Table* head = tables.load(std::memory_order_acquire);
  if (const Table* table = find(head, frequencies, pairs, needed)) return table->values.data();

  size_t positions = 512;
  while (positions < needed) positions *= 2;
  auto table = std::make_unique<Table>();
  table->frequencies.assign(frequencies, frequencies + pairs);
  table->positions = positions;
  table->values.resize(positions * pairs * 2);
  for (size_t position = 0; position < positions; ++position) {
    float* panel = table->values.data() + position / kPanel * (pairs * 2 * kPanel) + position % kPanel;
    for (size_t pair = 0; pair < pairs; ++pair) {
      const float angle = static_cast<float>(position) * frequencies[pair];  // in float32, as transformers does
      panel[pair * 2 * kPanel] = static_cast<float>(std::cos(static_cast<double>(angle)));
      panel[(pair * 2 + 1) * kPanel] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  table->next = head;
  while (!tables.compare_exchange_weak(head, table.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    if (const Table* other = find(head, frequencies, pairs, needed)) return other->values.data();  // someone was faster
    table->next = head;
  }
  return table.release()->values.data();
}

}  // namespace assay
