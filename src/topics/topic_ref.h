#pragma once

#include <utility>

namespace tern::topics {

class TopicState;

/// A share of a topic. While there is one, the topic exists. Thread: any.
class TopicRef {
 public:
  TopicRef() noexcept = default;
  /// Takes over a share that is counted already.
  explicit TopicRef(TopicState* counted) noexcept : state_(counted) {}
  TopicRef(const TopicRef& other) noexcept;
  TopicRef(TopicRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  TopicRef& operator=(TopicRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~TopicRef();

  explicit operator bool() const noexcept { return state_ != nullptr; }
  TopicState& operator*() const noexcept { return *state_; }
  TopicState* operator->() const noexcept { return state_; }
  TopicState* get() const noexcept { return state_; }
  /// Gives the share to the caller.
  TopicState* detach() noexcept { return std::exchange(state_, nullptr); }

 private:
  TopicState* state_ = nullptr;
};

}  // namespace tern::topics
