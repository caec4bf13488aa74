#pragma once

#include "tern/bridge.h"
#include "tern/message.h"
#include "tern/topics.h"

#include "net/fd.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace tern::bridge {

using TimePoint = std::chrono::steady_clock::time_point;

/// Something that the driver's thread has to do.
struct Command {
  enum class Kind : std::uint8_t { publish, want, unwant, history };

  Command(Kind of_kind, std::string_view of_topic) : kind(of_kind), topic(of_topic) {}

  Kind kind;
  std::string topic;
  std::optional<SharedMessage> message{};  // publish
  Origin origin{};                         // publish
  Position after{};                        // history
  std::size_t count = 0;                   // history
  TimePoint queued{};                      // publish
  std::unique_ptr<Command> next{};

  /// The part of a publication in BridgeOptions::buffer_bytes.
  std::size_t weight() const noexcept {
    return message ? message->message().size() + topic.size() + overhead : 0;
  }
  /// The command, the frame of the message, and what malloc adds: 240 bytes with glibc.
  static constexpr std::size_t overhead = 256;
};

/// Owns its commands.
class CommandList {
 public:
  CommandList() noexcept = default;
  CommandList(const CommandList&) = delete;
  CommandList& operator=(const CommandList&) = delete;
  ~CommandList() {
    while (!empty()) pop_front();  // one by one, because a long chain would need a deep stack
  }

  bool empty() const noexcept { return first_ == nullptr; }
  Command& front() const noexcept { return *first_; }
  void push_back(std::unique_ptr<Command> command) noexcept {
    Command* const added = command.get();
    (last_ != nullptr ? last_->next : first_) = std::move(command);
    last_ = added;
  }
  /// The list must not be empty.
  std::unique_ptr<Command> pop_front() noexcept {
    std::unique_ptr<Command> first = std::move(first_);
    first_ = std::move(first->next);
    if (first_ == nullptr) last_ = nullptr;
    return first;
  }
  void swap(CommandList& other) noexcept {
    first_.swap(other.first_);
    std::swap(last_, other.last_);
  }

 private:
  std::unique_ptr<Command> first_{};
  Command* last_ = nullptr;
};

/// The commands from the loops to the driver's thread, in one order. The lock is held only to move
/// pointers. Publications are bounded by their bytes and by the time for which the oldest one
/// waits. They count until they are released, also after they were taken. Thread: any, unless
/// stated otherwise.
class Queue {
 public:
  struct Bounds {
    std::size_t bytes;
    std::chrono::nanoseconds time;
  };
  /// The answer to publications.
  enum class Mode : std::uint8_t {
    stopped,  // they are refused with `stopped`, and other commands are dropped
    up,       // they are accepted; beyond the bounds `full`
    buffers,  // there is no broker: they are accepted; beyond the bounds `bridge_down`
    refuses,  // there is no broker: they are refused with `bridge_down`
  };
  struct Counts {
    std::uint64_t refused_full = 0;
    std::uint64_t refused_down = 0;
    std::uint64_t waiting_bytes = 0;
  };

  Queue() noexcept;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// The reason why the constructor could not open the event, if it could not.
  std::error_code error() const noexcept { return error_; }
  /// A descriptor that is readable after a command came, until take().
  int wake_fd() const noexcept { return wake_.get(); }
  /// Makes it readable.
  void wake() const noexcept;

  /// Begins anew, with these bounds and nothing that waits.
  void start(Bounds bounds, Mode mode) noexcept;
  void set_mode(Mode mode) noexcept;
  /// Appends a publication, or refuses it. It has its time in Command::queued.
  PublishStatus::Value publish(std::unique_ptr<Command> command) noexcept;
  /// Appends a command of another kind. Returns false if the queue is stopped.
  bool push(std::unique_ptr<Command> command) noexcept;

  /// Appends all commands to `list`. Thread: the driver's.
  void take(CommandList& list) noexcept;
  /// Publications were sent or dropped. `oldest` is the time of the oldest one that was taken and
  /// not released; absent: there is none.
  void release(std::size_t bytes, std::optional<TimePoint> oldest) noexcept;
  Counts counts() const noexcept;

 private:
  bool is_over(std::size_t bytes, TimePoint now) const noexcept;

  net::Fd wake_;
  std::error_code error_{};
  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  Bounds bounds_{};
  Mode mode_ = Mode::stopped;
  CommandList list_{};
  std::size_t bytes_ = 0;                    // of publications that are not released
  std::optional<TimePoint> oldest_taken_{};  // of those that were taken
  std::optional<TimePoint> oldest_here_{};   // of those on the list
  Counts counts_{};
};

}  // namespace tern::bridge
