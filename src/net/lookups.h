#pragma once

#include "tern/error.h"
#include "tern/unique_function.h"

#include "net/address.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace tern::net {

class LookupQueue;
struct LookupWaiter;

/// A wish for the addresses of one host. Its destructor cancels the wish. Move-only; a default
/// object has no wish. In a child of fork(), an object that the parent made is harmless: its `done`
/// is not called there.
class [[nodiscard]] Lookup {
 public:
  Lookup() noexcept;
  /// For Lookups.
  Lookup(std::shared_ptr<LookupQueue> queue, std::unique_ptr<LookupWaiter> waiter) noexcept;
  Lookup(Lookup&& other) noexcept;
  /// Cancels the wish that this object had.
  Lookup& operator=(Lookup&& other) noexcept;
  ~Lookup();

  /// Makes sure that `done` is not called, and destroys it. A look-up that waits in the queue for
  /// this wish only is dropped. A look-up that runs goes on, but its answer is not delivered here.
  /// Never waits for a look-up or for `done`. Returns true if this call cancelled the wish: then
  /// `done` was not called and will not be. Returns false if there was nothing to cancel: `done`
  /// has been called, or another thread has just begun to call it, which may go on after this call;
  /// or an earlier call cancelled the wish. Thread: any, also within `done`; not while another
  /// thread moves or destroys this object.
  bool cancel() noexcept;

 private:
  void drop() noexcept;

  std::shared_ptr<LookupQueue> queue_;
  std::unique_ptr<LookupWaiter> waiter_;
};

/// Looks up hosts in threads of its own, at most max_threads at a time. The others wait in a queue,
/// first in, first out; wishes for a host that waits already share its look-up. At most
/// max_threads_of_a_host look up the same host, so that one slow name leaves threads for others. A
/// wish does not join a look-up that runs, because that may have begun before the network came
/// back. A thread is started when a look-up is wanted, and ends when none can begin. Threads: any.
class Lookups {
 public:
  using Done = UniqueFunction<void(Result<Addresses>)>;
  /// Looks up one host and blocks as long as this takes. The ports of the addresses do not matter.
  /// Runs in several threads at a time.
  using LookUp = std::function<Result<Addresses>(const std::string& host)>;
  /// Starts a thread that runs `body`, which does not throw. Throws std::system_error if the system
  /// has no thread left, or std::bad_alloc. Must not run `body` before it returns.
  using StartThread = std::function<void(UniqueFunction<void()> body)>;

  static constexpr std::size_t max_threads = 8;
  static constexpr std::size_t max_threads_of_a_host = 2;

  /// Throws std::bad_alloc.
  explicit Lookups(LookUp look_up, StartThread start_thread = start_detached);

  /// Wishes for the addresses of `host` with this port. Calls `done` once, in a thread of this
  /// object, unless the wish is cancelled before. `done` must not throw. If a thread cannot be
  /// started and none runs, it calls `done` with the error in this thread before it returns; if
  /// some run, they do the look-up. An exception of the look-up becomes Errc::no_memory. The queue
  /// has no bound of its own: each caller cancels at its deadline, so a caller has no more wishes
  /// in the queue than attempts to connect. Throws std::bad_alloc; then `done` is not called.
  Lookup add(std::string_view host, std::uint16_t port, Done done);

  /// Returns whether this process is a child of the process that made this object. Such a copy is
  /// unusable, because its threads do not exist here and its lock may be held by one of them.
  bool in_child() const noexcept;

  /// Starts a detached thread that blocks all signals, because the signals of the application are
  /// for its own threads.
  static void start_detached(UniqueFunction<void()> body);

 private:
  // The threads and the Lookup objects share it, so it outlives this object if need be.
  std::shared_ptr<LookupQueue> queue_;
};

/// The stage of an error of a look-up: "resolve " and the host.
std::string lookup_stage(std::string_view host);

}  // namespace tern::net
