// Holds a transport of any kind in 16 bytes.
#pragma once

#include "net/tcp.h"
#include "net/transport.h"

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>

namespace tern::connection {

/// The transport of a connection on a loop. Plain TCP is stored inside, because there may be very
/// many such connections. Any other transport is behind a pointer.
class TransportBox {
 public:
  explicit TransportBox(net::Fd socket) noexcept {
    ::new (bytes_) net::TcpTransport(std::move(socket));
  }
  explicit TransportBox(std::unique_ptr<net::Transport> other) noexcept {
    ::new (bytes_) Elsewhere(std::move(other));
  }
  TransportBox(const TransportBox&) = delete;
  TransportBox& operator=(const TransportBox&) = delete;
  ~TransportBox() { get().~Transport(); }

  net::Transport& operator*() noexcept { return get(); }
  const net::Transport& operator*() const noexcept { return get(); }
  net::Transport* operator->() noexcept { return &get(); }
  const net::Transport* operator->() const noexcept { return &get(); }

 private:
  class Elsewhere final : public net::Transport {
   public:
    explicit Elsewhere(std::unique_ptr<net::Transport> to) noexcept : to_(std::move(to)) {}

    Transfer read(std::span<const iovec> into) noexcept override { return to_->read(into); }
    Transfer write(std::span<const iovec> from) noexcept override { return to_->write(from); }
    Transfer write_with_file(std::span<const iovec> from,
                             const net::FilePart& file) noexcept override {
      return to_->write_with_file(from, file);
    }
    int fd() const noexcept override { return to_->fd(); }
    void shutdown_write() noexcept override { to_->shutdown_write(); }
    bool has_unsent() const noexcept override { return to_->has_unsent(); }
    Transfer flush() noexcept override { return to_->flush(); }
    PeerProgress delivery() const noexcept override { return to_->delivery(); }
    bool is_ready() const noexcept override { return to_->is_ready(); }
    std::optional<std::chrono::steady_clock::time_point> ready_since() const noexcept override {
      return to_->ready_since();
    }
    std::string explanation() const override { return to_->explanation(); }
    std::string peer_subject() const override { return to_->peer_subject(); }
    const net::ProxiedClient* proxied() const noexcept override { return to_->proxied(); }

   private:
    std::unique_ptr<net::Transport> to_;
  };

  net::Transport& get() noexcept {
    return *std::launder(reinterpret_cast<net::Transport*>(bytes_));
  }
  const net::Transport& get() const noexcept {
    return *std::launder(reinterpret_cast<const net::Transport*>(bytes_));
  }

  static_assert(sizeof(net::TcpTransport) == 16 && sizeof(Elsewhere) == 16);
  alignas(net::TcpTransport) std::byte bytes_[16];
};

}  // namespace tern::connection
