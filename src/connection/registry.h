// The table in which a Handle finds its connection.
#pragma once

#include "net/mailbox.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tern::connection {

class LiveConnection;

/// The connections of one loop in slots. Each slot has a generation, which changes when a
/// connection leaves it. Handles share the registry and may outlive the loop. Thread: the loop's;
/// mailbox() from any.
class Registry {
 public:
  struct Place {
    std::uint32_t slot;
    std::uint32_t generation;
  };

  explicit Registry(std::shared_ptr<net::Mailbox> mailbox) noexcept
      : mailbox_(std::move(mailbox)) {}

  /// Throws std::bad_alloc.
  Place add(LiveConnection& connection);
  void remove(std::uint32_t slot) noexcept;
  /// Returns null if that connection has ended.
  LiveConnection* find(std::uint32_t slot, std::uint32_t generation) const noexcept;
  std::uint32_t generation(std::uint32_t slot) const noexcept { return slots_[slot].generation; }
  std::size_t size() const noexcept { return size_; }

  /// Calls `function` for each connection. It may end connections, but not add any.
  template <class F>
  void for_each(F&& function) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].connection != nullptr) function(*slots_[i].connection);
    }
  }

  /// The number of slots; some are empty.
  std::size_t slots() const noexcept { return slots_.size(); }
  /// The connection of a slot; null if it is empty.
  LiveConnection* at(std::size_t slot) const noexcept { return slots_[slot].connection; }

  net::Mailbox& mailbox() const noexcept { return *mailbox_; }

 private:
  struct Slot {
    LiveConnection* connection = nullptr;
    std::uint32_t generation = 0;
    std::uint32_t next_free = 0;
  };
  static constexpr std::uint32_t none = 0xFFFFFFFF;

  std::shared_ptr<net::Mailbox> mailbox_;
  std::vector<Slot> slots_{};
  std::uint32_t free_ = none;
  std::size_t size_ = 0;
};

}  // namespace tern::connection
