#pragma once

#include "net/proxy_header.h"
#include "net/tcp.h"

#include <memory>

namespace tern::net {

/// A TCP connection that must begin with a PROXY header. read() removes the header. TLS, if there
/// is any, begins behind it. Errors: read() fails with Errc::proxy_header_invalid, and
/// explanation() says why.
class ProxyTransport final : public Transport {
 public:
  /// Returns null if memory is out.
  static std::unique_ptr<ProxyTransport> make(Fd socket) noexcept;

  Transfer read(std::span<const iovec> into) noexcept override;
  Transfer write(std::span<const iovec> from) noexcept override { return tcp_.write(from); }
  Transfer write_with_file(std::span<const iovec> from, const FilePart& file) noexcept override {
    return tcp_.write_with_file(from, file);
  }
  int fd() const noexcept override { return tcp_.fd(); }
  void shutdown_write() noexcept override { tcp_.shutdown_write(); }
  PeerProgress delivery() const noexcept override { return tcp_.delivery(); }
  std::string explanation() const override {
    return parser_ == nullptr ? std::string() : std::string(parser_->why());
  }
  const ProxiedClient* proxied() const noexcept override { return client_.get(); }

 private:
  ProxyTransport(Fd socket, std::unique_ptr<ProxyHeaderParser> parser) noexcept
      : tcp_(std::move(socket)), parser_(std::move(parser)) {}
  Transfer read_header(std::span<const iovec> into);

  TcpTransport tcp_;
  std::unique_ptr<ProxyHeaderParser> parser_;  // until the header is complete
  std::unique_ptr<ProxiedClient> client_{};    // from then on
};

}  // namespace tern::net
