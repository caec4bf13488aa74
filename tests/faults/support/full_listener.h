// An address that drops packets, on loopback.
#pragma once

#include "faults/support/syscalls.h"
#include "support/socket_peer.h"

#include <arpa/inet.h>
#include <cstddef>
#include <deque>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace tern::test {

/// A port of 127.0.0.1 that drops packets: the kernel answers no SYN after the queue is full.
class FullListener : public Listener {
 public:
  FullListener() : Listener(0) {
    const sys::Bystander bystander;
    for (bool full = false; !full && waiting_.size() < 16;) {
      waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(port());
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      ::connect(waiting_.back().fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
      pollfd wait{waiting_.back().fd(), POLLOUT, 0};
      full = ::poll(&wait, 1, 200) == 0;
    }
  }
  std::size_t tried() const { return waiting_.size(); }

 private:
  std::deque<Socket> waiting_{};
};

}  // namespace tern::test
