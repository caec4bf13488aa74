// The load of a fan-out: one publisher, and subscribers that count bytes.
#pragma once

#include "net/fd.h"
#include "throughput/frames.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"
#include "throughput/wire.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

struct FanOptions {
  std::string url{};
  std::size_t subscribers = 1'000;
  std::size_t size = 100;     ///< bytes of payload
  std::size_t in_flight = 1;  ///< publications that have not reached all subscribers
  std::size_t at_once = 1;    ///< publications of one send, at most `in_flight`
  PayloadKind kind = PayloadKind::binary;
  bool deflate = false;  ///< subscribers agree to compression, without context takeover
  Seconds warm_up{0.2};
  Seconds duration{1.0};  ///< at least this time, and at least five publications
  pid_t server = 0;       ///< measure the CPU time of this process; 0: none
};

struct FanResult {
  std::uint64_t deliveries = 0;
  double seconds = 0;
  double client_busy = 0;       ///< share of the time; at 1 the client was the limit
  double server_busy = 0;       ///< cores; 0 when not measured
  std::size_t frame_bytes = 0;  ///< bytes of a delivery, without TLS records

  double per_second() const noexcept { return static_cast<double>(deliveries) / seconds; }
  /// Microseconds of the server's CPU time.
  double server_us_each() const noexcept {
    return server_busy * seconds * 1e6 / static_cast<double>(deliveries);
  }
};

class FanLoad {
 public:
  /// Connects. The server sends the messages of each connection to all others. Then one publication
  /// goes to all subscribers, and each of them compares it. Throws std::runtime_error when a
  /// delivery is wrong, and as connect_and_upgrade().
  explicit FanLoad(const FanOptions& options);

  /// Publishes for the warm-up and for the duration. At the end every subscriber must have received
  /// as many bytes as was published. Throws std::runtime_error if not, when a connection ends, or
  /// when nothing arrives for five seconds, and std::system_error.
  FanResult run();
  /// Publishes once every `interval` and sleeps between the deliveries, until the process ends. A
  /// publication that is not complete does not delay the next one. Throws as run().
  [[noreturn]] void publish_every(std::chrono::milliseconds interval);

 private:
  struct Subscriber {
    Wire wire;
    std::uint64_t bytes = 0;
  };
  struct Snapshot {
    Clock::time_point at{};
    std::uint64_t bytes = 0;
    Clock::duration idle{};
    std::chrono::nanoseconds server_cpu{};
  };

  void compare_first();
  void publish_for(Seconds duration);
  void check_all() const;
  void publish(std::size_t messages);
  std::uint64_t complete() const noexcept { return bytes_ / round_bytes_; }
  bool receive(int timeout);
  void drain(Subscriber& subscriber);
  void turn();
  Snapshot snapshot() const;

  FanOptions options_;
  Target target_;
  std::string payload_;
  std::vector<std::byte> requests_;  // `at_once` of them
  std::size_t request_bytes_ = 0;
  std::size_t frame_bytes_ = 0;
  std::uint64_t round_bytes_ = 0;  // of one publication, for all subscribers
  net::Fd epoll_{};
  std::vector<Subscriber> subscribers_{};
  std::vector<Wire> publisher_{};  // one
  std::vector<std::byte> buffer_;
  std::uint64_t published_ = 0;  // since the first one
  std::uint64_t bytes_ = 0;      // received by all subscribers, also since the first one
  Clock::time_point last_{};
  Clock::time_point last_delivery_{};
  Clock::duration idle_{};
};

/// The URL of another route of a server that prints the URL of its echo.
std::string route_of(const std::string& echo_url, const std::string& path);

}  // namespace tern::bench
