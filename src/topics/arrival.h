// A publication on the way to one worker, and a list of them. A publisher allocates it, so that
// nothing on the way can fail afterwards.
#pragma once

#include "tern/message.h"

#include "topics/topic_ref.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tern::topics {

class Inbox;

/// The connection that publishes, as its worker knows it. It does not receive its own publication.
struct Source {
  static constexpr std::uint64_t none = ~std::uint64_t{0};

  const Inbox* inbox = nullptr;
  std::uint64_t place = none;  // a slot and a generation
};

struct Arrival {
  Arrival* next = nullptr;
  Arrival* previous = nullptr;
  TopicRef topic{};
  SharedMessage message;
  std::uint64_t offset = 0;
  std::uint64_t source = Source::none;  // a connection of this worker
  std::uint64_t number = 0;             // in the order in which they reached the worker
  std::chrono::steady_clock::time_point published{};
  bool compress = true;

  explicit Arrival(SharedMessage shared) noexcept
      : message(std::move(shared)), bytes_(message.message().size()) {}
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_;  // a copy, because the message itself is often not in the cache
};

/// Owns its arrivals.
class ArrivalList {
 public:
  ArrivalList() noexcept = default;
  ArrivalList(const ArrivalList&) = delete;
  ArrivalList& operator=(const ArrivalList&) = delete;
  ~ArrivalList() {
    while (!empty()) delete pop_front();
  }

  bool empty() const noexcept { return first_ == nullptr; }
  Arrival* front() const noexcept { return first_; }
  Arrival* back() const noexcept { return last_; }
  void push_back(Arrival* arrival) noexcept {
    arrival->next = nullptr;
    arrival->previous = last_;
    (last_ != nullptr ? last_->next : first_) = arrival;
    last_ = arrival;
  }
  /// The list must not be empty. The caller owns the arrival.
  Arrival* pop_front() noexcept {
    Arrival* const arrival = first_;
    first_ = arrival->next;
    (first_ != nullptr ? first_->previous : last_) = nullptr;
    return arrival;
  }
  void swap(ArrivalList& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
  }

 private:
  Arrival* first_ = nullptr;
  Arrival* last_ = nullptr;
};

}  // namespace tern::topics
