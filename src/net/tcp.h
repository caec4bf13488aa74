#pragma once

#include "net/fd.h"
#include "net/transport.h"

namespace tern::net {

/// A connected, non-blocking TCP socket.
class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(Fd socket) noexcept : socket_(std::move(socket)) {}

  Transfer read(std::span<const iovec> into) noexcept override;
  Transfer write(std::span<const iovec> from) noexcept override;
  Transfer write_with_file(std::span<const iovec> from, const FilePart& file) noexcept override;
  int fd() const noexcept override { return socket_.get(); }
  void shutdown_write() noexcept override;
  PeerProgress delivery() const noexcept override;

 private:
  Transfer put(std::span<const iovec> from, int flags) noexcept;

  Fd socket_;
  std::uint32_t written_ = 0;  // modulo 2^32
};

static_assert(sizeof(TcpTransport) == 16);

}  // namespace tern::net
