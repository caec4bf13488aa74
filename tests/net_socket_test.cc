// The functions for sockets: listen, accept, connect, options and errors, on loopback.
#include "tern/error.h"

#include "net/socket.h"
#include "support/socket_pair.h"

#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace {

using tern::net::accept;
using tern::net::AcceptFailure;
using tern::net::Address;
using tern::net::classify_accept_error;
using tern::net::connect_result;
using tern::net::Fd;
using tern::net::listen_tcp;
using tern::net::local_address;
using tern::net::Opened;
using tern::net::peer_address;
using tern::net::peer_name;
using tern::net::PortUse;
using tern::net::reset_close;
using tern::net::send_once;
using tern::net::set_nodelay;
using tern::net::shutdown_write;
using tern::net::socket_error;
using tern::net::start_connect;
using tern::test::listen_on_loopback;
using tern::test::SocketPair;
using tern::test::wait_ready;

Address loopback(std::uint16_t port) { return *Address::parse("127.0.0.1", port); }

bool is_set(int fd, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &bytes), 0);
  return value != 0;
}

bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }
bool never_blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

TEST(Listen, PortZeroGetsAFreePort) {
  const Fd listener = listen_on_loopback();
  const Address bound = local_address(listener.get());
  EXPECT_NE(bound.port(), 0);
  EXPECT_EQ(bound, loopback(bound.port()));
  EXPECT_TRUE(closes_on_exec(listener.get()));
  EXPECT_TRUE(never_blocks(listener.get()));
}

TEST(Listen, APortInUseIsAnError) {
  const Fd listener = listen_on_loopback();
  const Opened second = listen_tcp(local_address(listener.get()), PortUse::first);
  EXPECT_EQ(second.error, std::errc::address_in_use);
  EXPECT_FALSE(second);
  EXPECT_FALSE(second.fd);
}

// The listener of another program allows others to share its port.
TEST(Listen, AShareablePortOfOthersIsInUse) {
  const Fd foreign(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(foreign.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
  ASSERT_EQ(::setsockopt(foreign.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  const Address any_port = loopback(0);
  ASSERT_EQ(::bind(foreign.get(), any_port.data(), any_port.size()), 0);
  ASSERT_EQ(::listen(foreign.get(), 1), 0);
  const Address taken = local_address(foreign.get());
  EXPECT_EQ(listen_tcp(taken, PortUse::first).error, std::errc::address_in_use);
  EXPECT_FALSE(listen_tcp(taken, PortUse::join).error);  // `join` requests this
}

TEST(Listen, WorkersJoinThePortAndShareItsConnections) {
  std::vector<Fd> listeners;
  listeners.push_back(listen_on_loopback());
  const Address shared = local_address(listeners.front().get());
  for (int worker = 1; worker < 4; ++worker) {
    Opened joined = listen_tcp(shared, PortUse::join);
    ASSERT_FALSE(joined.error) << joined.error.message();
    listeners.push_back(std::move(joined.fd));
  }
  EXPECT_EQ(listen_tcp(shared, PortUse::first).error, std::errc::address_in_use);
  // The chance that one of the four listeners gets none of 200 connections is 4 * 0.75^200.
  std::vector<Fd> clients;
  std::array<int, 4> accepted{};
  int total = 0;
  for (int i = 0; i < 200; ++i) {
    Opened connecting = start_connect(shared);
    ASSERT_FALSE(connecting.error);
    ASSERT_TRUE(wait_ready(connecting.fd.get(), POLLOUT));
    ASSERT_FALSE(connect_result(connecting.fd.get()));
    clients.push_back(std::move(connecting.fd));
  }
  while (total < 200) {
    std::array<pollfd, 4> waits{};
    for (std::size_t i = 0; i < 4; ++i) waits[i] = {listeners[i].get(), POLLIN, 0};
    ASSERT_GT(::poll(waits.data(), waits.size(), 30'000), 0);
    for (std::size_t i = 0; i < 4; ++i) {
      while (accept(listeners[i].get())) ++accepted[i], ++total;
    }
  }
  for (const int count : accepted) EXPECT_GT(count, 0);
}

// The server closes first, so the connection is in TIME_WAIT on the port of the server.
TEST(Listen, ARestartedServerGetsItsPortAtOnce) {
  Fd listener = listen_on_loopback();
  const Address address = local_address(listener.get());
  Opened client = start_connect(address);
  ASSERT_TRUE(wait_ready(listener.get(), POLLIN));
  Opened server = accept(listener.get());
  ASSERT_FALSE(server.error);
  server.fd.reset();
  ASSERT_TRUE(wait_ready(client.fd.get(), POLLIN));
  client.fd.reset();
  listener.reset();
  EXPECT_FALSE(listen_tcp(address, PortUse::first).error);
}

TEST(Listen, AnyIpv6AddressServesIpv4) {
  Opened listener = listen_tcp(*Address::parse("::", 0), PortUse::first);
  if (listener.error) GTEST_SKIP() << "no IPv6: " << listener.error.message();
  const std::uint16_t port = local_address(listener.fd.get()).port();
  Opened client = start_connect(loopback(port));
  ASSERT_FALSE(client.error);
  ASSERT_TRUE(wait_ready(listener.fd.get(), POLLIN));
  Address peer;
  const Opened server = accept(listener.fd.get(), &peer);
  ASSERT_FALSE(server.error);
  EXPECT_EQ(peer, local_address(client.fd.get()));
  EXPECT_EQ(peer.family(), AF_INET);
  EXPECT_EQ(peer_address(server.fd.get()), peer);
}

TEST(Accept, ReturnsNonBlockingCloseOnExecSockets) {
  const Fd listener = listen_on_loopback();
  EXPECT_EQ(classify_accept_error(accept(listener.get()).error), AcceptFailure::drained);
  const Opened client = start_connect(local_address(listener.get()));
  EXPECT_TRUE(closes_on_exec(client.fd.get()));
  EXPECT_TRUE(never_blocks(client.fd.get()));
  ASSERT_TRUE(wait_ready(listener.get(), POLLIN));
  Address peer;
  const Opened server = accept(listener.get(), &peer);
  ASSERT_FALSE(server.error);
  EXPECT_EQ(peer, local_address(client.fd.get()));
  EXPECT_TRUE(closes_on_exec(server.fd.get()));
  EXPECT_TRUE(never_blocks(server.fd.get()));
}

TEST(Accept, ErrorsAreClassified) {
  const struct {
    int error;
    AcceptFailure expected;
  } rows[] = {
      {EAGAIN, AcceptFailure::drained},        {ECONNABORTED, AcceptFailure::retry},
      {EPROTO, AcceptFailure::retry},          {ENETDOWN, AcceptFailure::retry},
      {EPERM, AcceptFailure::retry},           {EHOSTUNREACH, AcceptFailure::retry},
      {EMFILE, AcceptFailure::pause},          {ENFILE, AcceptFailure::pause},
      {ENOBUFS, AcceptFailure::pause},         {ENOMEM, AcceptFailure::pause},
      {EBADF, AcceptFailure::fatal},           {EINVAL, AcceptFailure::fatal},
      {ENOTRECOVERABLE, AcceptFailure::pause},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(classify_accept_error({row.error, std::system_category()}), row.expected)
        << std::error_code(row.error, std::system_category()).message();
  }
}

TEST(Accept, PausesWithoutDescriptorsAndLosesNoConnection) {
  const Fd listener = listen_on_loopback();
  const Opened client = start_connect(local_address(listener.get()));
  ASSERT_TRUE(wait_ready(listener.get(), POLLIN));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::error_code full = accept(listener.get()).error;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(full, std::errc::too_many_files_open);
  EXPECT_EQ(classify_accept_error(full), AcceptFailure::pause);
  EXPECT_FALSE(accept(listener.get()).error);  // the connection is not lost
}

TEST(Connect, ReportsARefusal) {
  // The socket is bound, so that no other socket gets the port, but it does not listen.
  const Fd bound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address any_port = loopback(0);
  ASSERT_EQ(::bind(bound.get(), any_port.data(), any_port.size()), 0);
  const Opened connecting = start_connect(local_address(bound.get()));
  std::error_code error = connecting.error;
  if (!error) {
    ASSERT_TRUE(wait_ready(connecting.fd.get(), POLLOUT));
    error = connect_result(connecting.fd.get());
  }
  EXPECT_EQ(error, std::errc::connection_refused);
}

TEST(Connect, ReportsAnUnreachableNetworkAtOnce) {
  // TCP cannot connect to a multicast address, whatever routes there are.
  EXPECT_EQ(start_connect(*Address::parse("224.0.0.1", 1)).error, std::errc::network_unreachable);
}

TEST(SocketOptions, SetNodelayTurnsOffNagle) {
  const SocketPair pair;
  EXPECT_FALSE(is_set(pair.client.get(), IPPROTO_TCP, TCP_NODELAY));
  EXPECT_FALSE(set_nodelay(pair.client.get()));
  EXPECT_TRUE(is_set(pair.client.get(), IPPROTO_TCP, TCP_NODELAY));
  EXPECT_EQ(set_nodelay(-1), std::errc::bad_file_descriptor);
}

TEST(SocketAddresses, AreKnownForBothEnds) {
  const SocketPair pair;
  EXPECT_EQ(peer_address(pair.server.get()), local_address(pair.client.get()));
  EXPECT_EQ(peer_address(pair.client.get()), local_address(pair.server.get()));
  EXPECT_EQ(peer_name(pair.client.get()), peer_address(pair.client.get()).to_string());
  EXPECT_EQ(peer_address(-1), Address());
  EXPECT_EQ(local_address(-1), Address());
}

TEST(SendOnce, SendsWhatFitsWithoutWaiting) {
  const SocketPair pair;
  const std::vector<std::byte> much(64u << 20);
  const std::size_t sent = send_once(pair.server.get(), much);
  EXPECT_GT(sent, 0u);
  EXPECT_LT(sent, much.size());
  std::size_t more;
  do {
    more = send_once(pair.server.get(), much);
  } while (more > 0);
}

TEST(SendOnce, RaisesNoSignal) {
  ASSERT_EQ(::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  SocketPair pair;
  shutdown_write(pair.server.get());
  const std::array<std::byte, 1> byte{};
  EXPECT_EQ(send_once(pair.server.get(), byte), 0u);
}

TEST(Shutdown, SendsAFinAndStillReads) {
  const SocketPair pair;
  shutdown_write(pair.client.get());
  ASSERT_TRUE(wait_ready(pair.server.get(), POLLIN));
  char byte = 'x';
  EXPECT_EQ(::recv(pair.server.get(), &byte, 1, 0), 0);
  const std::array<std::byte, 1> answer{std::byte{'y'}};
  EXPECT_EQ(send_once(pair.server.get(), answer), 1u);
  ASSERT_TRUE(wait_ready(pair.client.get(), POLLIN));
  EXPECT_EQ(::recv(pair.client.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'y');
}

TEST(ResetClose, SendsARst) {
  SocketPair pair;
  reset_close(std::move(pair.client));
  ASSERT_TRUE(wait_ready(pair.server.get(), POLLIN));
  char byte;
  EXPECT_EQ(::recv(pair.server.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(SocketError, ResetAndBrokenPipeAreOneCause) {
  EXPECT_EQ(socket_error(ECONNRESET), tern::Errc::connection_reset);
  EXPECT_EQ(socket_error(EPIPE), tern::Errc::connection_reset);
  EXPECT_EQ(socket_error(ETIMEDOUT), std::errc::timed_out);
}

}  // namespace
