// Many WebSocket clients without tern's code, served by one thread. None of them ever blocks, so
// some can be slow, silent or hostile while the others continue.
#pragma once

#include "support/upgrade_text.h"
#include "support/wire.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {

class CrowdClient {
 public:
  /// Connects to this address of loopback. `receive_buffer` is SO_RCVBUF; a client that reads
  /// slowly uses a small one.
  explicit CrowdClient(std::uint16_t port, int receive_buffer = 0,
                       in_addr_t address = INADDR_LOOPBACK)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address);
    ended_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0;
    error_ = ended_ ? errno : 0;
  }
  CrowdClient(const CrowdClient&) = delete;
  CrowdClient& operator=(const CrowdClient&) = delete;
  ~CrowdClient() { close(); }

  int fd() const { return fd_; }
  /// Whether TCP has ended by either side, or was never connected.
  bool ended() const { return ended_; }
  /// The errno of that end; 0 after a FIN.
  int error() const { return error_; }
  /// The head of the answer; empty until it is complete.
  const std::string& head() const { return head_; }
  bool open() const { return head_.starts_with("HTTP/1.1 101 "); }
  /// The error in the frames; empty if there is none.
  const std::string& fault() const { return reader_.fault(); }

  /// Sends as many bytes as the socket takes now. The rest is sent when poll reports room.
  void send(std::string_view bytes) {
    out_.erase(0, std::exchange(sent_, 0));
    out_ += bytes;
    write();
  }
  void send(const Frame& frame) { send(wire(Role::client, frame)); }
  void upgrade(std::string_view target = "/echo") { send(upgrade_request({}, target)); }
  std::size_t unsent() const { return out_.size() - sent_; }

  /// Ends our half of TCP with a FIN.
  void finish() { ::shutdown(fd_, SHUT_WR); }
  /// Ends TCP with RST.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    ended_ = true;
  }

  short interest() const {
    if (ended_) return 0;
    return static_cast<short>(POLLIN | (unsent() == 0 ? 0 : POLLOUT));
  }
  void on_ready(short events) {
    if ((events & POLLOUT) != 0) write();
    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0) read();
  }
  /// Reads at most `most` of the available bytes.
  void read(std::size_t most = 256 << 10) {
    if (ended_) return;
    static thread_local std::array<char, 256 << 10> bytes;
    const ssize_t got = ::recv(fd_, bytes.data(), std::min(most, bytes.size()), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      error_ = got < 0 ? errno : 0;
      ended_ = true;
      return;
    }
    take({bytes.data(), static_cast<std::size_t>(got)});
  }
  /// Returns the frames that arrived since the last call, except pings, which are answered here.
  std::vector<Frame> frames() {
    std::vector<Frame> result;
    for (const Frame& frame : reader_.frames()) {
      frame.opcode == 9 ? send(pong(frame.payload)) : result.push_back(frame);
    }
    reader_.forget();
    return result;
  }

 private:
  void write() {
    while (unsent() > 0 && !ended_) {
      const ssize_t put = ::send(fd_, out_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // After a failed write, bytes that the peer sent before its end can still be read.
      sent_ += put < 0 ? unsent() : static_cast<std::size_t>(put);
    }
  }
  void take(std::string_view bytes) {
    if (head_whole_) return reader_.feed(bytes);
    head_ += bytes;
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == head_.npos) return;
    head_whole_ = true;
    const std::string behind = head_.substr(end + 4);
    head_.resize(end + 4);
    if (open()) reader_.feed(behind);
  }

  int fd_;
  bool ended_ = false;
  bool head_whole_ = false;
  int error_ = 0;
  std::string out_{};
  std::size_t sent_ = 0;  // bytes of out_
  std::string head_{};
  FrameReader reader_{Role::server};
};

using Crowd = std::vector<std::unique_ptr<CrowdClient>>;

/// Waits at most `timeout_ms` until a client can read or write, and lets each such client do so.
/// Returns their number. Clients that have ended are skipped.
inline int serve(const Crowd& crowd, int timeout_ms) {
  std::vector<pollfd> waits;
  std::vector<CrowdClient*> who;
  for (const auto& client : crowd) {
    if (!client || client->interest() == 0) continue;
    waits.push_back({client->fd(), client->interest(), 0});
    who.push_back(client.get());
  }
  const int ready = ::poll(waits.data(), waits.size(), timeout_ms);
  for (std::size_t i = 0; i < waits.size() && ready > 0; ++i) {
    if (waits[i].revents != 0) who[i]->on_ready(waits[i].revents);
  }
  return ready;
}

}  // namespace tern::test
