#pragma once

#include "net/socket.h"

#include <gtest/gtest.h>
#include <poll.h>

// Connected TCP sockets over loopback, and waiting for events instead of sleeping.

namespace tern::test {

/// Waits until `fd` is ready; returns false if that takes longer than any test may take.
inline bool wait_ready(int fd, short events) {
  pollfd waits{fd, events, 0};
  return ::poll(&waits, 1, 60'000) == 1;
}

/// A listener on a free port of the loopback address.
inline net::Fd listen_on_loopback(const char* host = "127.0.0.1") {
  net::Opened opened = net::listen_tcp(*net::Address::parse(host, 0), net::PortUse::first);
  EXPECT_FALSE(opened.error) << opened.error.message();
  return std::move(opened.fd);
}

/// Both ends of a connection, non-blocking.
struct SocketPair {
  net::Fd client{};
  net::Fd server{};

  SocketPair() {
    const net::Fd listener = listen_on_loopback();
    net::Opened connecting = net::start_connect(net::local_address(listener.get()));
    EXPECT_FALSE(connecting.error) << connecting.error.message();
    client = std::move(connecting.fd);
    EXPECT_TRUE(wait_ready(listener.get(), POLLIN));
    server = std::move(net::accept(listener.get()).fd);
    EXPECT_TRUE(wait_ready(client.get(), POLLOUT));
    EXPECT_FALSE(net::connect_result(client.get()));
  }
};

}  // namespace tern::test
