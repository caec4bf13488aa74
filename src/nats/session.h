#pragma once

#include "bridge/link.h"
#include "net/fd.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nats/nats.h>
#include <string>
#include <string_view>

// One connection, as the threads of libnats see it.

namespace tern::nats {

/// The state that the link shares with the callbacks of libnats. These run in its threads, and some
/// come after the connection was destroyed. So each callback has a reference, and end() makes the
/// rest silent. Thread: any, unless stated otherwise.
class Session {
 public:
  /// Throws std::bad_alloc.
  explicit Session(bridge::LinkEvents& events);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Readable when the link should look at closed() and will_stop().
  int event() const noexcept { return event_.get(); }
  /// Calls `tell(events)`, unless end() was called. At most one at a time.
  template <class F>
  void with_events(F tell) noexcept {
    const std::lock_guard lock(mutex_);
    if (events_ != nullptr) tell(*events_);
  }
  /// No event comes when this has returned.
  void end() noexcept;

  /// The server has said that it stops soon.
  void tell_will_stop() noexcept;
  bool will_stop() const noexcept { return will_stop_; }
  /// libnats has closed the connection.
  void tell_closed() noexcept;

  /// libnats holds one reference more, or one less.
  void add_reference() noexcept;
  void drop_reference() noexcept;
  /// Waits until libnats holds no reference, or the time is over. Then its threads are done with
  /// the connection.
  void wait_released(std::chrono::milliseconds most) noexcept;

  /// A message was handled, with this number of bytes.
  void count_handled(std::size_t bytes) noexcept;
  std::uint64_t handled() const noexcept { return handled_; }
  std::uint64_t handled_bytes() const noexcept { return handled_bytes_; }
  /// Waits until `target` messages were handled, or the time is over. Returns whether they were.
  bool wait_handled(std::uint64_t target, std::chrono::milliseconds most) noexcept;

  /// The socket, if this link reads it itself: a duplicate, because libnats closes its own.
  /// Thread: one.
  net::Fd socket{};
  /// Whether libnats has something to write. Thread: one.
  bool wants_write = false;

 private:
  std::mutex mutex_{};
  bridge::LinkEvents* events_;  // guarded by mutex_; null after the end
  net::Fd event_;
  std::atomic<bool> will_stop_{false};
  std::atomic<std::uint64_t> handled_{0};
  std::atomic<std::uint64_t> handled_bytes_{0};
  std::atomic<bool> someone_waits_{false};
  std::mutex counts_mutex_{};
  std::condition_variable counts_changed_{};
  std::size_t references_ = 0;  // guarded by counts_mutex_
};

/// Lets libnats hold a reference to the session: for its callbacks of a connection, from these
/// options on. `evented`: the link reads and writes the socket itself, in libnats' functions for
/// that. The reference is given back by release_callbacks() if no connection was made, and
/// otherwise after the last callback.
struct Callbacks;
Result<Callbacks*> set_callbacks(natsOptions* options, std::shared_ptr<Session> session,
                                 bool evented);
void release_callbacks(Callbacks* callbacks) noexcept;

/// Subscribes a subject. Its messages are publications of `topic`; if that is empty, they are the
/// link's own pings and probes. Returns null if the connection is closed or memory is out. Throws
/// std::bad_alloc.
natsSubscription* subscribe(natsConnection* connection, const std::string& subject,
                            std::shared_ptr<Session> session, std::string topic);

/// The payloads of pings and probes.
inline constexpr std::string_view ping_payload = "ping";
inline constexpr std::string_view probe_payload = "probe";

}  // namespace tern::nats
