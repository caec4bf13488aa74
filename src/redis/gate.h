#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace tern::redis {

/// Keeps commands behind the subscriptions before them. Subscriptions go over another connection
/// than all other commands, and the server confirms them in their order. A command waits until
/// those before it are confirmed. So a server of tern receives what it publishes after it has
/// subscribed, and a history has all that no notification tells.
class Gate {
 public:
  /// So many subscriptions were sent.
  void add_subscriptions(std::size_t count) noexcept { sent_ += count; }
  /// The server has confirmed one. Appends the commands that may go to `output`. Throws
  /// std::bad_alloc.
  void confirm(std::string& output);
  /// Appends a command to `output`, or keeps it. Throws std::bad_alloc.
  void pass(std::string_view command, std::string& output);
  /// The bytes of the commands that wait.
  std::size_t bytes() const noexcept { return bytes_; }
  /// Begins anew.
  void clear() noexcept;

 private:
  struct Waiting {
    std::uint64_t subscriptions;  // that must be confirmed
    std::string commands;
  };

  std::deque<Waiting> waiting_{};
  std::uint64_t sent_ = 0;
  std::uint64_t confirmed_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace tern::redis
