#pragma once

#include "tern/error.h"

#include "net/tcp.h"
#include "redis/address.h"
#include "redis/reply.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace tern::redis {

using Clock = std::chrono::steady_clock;

/// The end of a wait: a time, or a request to stop.
struct Patience {
  Clock::time_point deadline;
  std::stop_token stop{};
};

/// One connection to a server. Its answers are parsed by hiredis. The socket is our own, because
/// those of hiredis stay open in child processes, raise SIGPIPE, and their waits cannot be ended.
class Wire {
 public:
  Wire() noexcept = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  /// Connects. Throws std::bad_alloc.
  Result<void> open(const Address& address, const Patience& patience);
  void close() noexcept;
  bool is_open() const noexcept { return transport_.has_value(); }
  int fd() const noexcept { return transport_->fd(); }

  /// Append commands here, see append_command().
  std::string& output() noexcept { return output_; }
  std::size_t unsent() const noexcept { return output_.size() - sent_; }
  /// Sends as much of the output as the system takes now.
  Result<void> write();
  /// Reads once. Returns whether there may be more.
  Result<bool> read();
  /// Returns the next answer that was read; null if there is none.
  Result<Reply> next();
  /// Sends a command and waits for its answer. No other command may be under way. Throws
  /// std::bad_alloc.
  Result<Reply> ask(std::initializer_list<std::string_view> words, const Patience& patience);

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };

  /// The functions that hiredis calls to make answers: its own ones, and the same with a bound.
  struct Makers {
    redisReplyObjectFunctions usual{};
    redisReplyObjectFunctions bounded{};
  };

  std::optional<net::TcpTransport> transport_{};  // it may be a Unix socket, too
  Makers makers_{};                               // of the reader
  std::unique_ptr<redisReader, FreeReader> reader_{};
  std::string output_{};
  std::size_t sent_ = 0;  // of the output
};

/// Waits until one of `descriptors` is ready and returns success. Errors: Errc::timed_out;
/// Errc::stopped.
struct WaitFor {
  int fd;
  bool to_write;
};
Result<void> wait(std::span<const WaitFor> descriptors, const Patience& patience);

}  // namespace tern::redis
