// TcpTransport over connected loopback sockets.
#include "tern/error.h"

#include "net/sealed_copy.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "support/socket_pair.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <signal.h>
#include <span>
#include <string>
#include <sys/epoll.h>
#include <unistd.h>
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

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 23);
  return text;
}

// Writes all pieces, where the second one also lies in a file, and returns what the peer received.
std::string through(Ends& ends, std::vector<std::string> texts, int file) {
  std::string expected;
  for (const std::string& text : texts) expected += text;
  std::string got;
  std::string buffer(100'000, ' ');
  std::size_t done = 0;  // bytes written
  while (got.size() < expected.size()) {
    std::vector<iovec> pieces;
    Transport::Transfer put{.state = State::wait_write};
    std::size_t begin = 0;
    tern::net::FilePart part;
    for (std::size_t i = 0; i < texts.size(); begin += texts[i++].size()) {
      const std::size_t skipped = std::min(done - std::min(done, begin), texts[i].size());
      const std::size_t left = texts[i].size() - skipped;
      if (left == 0) continue;
      if (i == 1) {
        part = {.descriptor = file, .offset = skipped, .bytes = left, .before = 0};
        for (const iovec& piece : pieces) part.before += piece.iov_len;
      }
      pieces.push_back({texts[i].data() + skipped, left});
    }
    if (!pieces.empty()) {
      put = part.descriptor < 0 ? ends.client.write(pieces)
                                : ends.client.write_with_file(pieces, part);
    }
    EXPECT_NE(put.state, State::failed) << put.error.message();
    done += put.bytes;
    if (put.state == State::ok && done < expected.size()) continue;
    const iovec into[] = {piece(buffer)};
    const auto read = read_some(ends.server, into);
    if (read.state != State::ok) break;
    got.append(buffer, 0, read.bytes);
  }
  EXPECT_EQ(ends.client.delivery().acknowledged + ends.client.delivery().waiting, expected.size());
  return got;
}

TEST(TcpTransport, SendsAPieceFromAFile) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{70'000}, std::size_t{5} << 20}) {
    const std::string text = pattern(size);
    const tern::net::Fd file = tern::net::sealed_copy(std::as_bytes(std::span(text)));
    ASSERT_TRUE(file) << errno;
    for (const char* const head : {"", "head"}) {
      Ends ends;
      EXPECT_EQ(through(ends, {head, text, "tail"}, file.get()), head + text + "tail") << size;
    }
    // A descriptor that sendfile() does not take: the bytes are written from memory.
    Ends ends;
    const tern::net::Fd none(::epoll_create1(EPOLL_CLOEXEC));
    EXPECT_EQ(through(ends, {"", text, "tail"}, none.get()), text + "tail");
  }
}

TEST(TcpTransport, NoProgramChangesASealedCopy) {
  const std::string text = pattern(10'000);
  const tern::net::Fd file = tern::net::sealed_copy(std::as_bytes(std::span(text)));
  ASSERT_TRUE(file);
  EXPECT_EQ(::pwrite(file.get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(file.get(), 0), -1);
  EXPECT_NE(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, 0);
}

// sendfile() raises SIGPIPE, which would end this program.
TEST(TcpTransport, AFileToAPeerThatIsGoneRaisesNoSignal) {
  std::string text = pattern(100'000);
  const tern::net::Fd file = tern::net::sealed_copy(std::as_bytes(std::span(text)));
  ASSERT_TRUE(file);
  ASSERT_NE(::signal(SIGPIPE, SIG_DFL), SIG_ERR);
  Ends ends;
  ends.client.shutdown_write();
  const iovec pieces[] = {piece(text)};
  const auto put = ends.client.write_with_file(
      pieces, {.descriptor = file.get(), .offset = 0, .bytes = text.size(), .before = 0});
  EXPECT_EQ(put.state, State::failed);
  sigset_t mask;
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);
  ASSERT_EQ(::sigpending(&mask), 0);
  EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);
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
