// A slot is used again at once, but with another generation. So an old handle finds nothing.
#include "connection/registry.h"

namespace tern::connection {

Registry::Place Registry::add(LiveConnection& connection) {
  if (free_ == none) {
    slots_.emplace_back();
    slots_.back().next_free = none;
    free_ = static_cast<std::uint32_t>(slots_.size() - 1);
  }
  const std::uint32_t index = free_;
  Slot& slot = slots_[index];
  free_ = slot.next_free;
  slot.connection = &connection;
  ++size_;
  return {index, slot.generation};
}

void Registry::remove(std::uint32_t slot) noexcept {
  slots_[slot].connection = nullptr;
  ++slots_[slot].generation;
  slots_[slot].next_free = std::exchange(free_, slot);
  --size_;
}

LiveConnection* Registry::find(std::uint32_t slot, std::uint32_t generation) const noexcept {
  if (slot >= slots_.size() || slots_[slot].generation != generation) return nullptr;
  return slots_[slot].connection;
}

}  // namespace tern::connection
