// The lines of --json: one JSON object for each event.
#pragma once

#include "tern/client.h"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace command {

/// Each function returns one line without its end. "t" is the time since the start in seconds.
class Events {
 public:
  using Clock = std::chrono::steady_clock;

  /// `ascii`: the line has no byte above 126, so that it cannot control a terminal. `with_date`:
  /// "time" is the time of day.
  Events(bool ascii, bool with_date) noexcept : ascii_(ascii), with_date_(with_date) {}

  std::string attempt(std::size_t number, std::string_view url) const;
  std::string open(const tern::Connection& connection, std::string_view url) const;
  std::string message(tern::Message message) const;
  enum class Direction : std::uint8_t { in, out };
  std::string ping(std::span<const std::byte> payload, Direction direction) const;
  std::string pong(std::span<const std::byte> payload, std::optional<double> rtt_ms) const;
  std::string close(const tern::CloseInfo& end) const;
  std::string error(const tern::Error& failure, tern::Stage stage) const;
  /// An error of the command itself.
  std::string error(std::string_view text) const;

  /// The time since the start in seconds.
  double now() const noexcept;

 private:
  const bool ascii_;
  const bool with_date_;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace command
