#pragma once

#include "tern/error.h"
#include "tern/unique_function.h"

#include "client/race.h"
#include "net/address.h"
#include "net/fd.h"
#include "net/loop_core.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace tern::client {

/// Connects to the first of some addresses that accepts, by the rules of Race, on a loop.
/// Thread: the loop's.
class LoopRace final : private net::Timer {
 public:
  /// Receives the connected socket, or the error of the race, once. It may be called by start(). It
  /// must not destroy the LoopRace.
  using Done = UniqueFunction<void(Result<net::Fd>)>;

  /// Throws std::bad_alloc.
  LoopRace(net::LoopCore& core, net::Addresses addresses, std::optional<net::Address> from,
           Done done);
  ~LoopRace() { cancel(); }

  /// Begins. Throws std::bad_alloc.
  void start() { proceed(); }
  /// Closes all sockets. `done` is not called any more.
  void cancel() noexcept;
  /// The error if the race ends now. Throws std::bad_alloc.
  Error error(std::error_code why) const { return race_.error(why); }

 private:
  struct Runner final : net::Watcher {
    Runner(LoopRace& of, std::size_t number, net::Fd connecting) noexcept
        : race(of), attempt(number), socket(std::move(connecting)) {}
    void on_ready(std::uint32_t events) noexcept override;

    LoopRace& race;
    std::size_t attempt;
    net::Fd socket;  // closed once the attempt is over
  };

  void on_timer(net::Timer::time_point now) noexcept override;
  void on_ready(Runner& runner) noexcept;
  void proceed();
  void begin(std::size_t attempt);
  void end(Result<net::Fd> result) noexcept;
  net::Fd release(Runner& runner) noexcept;

  net::LoopCore& core_;
  Race race_;
  std::optional<net::Address> from_;
  Done done_;
  std::vector<std::unique_ptr<Runner>> runners_{};
};

}  // namespace tern::client
