// A bridge that drives a Link on a thread of its own. It is the same for each kind of broker.
#pragma once

#include "tern/bridge.h"

#include "bridge/link.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tern::bridge {

/// The times of a driver. The defaults are those of the documentation; tests have others.
struct DriverOptions {
  /// The wait before an attempt to connect is a random time between `first_wait` and a bound. The
  /// bound is twice `first_wait` at first, doubles with each failure in a row, and is at most
  /// `longest_wait`.
  std::chrono::nanoseconds first_wait = std::chrono::milliseconds(50);
  std::chrono::nanoseconds longest_wait = std::chrono::seconds(5);
  /// A broker that is silent for so long receives a ping, then one after each further time. After
  /// `missed_pings` of them without an answer the connection is lost.
  std::chrono::nanoseconds ping_interval = std::chrono::seconds(5);
  unsigned missed_pings = 2;
  /// Without a publication for so long, a probe must come back within `probe_timeout`.
  std::chrono::nanoseconds probe_after = std::chrono::seconds(15);
  std::chrono::nanoseconds probe_timeout = std::chrono::seconds(5);
  /// The number of topics in one call of Link::subscribe().
  std::size_t batch = 1000;
};

class Thread;

/// Owns a link and its thread. The thread begins in attach() and ends in detach().
///
///  - Publications wait in a bounded queue (BridgeOptions::buffer_bytes and buffer_time). publish()
///    holds a lock only to append a pointer to it.
///  - The thread connects to the servers of the list in turn, waits between failed attempts, and
///    subscribes all topics that are wanted in batches. Then it calls BridgeSink::gap() for each of
///    them, unless it is the first connection and the topic is wanted only since then.
///  - It notices a connection that is dead, or that delivers nothing (DriverOptions).
class Driver final : public Bridge {
 public:
  /// Throws std::bad_alloc.
  explicit Driver(std::unique_ptr<Link> link, const DriverOptions& options = {});
  ~Driver() override;

  std::string problem() const override;
  bool is_durable() const noexcept override;
  Result<void> attach(BridgeSink& sink, const BridgeOptions& options) override;
  bool interest(std::string_view topic, bool wanted) noexcept override;
  PublishStatus publish(std::string_view topic, const SharedMessage& message,
                        const Origin& origin) noexcept override;
  bool history(std::string_view topic, Position after, std::size_t count) noexcept override;
  void detach(std::chrono::nanoseconds deadline) noexcept override;
  BridgeCounters counters() const override;

 private:
  std::unique_ptr<Thread> thread_;
};

}  // namespace tern::bridge
