// One attempt to connect, on a loop: from the URL to a transport over which the opening handshake
// can run.
#pragma once

#include "tern/client.h"
#include "tern/error.h"

#include "client/client_group.h"
#include "client/loop_race.h"
#include "client/route.h"
#include "client/steps.h"
#include "client/tunnel.h"
#include "net/fd.h"
#include "net/loop_core.h"
#include "net/resolver.h"
#include "net/transport.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tern::client {

/// Takes the steps of an attempt without waiting. It is made by new; close() ends it, and the loop
/// then frees it. Thread: the loop's.
class LoopAttempt final : private net::Watcher, private net::Timer, private net::Retired {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  /// A plain socket, or the transport that was put around it.
  struct Way {
    net::Fd socket{};
    std::unique_ptr<net::Transport> transport{};
  };

  class Owner {
   public:
    /// All steps before Step::upgrade are done: take_way() and request() are there.
    virtual void on_way_open(LoopAttempt& attempt) noexcept = 0;
    /// This head will be sent to a proxy. The owner may call close().
    virtual void on_proxy_request(LoopAttempt& attempt, std::string_view head) noexcept = 0;
    /// A step failed. The owner calls close().
    virtual void on_way_failed(LoopAttempt& attempt, Error failure, Stage stage) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  /// `deadline` holds for everything up to the 101. `given` is the socket of the options, if they
  /// name one. Throws std::bad_alloc.
  LoopAttempt(net::LoopCore& core, ClientGroup& group, Owner& owner, Destination to,
              TimePoint deadline, net::Fd given = {});

  /// Begins. It may call the owner.
  void start() noexcept;
  /// Begins again at another URL, under the same deadline.
  void start(Destination to) noexcept;
  /// Closes what is open. The owner receives nothing any more.
  void close() noexcept;

  /// Moves the way out. Once, in on_way_open().
  Way take_way() noexcept;
  /// The request of the upgrade, with the time that is left for it.
  ClientRequest request() const;
  const Destination& destination() const noexcept { return to_; }
  /// Returns how far the attempt came.
  Stage stage() const noexcept { return stage_of(step_, route_); }
  /// The times of its stages. The owner adds those of the steps after on_way_open().
  StageClock& clock() noexcept { return clock_; }

 private:
  enum class Progress : std::uint8_t { done, waits, over };
  // Connects an answer that comes from another thread with this object, if it still exists.
  struct Link {
    LoopAttempt* attempt;
  };

  ~LoopAttempt() = default;
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;
  void on_retired() noexcept override { delete this; }

  Step next() noexcept;
  void run(Step step) noexcept;
  Progress take(Step step);
  Progress resolve(const Endpoint& name);
  static void answer(net::Mailbox& mailbox, std::shared_ptr<Link> link,
                     Result<net::Addresses> found) noexcept;
  void on_resolved(Result<net::Addresses> found) noexcept;
  Progress use_addresses(Result<net::Addresses> found);
  Progress race();
  void on_raced(Result<net::Fd> socket) noexcept;
  Progress take_socket();
  Progress connect_unix();
  Progress secure_proxy();
  Progress tunnel();
  Progress on_tunnel();
  Progress wrap(const TlsClient& options, const std::string& name, std::uint16_t port,
                tls::Scratch& scratch);
  Progress watch(std::uint32_t events);
  void stop_watching() noexcept;
  Progress fail(Error failure) noexcept;
  net::Transport& transport();
  Error late() const;

  net::LoopCore& core_;
  ClientGroup& group_;
  Owner* owner_;  // null once closed
  Destination to_;
  const TimePoint deadline_;
  StageClock clock_;
  net::Fd given_;
  std::shared_ptr<Link> link_{};  // of the look-up, and of its answer while that is posted
  net::Lookup lookup_{};
  Route route_{};
  Step step_ = Step::find_route;
  net::Addresses addresses_{};
  std::unique_ptr<LoopRace> race_{};
  Way way_{};
  std::optional<Tunnel> tunnel_{};
  std::uint32_t watched_ = 0;  // events of the transport, while the tunnel is made
};

}  // namespace tern::client
