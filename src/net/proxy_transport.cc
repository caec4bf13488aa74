// The bytes behind a header may arrive together with it. So each read goes to the caller's room,
// and the header is cut off there. It needs no buffer and, for the usual client, no further read.
#include "net/proxy_transport.h"

#include "tern/error.h"

#include <cstring>
#include <new>
#include <utility>

namespace tern::net {

std::unique_ptr<ProxyTransport> ProxyTransport::make(Fd socket) noexcept {
  std::unique_ptr<ProxyHeaderParser> parser(new (std::nothrow) ProxyHeaderParser);
  if (parser == nullptr) return nullptr;
  return std::unique_ptr<ProxyTransport>(new (std::nothrow)
                                             ProxyTransport(std::move(socket), std::move(parser)));
}

Transport::Transfer ProxyTransport::read(std::span<const iovec> into) noexcept {
  if (parser_ == nullptr) [[likely]]
    return tcp_.read(into);
  try {
    return read_header(into);
  } catch (const std::bad_alloc&) {
    return {.error = Errc::no_memory, .state = State::failed};
  }
}

Transport::Transfer ProxyTransport::read_header(std::span<const iovec> into) {
  const iovec& room = into.front();
  auto* const bytes = static_cast<std::byte*>(room.iov_base);
  while (parser_->status() == ProxyHeaderParser::Status::more) {
    Transfer got = tcp_.read({&room, 1});
    // A peer that sends nothing and leaves is a health check.
    if (got.state == State::end && parser_->started()) break;
    if (got.state != State::ok) return got;
    const std::size_t took = parser_->feed({bytes, got.bytes});
    if (parser_->status() != ProxyHeaderParser::Status::done) continue;
    client_ = std::make_unique<ProxiedClient>(std::move(parser_->client()));
    parser_.reset();
    if (took == got.bytes) return tcp_.read(into);
    got.bytes -= took;
    std::memmove(bytes, bytes + took, got.bytes);
    return got;
  }
  return {.error = Errc::proxy_header_invalid, .state = State::failed};
}

}  // namespace tern::net
