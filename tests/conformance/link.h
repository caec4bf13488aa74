// How octets get from the tester to the subject and back, once the opening handshake is done.
#pragma once

#include "tern/engine.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace tern::conformance {

/// What a read found.
struct Read {
  enum class State { octets, nothing, fin, reset };
  State state = State::nothing;
  std::string octets{};
};

/// What anything may take before the tester gives up; generous, since machines are busy.
inline constexpr std::chrono::milliseconds patience{30'000};
/// How long the tester looks whether the subject stays silent.
inline constexpr std::chrono::milliseconds quiet{100};
/// How long it looks whether a client waits for the end of TCP, as it should.
inline constexpr std::chrono::milliseconds glance{5};

/// A connection to the subject: tern, in the role subject().
class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  /// What the opening handshake agreed on about compression, as the tester sees it.
  std::optional<DeflateAgreement> agreed{};

  virtual Role subject() const = 0;
  /// One write; false when the subject has gone. What comes meanwhile is kept for read().
  virtual bool write(std::string_view octets) = 0;
  /// The next octets, or the end of TCP, within the limit.
  virtual Read read(std::chrono::milliseconds limit) = 0;
  /// Ends our side of TCP.
  virtual void finish() = 0;
};

}  // namespace tern::conformance
