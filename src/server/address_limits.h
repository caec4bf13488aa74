// The limits for each address of a client: connections at a time, and upgrades in a second.
#pragma once

#include "tern/server.h"

#include "net/address.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace tern::server {

/// A client as the limits see it: an IPv4 address, or the first 64 bits of an IPv6 address, because
/// a client may use all addresses behind them (RFC 6177 §2).
enum class ClientKey : std::uint64_t {};

ClientKey key_of(const net::Address& address) noexcept;
/// Returns the key of an address without a port; nothing for any other text, as "unix:".
std::optional<ClientKey> key_of(std::string_view host) noexcept;

/// Counts for all workers. It remembers the clients that have connections, and at most
/// `most_others` clients without connections that upgraded in the last second; beyond that it
/// forgets those that upgraded first. No I/O and no clock. Thread: any.
class AddressLimits {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit AddressLimits(PerAddress limits, std::size_t most_others = 65'536)
      : limits_(limits), most_others_(most_others) {}

  bool is_on() const noexcept { return counts_connections() || counts_upgrades(); }
  bool counts_connections() const noexcept { return limits_.connections != 0; }
  bool counts_upgrades() const noexcept { return limits_.upgrades_per_second != 0; }

  /// Counts a connection. Returns false, and counts nothing, if the client has as many as it may,
  /// or if memory is out.
  bool connect(ClientKey client) noexcept;
  /// A connection that was counted has ended.
  void disconnect(ClientKey client) noexcept;
  /// Counts an upgrade. Returns false, and counts nothing, if there were as many as may be in a
  /// second, or if memory is out. They may come all at once; then each later one has to wait its
  /// share of a second.
  bool upgrade(ClientKey client, TimePoint now) noexcept;

  /// The number of clients that it remembers.
  std::size_t size() const noexcept;

 private:
  struct Client {
    std::size_t connections = 0;
    TimePoint paid_until{};  // when its upgrades so far would be over, one after the other
    bool in_upgraded = false;
  };
  struct Hash {
    std::size_t operator()(ClientKey key) const noexcept;
    std::uint64_t seed;
  };

  void forget_old(TimePoint now) noexcept;

  const PerAddress limits_;
  const std::size_t most_others_;
  mutable std::mutex mutex_{};
  // Guarded by mutex_.
  std::unordered_map<ClientKey, Client, Hash> clients_{
      0, Hash{reinterpret_cast<std::uintptr_t>(this)}};
  std::deque<ClientKey> upgraded_{};  // about in the order of paid_until
};

}  // namespace tern::server
