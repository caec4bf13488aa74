#pragma once

#include "tern/error.h"

#include "client/proxy.h"
#include "http/body.h"
#include "http/head.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::client {

/// The client's side of HTTP CONNECT, without I/O. Any 2xx opens the tunnel, by HTTP/1.1 or 1.0;
/// at most 16 interim answers are skipped. An answer with its interim answers is at most 64 KiB
/// longer than Limits::max_head_bytes, so that a hostile proxy cannot keep the client busy.
/// RFC 9110 §9.3.6.
class HttpConnect {
 public:
  /// Asks `proxy` for a tunnel to a host (an IPv6 address without brackets) and a port.
  /// Lifetime: `proxy` until the end of the handshake. Throws std::bad_alloc.
  HttpConnect(const ProxyServer& proxy, std::string_view host, std::uint16_t port,
              std::string_view user_agent, const Limits& limits);

  /// The bytes that wait to be sent. Lifetime of the view: until consume().
  std::string_view output() const noexcept { return std::string_view(request_).substr(sent_); }
  /// These many bytes of output() were sent.
  void consume(std::size_t bytes) noexcept { sent_ += bytes; }

  /// Takes input up to the end of the handshake and returns how many bytes those were.
  /// Throws std::bad_alloc.
  std::size_t feed(std::span<const std::byte> input);
  /// The proxy ended the stream. Throws std::bad_alloc.
  void end_of_input();

  ProxyStatus status() const noexcept { return status_; }
  /// Why it failed: proxy_failed, proxy_refused or proxy_auth_required, the last two with the
  /// proxy's answer.
  const Error& error() const noexcept { return error_; }

 private:
  std::size_t take(std::span<const std::byte> input);
  void on_head();
  void refuse();
  void fail(std::string_view why);

  const ProxyServer& proxy_;
  const Limits limits_;
  std::string request_{};
  std::size_t sent_ = 0;
  std::size_t left_ = 0;          // bytes that the proxy may still send
  unsigned interim_answers_ = 0;  // that were skipped
  http::HeadParser head_{};
  std::optional<http::BodyReader> body_{};  // of an answer that refuses
  ProxyStatus status_ = ProxyStatus::more;
  Error error_{std::error_code()};
};

}  // namespace tern::client
