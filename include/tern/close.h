// The end of a connection: close codes, and the information that on_close receives (RFC 6455 §7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

namespace tern {

/// The status code of a Close frame. Codes of an application (3000-4999) have no name here: make
/// them with to_close_code(). RFC 6455 §7.4.1 and the IANA registry.
enum class CloseCode : std::uint16_t {
  normal = 1000,               ///< the purpose of the connection is fulfilled
  going_away = 1001,           ///< a server stops, or a browser leaves the page
  protocol_error = 1002,       ///< the peer broke RFC 6455
  unsupported_data = 1003,     ///< a type of data that this endpoint does not accept
  no_status = 1005,            ///< never sent: the peer's Close frame had no code
  abnormal = 1006,             ///< never sent: no Close frame arrived
  invalid_payload = 1007,      ///< text that is not UTF-8, or corrupt compressed data
  policy_violation = 1008,     ///< none of the others fits
  message_too_big = 1009,      ///< over the limit of this endpoint
  mandatory_extension = 1010,  ///< a client needs an extension that was not agreed on
  internal_error = 1011,       ///< the server met a condition it did not expect
  service_restart = 1012,      ///< the client may connect again after some delay
  try_again_later = 1013,      ///< overloaded
  bad_gateway = 1014,          ///< a gateway got an invalid answer
};

/// Whether `code` may stand in a Close frame: 1000-1003, 1007-1014, 3000-4999 (RFC 6455 §7.4).
constexpr bool may_be_sent(CloseCode code) noexcept {
  const auto value = static_cast<std::uint16_t>(code);
  return (value >= 1000 && value <= 1003) || (value >= 1007 && value <= 1014) ||
         (value >= 3000 && value <= 4999);
}

/// Returns the code of a number, or nothing if the code may not be sent (see may_be_sent).
constexpr std::optional<CloseCode> to_close_code(int value) noexcept {
  if (value < 0 || value > 0xFFFF || !may_be_sent(static_cast<CloseCode>(value))) return {};
  return static_cast<CloseCode>(value);
}

/// The end of a connection. on_close receives exactly one for each connection.
struct CloseInfo {
  /// The peer's code (`no_status` if its Close frame had none); our code if we failed the
  /// connection; `abnormal` if no Close frame of either side explains the end.
  CloseCode code = CloseCode::abnormal;
  /// The reason of the peer, or our reason if we failed the connection; UTF-8, at most 123 bytes.
  std::string reason{};
  /// The cause if the end was not clean; no error if it was.
  std::error_code error{};
  /// Both sides sent and received a Close frame (RFC 6455 §7.1.4).
  bool clean = false;
  /// The peer's Close frame was the first.
  bool by_peer = false;
  /// on_open was called before.
  bool opened = false;
};

}  // namespace tern
