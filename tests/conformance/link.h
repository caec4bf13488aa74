// The way of bytes from the tester to the subject and back, after the opening handshake.
#pragma once

#include "tern/engine.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace tern::conformance {

/// The result of a read.
struct Read {
  enum class State { bytes, nothing, fin, reset };
  State state = State::nothing;
  std::string bytes{};
};

/// The time after which the tester gives up. It is long, because machines are busy.
inline constexpr std::chrono::milliseconds patience{30'000};
/// The time for which the tester checks that the subject stays silent.
inline constexpr std::chrono::milliseconds quiet{100};
/// The time for which it checks that a client waits for the end of TCP, as required.
inline constexpr std::chrono::milliseconds glance{5};

/// A connection to the subject: tern, in the role subject().
class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  /// The compression that the opening handshake agreed on, from the side of the tester.
  std::optional<DeflateAgreement> agreed{};

  virtual Role subject() const = 0;
  /// Makes one write. False when the subject is gone. Bytes that arrive meanwhile wait for read().
  virtual bool write(std::string_view bytes) = 0;
  /// Returns the next bytes, or the end of TCP, within the limit.
  virtual Read read(std::chrono::milliseconds limit) = 0;
  /// Ends our side of TCP.
  virtual void finish() = 0;
};

}  // namespace tern::conformance
