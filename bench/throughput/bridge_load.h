// Publications that go in at one socket and come out at others.
#pragma once

#include "net/fd.h"
#include "throughput/latency.h"
#include "throughput/system.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tern::bench {

/// The bytes of one publication on the wire of the publisher. The socket does not block.
struct Source {
  net::Fd socket{};
  std::vector<std::byte> request{};
};

struct BridgeLoadOptions {
  std::size_t in_flight = 1;  ///< publications that have not reached all subscribers
  std::size_t at_once = 1;    ///< publications of one send
  Seconds warm_up{0.2};
  Seconds duration{1.0};
  Seconds rest{2};  ///< without a delivery, the missing publications are lost
};

struct BridgeLoadResult {
  std::uint64_t publications = 0;
  std::uint64_t lost = 0;  ///< deliveries, warm-up included
  double seconds = 0;
  LatencySummary latency{};  ///< until the last delivery; with one in flight only

  double per_second() const noexcept { return static_cast<double>(publications) / seconds; }
};

class BridgeLoad {
 public:
  /// `sinks`: sockets of subscribers that do not block; nothing waits in them. One publication goes
  /// through, so that the size of a delivery is known. Throws std::runtime_error when it does not
  /// reach all of them within ten seconds, and std::system_error.
  BridgeLoad(Source source, std::vector<net::Fd> sinks);

  /// Publishes. `around` is called before and after the measured time.
  template <class F>
  BridgeLoadResult run(const BridgeLoadOptions& options, F&& around) {
    publish_for(options, options.warm_up);
    around();
    BridgeLoadResult result = publish_for(options, options.duration);
    around();
    result.lost = lost_;
    return result;
  }
  /// Publishes one and does not wait for its deliveries.
  void publish() { send(1); }

 private:
  struct Sink {
    net::Fd socket;
    std::uint64_t bytes = 0;
    std::uint64_t each = 0;  // bytes of a delivery
  };

  void learn_sizes();
  void wait_for_silence();
  BridgeLoadResult publish_for(const BridgeLoadOptions& options, Seconds duration);
  void send(std::size_t publications);
  bool receive(int timeout);
  void forget_lost();
  void drain(Sink& sink);

  Source source_;
  std::vector<std::byte> requests_{};  // several
  net::Fd epoll_{};
  std::vector<Sink> sinks_{};
  Clock::time_point sent_{};  // the last publication
  std::uint64_t published_ = 0;
  std::uint64_t complete_ = 0;  // publications that reached all
  std::uint64_t lost_ = 0;
  std::uint64_t deliveries_ = 0;
};

}  // namespace tern::bench
