#pragma once

#include "net/event.h"
#include "net/fd.h"

#include <functional>
#include <optional>
#include <stop_token>

namespace tern::client {

/// Turns a stop_token into a descriptor for poll. Costs nothing if no stop can be requested.
class StopSignal {
 public:
  /// Throws std::bad_alloc. If no descriptor is left for the event, a stop is noticed at the next
  /// wake-up.
  explicit StopSignal(std::stop_token token) : token_(std::move(token)) {
    if (!token_.stop_possible()) return;
    event_ = net::open_event().fd;
    if (event_) ring_.emplace(token_, Ring{event_.get()});
  }

  bool requested() const noexcept { return token_.stop_requested(); }
  /// Readable once a stop was requested; -1, which poll ignores, if that cannot happen.
  int fd() const noexcept { return event_.get(); }
  const std::stop_token& token() const noexcept { return token_; }

 private:
  struct Ring {
    int fd;
    void operator()() const noexcept { net::signal_event(fd); }
  };

  std::stop_token token_;
  net::Fd event_{};
  std::optional<std::stop_callback<Ring>> ring_{};  // its destructor waits for a callback that runs
};

}  // namespace tern::client
