// The session of a connection, and the log. Both call code of the application.
#pragma once

#include "tern/connection.h"

#include "connection/environment.h"

#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace tern::connection {

/// Writes to the application's log, if there is one. Exceptions of the sink are dropped.
void log(const LogSink& sink, LogLevel level, std::string_view message,
         std::string_view remote_address = {}) noexcept;

/// Runs `write`, which composes a line and logs it. Does nothing without a log or without memory.
template <class F>
void log_composed(const LogSink& sink, F&& write) noexcept {
  if (!sink) return;
  try {
    std::forward<F>(write)();
  } catch (const std::bad_alloc&) {  // the line is dropped
  }
}

/// Logs the current exception, which `what` of this route threw for this peer. Call it only in a
/// catch block.
[[gnu::cold]] void log_exception(const LogSink& sink, std::string_view route, std::string_view what,
                                 std::string_view remote_address) noexcept;

/// The session of a connection: the application's object behind a table of plain functions. A small
/// object is stored inside, a larger one in a block of its own.
class SessionBox {
 public:
  SessionBox() noexcept = default;
  SessionBox(const SessionBox&) = delete;
  SessionBox& operator=(const SessionBox&) = delete;
  ~SessionBox() { destroy(); }

  /// Constructs a session by `construct(void* memory)`. Throws std::bad_alloc, and the exceptions
  /// of `construct`.
  template <class F>
  void emplace(const SessionType& type, F&& construct) {
    void* const memory = allocate(type);
    try {
      construct(memory);
    } catch (...) {
      release(type);
      throw;
    }
    type_ = &type;
  }
  void destroy() noexcept;

  explicit operator bool() const noexcept { return type_ != nullptr; }
  const SessionType* type() const noexcept { return type_; }
  void* get() noexcept { return type_->is_large ? large_ : static_cast<void*>(small_); }

 private:
  void* allocate(const SessionType& type);
  void release(const SessionType& type) noexcept;

  const SessionType* type_ = nullptr;
  union {
    alignas(8) std::byte small_[SessionType::inline_bytes];
    void* large_;
  };
};

}  // namespace tern::connection
