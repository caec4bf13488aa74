// TcpTransport over connected loopback sockets.
#include "tern/error.h"

#include "net/socket.h"
#include "net/tcp.h"
#include "support/socket_pair.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <signal.h>
#include <string>
#include <vector>

namespace {

using tern::net::TcpTransport;
using tern::net::Transport;
using State = Transport::State;
using tern::test::SocketPair;
using tern::test::wait_ready;

struct Ends {
  explicit Ends(SocketPair pair = {})
      : client(std::move(pair.client)), server(std::move(pair.server)) {}
  TcpTransport client;
  TcpTransport server;
};

iovec piece(std::string& text) { return {text.data(), text.size()}; }

Transport::Transfer read_some(TcpTransport& from, std::span<const iovec> into) {
  EXPECT_TRUE(wait_ready(from.fd(), POLLIN));
  return from.read(into);
}

TEST(TcpTransport, MovesBytesOfOneAndOfManyPieces) {
  Ends ends;
  std::string a = "one", b = "two", c = "three";
  const iovec single[] = {piece(a)};
  EXPECT_EQ(ends.client.write(single).bytes, 3u);
  const iovec several[] = {piece(b), piece(c)};
  const auto written = ends.client.write(several);
  EXPECT_EQ(written.state, State::ok);
  EXPECT_EQ(written.bytes, 8u);
  std::string got(11, ' ');
  std::size_t have = 0;
  while (have < got.size()) {
    const std::size_t half = (got.size() - have + 1) / 2;
    const iovec into[] = {{got.data() + have, half},
                          {got.data() + have + half, got.size() - have - half}};
    const auto read = read_some(ends.server, into);
    ASSERT_EQ(read.state, State::ok);
    have += read.bytes;
  }
  EXPECT_EQ(got, "onetwothree");
}

TEST(TcpTransport, TakesMorePiecesThanTheKernelAllows) {
  Ends ends;
  std::string byte = "x";
  const std::vector<iovec> many(5000, piece(byte));
  const auto written = ends.client.write(many);
  EXPECT_EQ(written.state, State::ok);
  EXPECT_GE(written.bytes, 1024u);
  std::string room(10, ' ');
  std::vector<iovec> into(5000, iovec{room.data(), 1});
  const auto read = read_some(ends.server, into);
  EXPECT_EQ(read.state, State::ok);
  EXPECT_GE(read.bytes, 1u);
}

TEST(TcpTransport, ReportsWhichEventItWaitsFor) {
  Ends ends;
  std::string room(1, ' ');
  const iovec into[] = {piece(room)};
  EXPECT_EQ(ends.server.read(into).state, State::wait_read);
  const iovec two[] = {piece(room), piece(room)};
  EXPECT_EQ(ends.server.read(two).state, State::wait_read);
  std::string much(8u << 20, 'x');
  const iovec from[] = {piece(much)};
  std::size_t sent = 0;
  Transport::Transfer last;
  while ((last = ends.client.write(from)).state == State::ok) {
    EXPECT_GT(last.bytes, 0u);
    sent += last.bytes;
  }
  EXPECT_EQ(last.state, State::wait_write);
  EXPECT_EQ(last.bytes, 0u);
  EXPECT_FALSE(last.error);
  EXPECT_GT(sent, 0u);
  const iovec pieces[] = {piece(much), piece(room)};
  EXPECT_EQ(ends.client.write(pieces).state, State::wait_write);
}

TEST(TcpTransport, ReportsAFinAsTheEnd) {
  Ends ends;
  ends.client.shutdown_write();
  std::string room(8, ' ');
  const iovec into[] = {piece(room)};
  EXPECT_EQ(read_some(ends.server, into).state, State::end);
  EXPECT_EQ(ends.server.read(into).state, State::end);
  EXPECT_EQ(ends.server.write(into).state, State::ok);  // half-closed
}

// The first call after the reset may be a read or a write. No signal ends the process.
TEST(TcpTransport, ReadAndWriteReportAResetAlike) {
  ASSERT_EQ(::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  for (const bool read_first : {true, false}) {
    SocketPair pair;
    tern::net::reset_close(std::move(pair.client));
    TcpTransport server(std::move(pair.server));
    ASSERT_TRUE(wait_ready(server.fd(), POLLIN));
    std::string room(8, ' ');
    const iovec into[] = {piece(room)};
    const iovec two[] = {piece(room), piece(room)};
    const auto first = read_first ? server.read(into) : server.write(into);
    EXPECT_EQ(first.state, State::failed);
    EXPECT_EQ(first.error, tern::Errc::connection_reset);
    for (const auto& later :
         {server.write(into), server.write(two)}) {  // the system now returns EPIPE
      EXPECT_EQ(later.state, State::failed);
      EXPECT_EQ(later.error, tern::Errc::connection_reset);
    }
  }
}

TEST(TcpTransport, ClosesItsSocket) {
  SocketPair pair;
  { const TcpTransport client(std::move(pair.client)); }
  TcpTransport server(std::move(pair.server));
  std::string room(8, ' ');
  const iovec into[] = {piece(room)};
  EXPECT_EQ(read_some(server, into).state, State::end);
}

TEST(TcpTransport, CanBeDestroyedThroughTheInterface) {
  SocketPair pair;
  const int fd = pair.client.get();
  const std::unique_ptr<Transport> transport =
      std::make_unique<TcpTransport>(std::move(pair.client));
  EXPECT_EQ(transport->fd(), fd);
}

}  // namespace
