#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tern::topics {

/// A publication that stays for later subscribers.
struct Kept {
  SharedMessage message;
  std::uint64_t offset;
  std::chrono::steady_clock::time_point time;
  bool compress;
};

/// The newest publications of a topic, bounded by their number, bytes and age.
class History {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// The bytes that are counted for a publication beside its payload.
  static constexpr std::size_t overhead = 128;
  /// Returns the bytes that are counted for a publication while it is kept.
  static std::size_t weight_of(const SharedMessage& message) noexcept {
    return message.message().size() + overhead;
  }

  /// Makes room for one more publication. Throws std::bad_alloc.
  void prepare(const TopicOptions& options);
  /// Appends a publication, for which prepare() made room, and drops those over the bounds.
  void push(Kept kept, const TopicOptions& options) noexcept;
  /// Drops the publications that are too old.
  void drop_old(TimePoint now, const TopicOptions& options) noexcept;
  /// Drops the publications up to this offset. Frees the ring if none is left.
  void drop_up_to(std::uint64_t last) noexcept;

  std::size_t size() const noexcept { return size_; }
  /// Index 0 is the oldest publication.
  const Kept& operator[](std::size_t index) const noexcept { return *slots_[place(index)]; }
  /// Returns the bytes of all payloads, plus `overhead` for each.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t place(std::size_t index) const noexcept { return (first_ + index) % slots_.size(); }
  void drop_first() noexcept;

  std::vector<std::optional<Kept>> slots_{};  // a ring
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace tern::topics
