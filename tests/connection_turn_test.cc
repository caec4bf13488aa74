// The work of a connection in one turn, exact to the byte: how much it reads before other
// connections have their turn, and when on_drain comes. The kernel decides how much a socket takes
// and gives, so here the calls go through wrappers (see tern_wrap in tests/CMakeLists.txt).
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace {

// Each read from the client with this port fills the server's buffer, without end: with messages of
// a block, with large ones, or with pongs.
enum class Hose { blocks, large, pongs };
std::atomic<std::uint16_t> hose_port{0};
std::atomic<Hose> hose_kind{Hose::blocks};
std::atomic<std::size_t> pongs_in_turn{0};
std::atomic<std::size_t> pongs_most{0};
std::atomic<std::size_t> hose_in_turn{0};
std::atomic<std::size_t> hose_most{0};
std::atomic<std::size_t> hose_turns{0};
// A turn that reads so much has no bound. Here the input ends, so that the test does not hang.
constexpr std::size_t hose_limit = std::size_t{64} << 20;

// The number of bytes that the socket to the client with this port still takes.
std::atomic<std::uint16_t> narrow_port{0};
std::atomic<std::size_t> narrow_room{0};
std::atomic<std::size_t> narrow_blocked{0};

constexpr std::size_t block_bytes = 4096;

// A binary message that fills a block, as a client sends it, with a key of zeros (RFC 6455 §5.3).
std::string block() {
  std::string bytes("\x82\xFE\x0F\xF8\0\0\0\0", 8);
  bytes.resize(block_bytes, 'x');
  return bytes;
}

// Pongs of two bytes that fill a block.
std::string block_of_pongs() {
  std::string bytes;
  while (bytes.size() < block_bytes) bytes.append("\x8A\x82\0\0\0\0pp", 8);
  return bytes;
}

constexpr std::size_t large_bytes = std::size_t{16} << 20;

// The byte at this place of a stream of large messages, as above.
char large_byte(std::size_t at) {
  constexpr std::string_view header("\x82\xFF\0\0\0\0\x01\0\0\0\0\0\0\0", 14);
  at %= header.size() + large_bytes;
  return at < header.size() ? header[at] : 'x';
}

// Both ends of a connection are in this process: the server's is the one whose peer has the port.
bool leads_to(int fd, const std::atomic<std::uint16_t>& port) {
  if (port == 0) return false;
  sockaddr_in name{};
  socklen_t bytes = sizeof name;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &bytes) == 0 &&
         ntohs(name.sin_port) == port;
}

}  // namespace

extern "C" {
ssize_t __real_recv(int, void*, std::size_t, int);        // NOLINT
ssize_t __real_readv(int, const iovec*, int);             // NOLINT
ssize_t __real_send(int, const void*, std::size_t, int);  // NOLINT
ssize_t __real_sendmsg(int, const msghdr*, int);          // NOLINT
int __real_epoll_wait(int, epoll_event*, int, int);       // NOLINT

ssize_t __wrap_recv(int fd, void* buffer, std::size_t size, int flags) {  // NOLINT
  if (hose_in_turn > hose_limit) hose_port = 0;
  if (!leads_to(fd, hose_port)) return __real_recv(fd, buffer, size, flags);
  auto* const to = static_cast<char*>(buffer);
  static const std::string messages = block();
  static const std::string pongs = block_of_pongs();
  const bool is_large = hose_kind == Hose::large;
  const std::string& full = hose_kind == Hose::pongs ? pongs : messages;
  static std::size_t large_at = 0;
  std::size_t given = 0;
  if (is_large) {
    while (given < size) to[given++] = large_byte(large_at++);
  }
  for (; !is_large && size - given >= block_bytes; given += block_bytes) {
    std::memcpy(to + given, full.data(), block_bytes);
  }
  hose_in_turn += given;
  hose_most = std::max(hose_most.load(), hose_in_turn.load());
  return static_cast<ssize_t>(given);
}

ssize_t __wrap_readv(int fd, const iovec* into, int count) {  // NOLINT
  if (!leads_to(fd, hose_port)) return __real_readv(fd, into, count);
  ssize_t given = 0;
  for (const iovec& piece : std::span(into, static_cast<std::size_t>(count))) {
    given += __wrap_recv(fd, piece.iov_base, piece.iov_len, 0);
  }
  return given;
}

ssize_t __wrap_send(int fd, const void* data, std::size_t size, int flags) {  // NOLINT
  if (!leads_to(fd, narrow_port)) return __real_send(fd, data, size, flags);
  const std::size_t taken = std::min(size, narrow_room.load());
  if (taken == 0) {
    ++narrow_blocked;
    errno = EAGAIN;
    return -1;
  }
  const ssize_t sent = __real_send(fd, data, taken, flags);
  if (sent > 0) narrow_room -= static_cast<std::size_t>(sent);
  return sent;
}

// Of several pieces it writes only the first, which is a short write.
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {  // NOLINT
  if (!leads_to(fd, narrow_port)) return __real_sendmsg(fd, message, flags);
  return __wrap_send(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags);
}

int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {  // NOLINT
  if (hose_in_turn.exchange(0) > 0) ++hose_turns;
  pongs_in_turn = 0;
  return __real_epoll_wait(epoll, events, most, timeout);
}
}

namespace tern::test {
namespace {

using namespace std::chrono_literals;

std::uint16_t local_port(const RawClient& client) {
  sockaddr_in name{};
  socklen_t bytes = sizeof name;
  EXPECT_EQ(::getsockname(client.fd(), reinterpret_cast<sockaddr*>(&name), &bytes), 0);
  return ntohs(name.sin_port);
}

// One client sends without end, and another one is served meanwhile. Returns the number of message
// bytes.
std::size_t keep_the_hose_open(const ServerOptions& options) {
  std::atomic<std::size_t> flood{0};
  hose_in_turn = hose_most = hose_turns = 0;
  RunningServer running(options);
  running.server.route("/hose",
                       Handlers{.on_message =
                                    [&](Connection& conn, Message message) {
                                      flood += message.size();
                                      if (hose_port == 0) conn.terminate();
                                    },
                                .on_pong =
                                    [&](Connection& conn, std::span<const std::byte> payload) {
                                      flood += payload.size();
                                      pongs_most = std::max(pongs_most.load(), ++pongs_in_turn);
                                      if (hose_port == 0) conn.terminate();
                                    }});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient other(port);
  EXPECT_TRUE(other.upgrade());
  RawClient hose(port);
  EXPECT_TRUE(hose.upgrade("/hose"));
  hose_port = local_port(hose);
  hose.send(text("readable from now on"));
  for (int i = 0; hose_port != 0 && (i < 100 || hose_turns < 20); ++i) {
    other.send(text(std::to_string(i)));
    const bool served = other.next() == "text " + std::to_string(i);
    EXPECT_TRUE(served);
    if (!served) break;
  }
  hose_port = 0;
  running.stop(0s);
  return flood;
}

TEST(ConnectionTurn, ReadsAtMost512KiBInATurn) {
  hose_kind = Hose::blocks;
  EXPECT_GT(keep_the_hose_open({}), std::size_t{19} * (500 << 10));
  EXPECT_EQ(hose_most, std::size_t{512} << 10);
}

// Otherwise each of a hundred connections would hold a buffer with half a message.
TEST(ConnectionTurn, ReadsAtMost2MiBOfALargeMessage) {
  hose_kind = Hose::large;
  EXPECT_GE(keep_the_hose_open({.limits = {.max_message_bytes = large_bytes}}), large_bytes);
  EXPECT_EQ(hose_most, std::size_t{2} << 20);
}

// Each pong is an event for the session. In one turn of the loop a connection may be called twice:
// because its socket is readable, and because a rest was left.
TEST(ConnectionTurn, HandlesAtMost1024PongsInATurn) {
  hose_kind = Hose::pongs;
  pongs_most = 0;
  EXPECT_GT(keep_the_hose_open({}), 2u * 1'024u);
  EXPECT_LE(pongs_most, 2u * 1'024u);
}

// Congested above high_water_bytes; drained at low_water_bytes and not one byte before.
TEST(ConnectionTurn, OnDrainComesAtTheLowWaterMark) {
  constexpr std::size_t low_water = 64 << 10;
  Inbox<SendStatus> sent;
  Inbox<std::size_t> drained;
  Inbox<Handle> handles;
  RunningServer running({.timeouts = {.silence = 300s, .stall = 300s}});
  running.server.route(
      "/slow", Handlers{.on_message =
                            [&](Connection& conn, Message) {
                              const std::string large(300 << 10, 'x');
                              handles.put(conn.handle());
                              sent.put(conn.send(large));
                            },
                        .on_drain = [&](Connection& conn) { drained.put(conn.queued_bytes()); }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/slow"));
  constexpr std::size_t frame = 10 + (300 << 10);
  narrow_room = frame - low_water - 1;  // one byte too many stays in the queue
  narrow_port = local_port(client);
  client.send(text("go"));
  EXPECT_EQ(sent.take(), SendStatus::congested);
  const auto handle = handles.take();
  ASSERT_TRUE(handle);
  for (std::size_t left = 0; left != low_water + 1;) {
    Inbox<std::size_t> queued;
    ASSERT_TRUE(handle->post([&](Connection& conn) { queued.put(conn.queued_bytes()); }));
    left = queued.take().value_or(low_water + 1);
  }
  // The socket took no more, and the loop has turned since.
  const std::size_t blocked = narrow_blocked;
  while (narrow_blocked < blocked + 3) {
    Inbox<bool> turned;
    ASSERT_TRUE(handle->post([&](Connection&) { turned.put(true); }));
    ASSERT_TRUE(turned.take());
  }
  EXPECT_TRUE(drained.empty()) << "one byte above the mark";
  narrow_room = 1;
  EXPECT_EQ(drained.take(), low_water);
  EXPECT_TRUE(drained.empty()) << "once";
  narrow_port = 0;
  const auto frame_received = client.frame();
  ASSERT_TRUE(frame_received);
  EXPECT_EQ(frame_received->payload.size(), std::size_t{300} << 10);
}

}  // namespace
}  // namespace tern::test
