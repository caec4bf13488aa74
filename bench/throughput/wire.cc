// One recv reads all records that are available, and one send writes all that wait.
#include "throughput/wire.h"

#include "throughput/system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr int patience_ms = 5'000;

void wait_for(const Wire& wire, short events) {
  pollfd ready{.fd = wire.socket(), .events = events, .revents = 0};
  if (::poll(&ready, 1, patience_ms) != 1) {
    throw std::runtime_error(events == POLLIN ? "no reply for five seconds"
                                              : "the server read nothing for five seconds");
  }
}

}  // namespace

Wire::Wire(net::Fd socket, ClientTls* tls) : socket_(std::move(socket)), tls_(tls) {
  if (tls_ == nullptr) return;
  Shaken shaken = shake_hands(socket_.get(), *tls_);
  keys_ = std::move(shaken.keys);
  partial_ = std::move(shaken.ahead);
}

ssize_t Wire::receive(void* into, std::size_t most, int flags) {
  if (is_tls()) return receive_tls({static_cast<std::byte*>(into), most});
  const ssize_t got = ::recv(socket_.get(), into, most, flags);
  if (got > 0) received_ += static_cast<std::uint64_t>(got);
  return got;
}

ssize_t Wire::receive_tls(std::span<std::byte> into) {
  if (!held_.empty()) return static_cast<ssize_t>(give_held(into));
  for (;;) {
    const std::span<std::byte> buffer = tls_->in;
    std::ranges::copy(partial_, buffer.begin());
    const std::size_t had = partial_.size();
    const ssize_t got = ::recv(socket_.get(), buffer.data() + had, buffer.size() - had, 0);
    dry_ = got < static_cast<ssize_t>(buffer.size() - had);
    if (got <= 0) return got;
    received_ += static_cast<std::uint64_t>(got);
    const std::size_t opened =
        open_records(buffer.first(had + static_cast<std::size_t>(got)), into);
    if (opened > 0) return static_cast<ssize_t>(opened);
  }
}

std::size_t Wire::give_held(std::span<std::byte> into) {
  const std::size_t size = std::min(into.size(), held_.size());
  std::memcpy(into.data(), held_.data(), size);
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(size));
  return size;
}

// Opens records to `into` while it has room for one more whole record, then to `held_`.
std::size_t Wire::open_records(std::span<const std::byte> bytes, std::span<std::byte> into) {
  std::size_t total = 0;
  RecordKey& key = (*keys_)[0];
  for (;;) {
    const std::size_t size = record_bytes(bytes);
    if (size == 0 || size > bytes.size()) break;
    if (held_.empty() && into.size() - total >= size) {
      total += key.open(bytes.first(size), into.data() + total);
    } else {
      const std::size_t at = held_.size();
      held_.resize(at + size);
      held_.resize(at + key.open(bytes.first(size), held_.data() + at));
    }
    bytes = bytes.subspan(size);
  }
  partial_.assign(bytes.begin(), bytes.end());
  return total > 0 || held_.empty() ? total : give_held(into);
}

ssize_t Wire::send(std::span<const std::byte> bytes) {
  if (!is_tls()) return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (!flush()) return -1;
  if (has_unsent()) {
    errno = EAGAIN;
    return -1;
  }
  tls_->out.clear();
  (*keys_)[1].seal(bytes, tls_->out);
  return send_out(tls_->out, unsent_) ? static_cast<ssize_t>(bytes.size()) : -1;
}

bool Wire::flush() noexcept {
  return unsent_.empty() || send_out(std::exchange(unsent_, {}), unsent_);
}

bool Wire::send_out(std::span<const std::byte> bytes, std::vector<std::byte>& rest) noexcept {
  const ssize_t put = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (put < 0 && errno != EAGAIN) return false;
  const auto left = bytes.subspan(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
  rest.assign(left.begin(), left.end());
  return true;
}

void send_waiting(Wire& wire, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = wire.send(bytes);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      wait_for(wire, POLLOUT);
    } else {
      throw_errno("send");
    }
  }
  while (wire.has_unsent()) {
    wait_for(wire, POLLOUT);
    if (!wire.flush()) throw_errno("send");
  }
}

std::size_t receive_waiting(Wire& wire, std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = wire.receive(into.data(), into.size(), 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) throw std::runtime_error("the server closed a connection");
    if (errno != EAGAIN) throw_errno("recv");
    wait_for(wire, POLLIN);
  }
}

}  // namespace tern::bench
