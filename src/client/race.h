#pragma once

#include "tern/error.h"

#include "net/address.h"
#include "net/resolver.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace tern::client {

/// The race of a client to the addresses of a server, without sockets: when each attempt begins and
/// which one wins. So an address that drops packets delays the others only a little. RFC 8305 §5.
class Race {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  /// RFC 8305 §5, "Connection Attempt Delay".
  static constexpr std::chrono::milliseconds attempt_delay{250};

  /// Takes the addresses in the order in which they are tried; at least one.
  explicit Race(net::Addresses addresses) : entries_(addresses.begin(), addresses.end()) {}

  /// Returns the number of the address to which an attempt must begin now, and counts it as begun.
  /// Returns nothing if none is due.
  std::optional<std::size_t> start_next(TimePoint now) noexcept;
  /// The attempt to this address failed.
  void fail(std::size_t attempt, std::error_code why) noexcept;
  /// Returns the time at which start_next() may return an address; time_point::max(): never.
  TimePoint next_start() const noexcept;
  /// Returns whether all attempts failed.
  bool is_lost() const noexcept { return failed_ == entries_.size(); }

  const net::Address& address(std::size_t attempt) const noexcept {
    return entries_[attempt].address;
  }
  /// Returns an error that names every address that was tried: "connect [::1]:80 (Connection
  /// refused), 127.0.0.1:80: ", and then the text of `why`, or of the last failure.
  Error error(std::optional<std::error_code> why = {}) const;

 private:
  struct Entry {
    explicit Entry(const net::Address& to) noexcept : address(to) {}
    net::Address address;
    std::error_code failure{};  // no error: it was not begun or it runs
  };

  std::vector<Entry> entries_;
  std::size_t started_ = 0;
  std::size_t failed_ = 0;
  std::size_t last_failure_ = 0;
  TimePoint next_start_{};
};

}  // namespace tern::client
