// Moves the bytes of a handshake with a proxy. Nothing may follow the proxy's answer: the client
// speaks first, in TLS as in WebSocket, so bytes behind the answer cannot come from the server.
#include "client/tunnel.h"

#include <array>
#include <span>

namespace tern::client {
namespace {

constexpr std::size_t buffer_bytes = 4096;  // an answer has some hundred bytes

bool speaks_http(const ProxyServer& proxy) noexcept {
  return proxy.protocol == ProxyServer::Protocol::http ||
         proxy.protocol == ProxyServer::Protocol::https;
}

// Calls `function` with the handshake, of either kind.
template <class Handshake, class F>
decltype(auto) with(Handshake& handshake, F&& function) {
  if (auto* http = std::get_if<HttpConnect>(&handshake)) return function(*http);
  return function(*std::get_if<Socks5>(&handshake));
}

}  // namespace

Tunnel::Tunnel(const ProxyServer& proxy, std::string_view host, std::uint16_t port,
               std::string_view user_agent, const Limits& limits)
    : proxy_(proxy) {
  if (speaks_http(proxy)) {
    handshake_.emplace<HttpConnect>(proxy, host, port, user_agent, limits);
  } else {
    handshake_.emplace<Socks5>(proxy, host, port);
  }
}

std::string_view Tunnel::request_head() const noexcept {
  const auto* const http = std::get_if<HttpConnect>(&handshake_);
  return http != nullptr ? http->output() : std::string_view();
}

Tunnel::State Tunnel::advance(net::Transport& transport) {
  using Read = net::Transport::State;
  return with(handshake_, [&](auto& handshake) {
    for (;;) {
      if (handshake.status() == ProxyStatus::failed) return fail(handshake.error());
      if (const State state = write(transport); state != State::done) return state;
      if (handshake.status() == ProxyStatus::done) return State::done;

      std::array<std::byte, buffer_bytes> buffer;
      const iovec into{buffer.data(), buffer.size()};
      const auto read = transport.read({&into, 1});
      const auto input = std::span(buffer).first(read.bytes);
      const std::size_t taken = input.empty() ? 0 : handshake.feed(input);
      if (handshake.status() == ProxyStatus::done && taken < input.size()) {
        return fail(Error::described(Errc::proxy_failed,
                                     proxy_.name() + ": it sent bytes behind its answer"));
      }
      if (read.state == Read::wait_read && !read.more) return State::wait_read;
      if (read.state == Read::wait_write) return State::wait_write;
      if (read.state == Read::failed) return fail(transport_error(read.error, transport));
      if (read.state == Read::end) handshake.end_of_input();
    }
  });
}

Tunnel::State Tunnel::write(net::Transport& transport) {
  using Written = net::Transport::State;
  return with(handshake_, [&](auto& handshake) {
    net::Transport::Transfer written;
    while (!handshake.output().empty()) {
      const std::string_view output = handshake.output();
      const iovec from{const_cast<char*>(output.data()), output.size()};
      written = transport.write({&from, 1});
      handshake.consume(written.bytes);
      if (written.state != Written::ok) break;
    }
    if (handshake.output().empty() && transport.has_unsent()) written = transport.flush();
    if (written.state == Written::wait_read) return State::wait_read;
    if (written.state == Written::wait_write) return State::wait_write;
    if (written.state == Written::failed) return fail(transport_error(written.error, transport));
    return State::done;
  });
}

Tunnel::State Tunnel::fail(Error error) noexcept {
  error_ = std::move(error);
  return State::failed;
}

Error Tunnel::transport_error(std::error_code code, const net::Transport& transport) const {
  const std::string explanation = transport.explanation();
  return Error(code,
               explanation.empty() ? proxy_.name() : proxy_.name() + " (" + explanation + ")");
}

}  // namespace tern::client
