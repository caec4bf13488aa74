// Brokers for measurements, and sockets that speak their protocols as cheaply as possible.
#pragma once

#include "net/fd.h"
#include "throughput/child.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

enum class BrokerKind : std::uint8_t { nats, redis };
std::string_view to_string(BrokerKind kind) noexcept;

/// Returns the path of the server's program, or nothing if it is not installed.
std::optional<std::string> program_of(BrokerKind kind);

/// A server of a package on a port of 127.0.0.1 that the system chose. It keeps nothing on disk.
class Broker {
 public:
  /// Waits until it accepts. Throws std::runtime_error when it does not within ten seconds, and
  /// std::system_error.
  Broker(BrokerKind kind, int core, bool realtime);
  /// Ends it, also if it is paused.
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  BrokerKind kind() const noexcept { return kind_; }
  std::uint16_t port() const noexcept { return port_; }
  std::string url() const;
  pid_t pid() const noexcept { return child_.pid(); }
  /// SIGSTOP: it answers nothing, and its connections stay.
  void pause() const noexcept;
  void resume() const noexcept;
  /// SIGKILL.
  void kill() const noexcept;

 private:
  BrokerKind kind_;
  std::uint16_t port_;
  Child child_;
};

/// Connects, and greets. The socket does not block afterwards. Throws std::runtime_error and
/// std::system_error.
net::Fd connect_to(const Broker& broker);
/// The same, with a subscription that the broker has confirmed.
net::Fd subscribe_to(const Broker& broker, std::string_view channel);
/// The bytes that publish `payload`.
std::vector<std::byte> publication(BrokerKind kind, std::string_view channel,
                                   std::string_view payload);

}  // namespace tern::bench
