#pragma once

#include "tern/error.h"

#include "client/proxy.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::client {

/// The client's side of SOCKS5 with or without a name and a password, without I/O.
/// RFC 1928, RFC 1929.
class Socks5 {
 public:
  /// Asks `proxy` for a connection to `host`, which is a name or a numeric address (IPv6 without
  /// brackets). Lifetime: `proxy` until the end of the handshake. Throws std::bad_alloc.
  Socks5(const ProxyServer& proxy, std::string_view host, std::uint16_t port);

  /// Returns the bytes that wait to be sent. Lifetime of the view: until consume() or feed().
  std::string_view output() const noexcept { return std::string_view(output_).substr(sent_); }
  /// Removes bytes of output() that were sent.
  void consume(std::size_t bytes) noexcept { sent_ += bytes; }

  /// Takes input up to the end of the handshake and returns how many bytes those were.
  /// Throws std::bad_alloc.
  std::size_t feed(std::span<const std::byte> input);
  /// Notes that the proxy ended the stream. Throws std::bad_alloc.
  void end_of_input();

  ProxyStatus status() const noexcept { return status_; }
  /// Why it failed: proxy_failed; proxy_auth_required if the name and the password are missing or
  /// not accepted; proxy_refused if the rules of the proxy forbid the connection.
  const Error& error() const noexcept { return error_; }
  /// The reply of the proxy that refused to connect (RFC 1928 §6); 0: there was none.
  std::uint8_t reply() const noexcept { return reply_; }

 private:
  enum class State : std::uint8_t { method, authentication, reply, bound_name, bound_address };

  void say(std::string_view bytes);
  void expect(State state, std::size_t bytes) noexcept;
  void on_answer();
  void on_method();
  void on_reply();
  void ask_for_connection();
  void fail(Errc errc, std::string_view why);

  const ProxyServer& proxy_;
  const std::string host_;
  const std::uint16_t port_;
  std::string output_{};
  std::size_t sent_ = 0;
  State state_ = State::method;
  std::array<std::byte, 262> answer_{};  // the longest: a bound address that is a name
  std::size_t have_ = 0;                 // bytes of answer_
  std::size_t need_ = 0;                 // bytes that the state waits for
  std::uint8_t reply_ = 0;
  ProxyStatus status_ = ProxyStatus::more;
  Error error_{std::error_code()};
};

}  // namespace tern::client
