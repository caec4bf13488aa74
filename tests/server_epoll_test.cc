// How a server uses epoll. If epoll takes no more descriptors (ENOMEM, or ENOSPC for
// max_user_watches), the connection for which there is no room ends, and nothing else.
#include "tern/server.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <cerrno>
#include <future>
#include <gtest/gtest.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <thread>

namespace {

std::atomic<bool> full = false;  // the next descriptor finds no room
std::atomic<int> fired = 0;
std::atomic<int> removed = 0;      // descriptors that left epoll
std::atomic<int> polls = 0;        // calls of epoll_wait that return at once
std::atomic<int> sleeps = 0;       // calls of epoll_wait that may wait
std::atomic<bool> deaf = false;    // calls that return at once find nothing
std::atomic<bool> broken = false;  // the next call fails

}  // namespace

extern "C" {
int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_DEL) ++removed;
  if (operation != EPOLL_CTL_ADD || !full.exchange(false)) {
    return __real_epoll_ctl(epoll, operation, fd, event);
  }
  ++fired;
  errno = ENOSPC;
  return -1;
}
int __real_epoll_wait(int epoll, epoll_event* events, int most, int timeout);
int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  ++(timeout == 0 ? polls : sleeps);
  if (broken.exchange(false)) {
    errno = EINVAL;
    return -1;
  }
  if (timeout == 0 && deaf) return 0;
  return __real_epoll_wait(epoll, events, most, timeout);
}
}

namespace tern {
namespace {

using namespace std::chrono_literals;
using test::Inbox;
using test::RawClient;
using test::RunningServer;

void expect_echo(std::uint16_t port) {
  RawClient client(port);
  ASSERT_TRUE(client.upgrade("/echo"));
  client.send(test::text("still there"));
  const auto echoed = client.frame();
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->payload, "still there");
}

// A paused connection is not in epoll. After we failed it, it enters epoll to wait for the peer's
// FIN.
TEST(ServerEpoll, SurvivesNoRoomForALingeringConnection) {
  fired = 0;
  Inbox<std::error_code> ends;
  RunningServer running;
  running.server.route("/echo", test::echo());
  running.server.route(
      "/fails", {.on_message =
                     [](Connection& conn, Message) {
                       conn.pause();
                       conn.after(1ms, [](Connection&) {
                         full = true;
                         throw std::runtime_error("a timer that fails");
                       });
                     },
                 .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info.error); }});
  const auto port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade("/fails"));
  client.send(test::text("go"));
  const auto close = client.frame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->opcode, 8u);
  EXPECT_FALSE(client.frame());
  EXPECT_EQ(ends.take(), Errc::handler_threw);
  expect_echo(port);  // after it, so that the FIN is there before the loop calls epoll_wait
  EXPECT_EQ(fired, 1);
  running.stop();
  EXPECT_EQ(running.server.counters().connections_open, 0u);
}

// A paused connection is not in epoll. If it cannot enter epoll again, on_close comes all the same.
TEST(ServerEpoll, SurvivesNoRoomForAResumedConnection) {
  fired = 0;
  Inbox<std::error_code> ends;
  RunningServer running;
  running.server.route("/echo", test::echo());
  running.server.route(
      "/resumes", {.on_message =
                       [](Connection& conn, Message) {
                         conn.pause();
                         conn.after(1ms, [](Connection& same) {
                           full = true;
                           same.resume();
                         });
                       },
                   .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info.error); }});
  const auto port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade("/resumes"));
  client.send(test::text("go"));
  EXPECT_EQ(ends.take(), std::errc::no_space_on_device);
  EXPECT_FALSE(client.frame());
  expect_echo(port);
  EXPECT_EQ(fired, 1);
  EXPECT_TRUE(ends.empty());
}

// A worker whose epoll fails ends. Its sessions receive on_close, and run() returns the error.
TEST(ServerEpoll, SessionsReceiveOnCloseWhenEpollFails) {
  Server server({.host = "127.0.0.1"});
  Inbox<CloseInfo> ends;
  Inbox<Handle> opened;
  server.route("/echo",
               Handlers{.on_open = [&](Connection& conn) { opened.put(conn.handle()); },
                        .on_message = [](Connection&, Message) {},
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  ASSERT_TRUE(server.listen());
  auto ran = std::async(std::launch::async, [&] { return server.run(); });
  RawClient client(server.port());
  ASSERT_TRUE(client.upgrade("/echo"));
  const auto handle = opened.take();
  ASSERT_TRUE(handle);
  handle->post([](Connection&) { broken = true; });
  const auto result = ran.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), std::errc::invalid_argument);
  EXPECT_TRUE(ends.take());
  EXPECT_TRUE(ends.empty());
  EXPECT_FALSE(handle->send("x"));
}

TEST(ServerEpoll, SurvivesNoRoomForANewConnection) {
  fired = 0;
  RunningServer running;
  running.server.route("/echo", test::echo());
  const auto port = running.start();
  expect_echo(port);
  full = true;
  RawClient client(port);
  EXPECT_FALSE(client.upgrade("/echo"));
  EXPECT_EQ(fired, 1);
  expect_echo(port);
  running.stop();
  EXPECT_EQ(running.server.counters().connections_open, 0u);
}

TEST(ServerEpoll, SleepsUnlessItSpins) {
  for (const std::chrono::nanoseconds spin : {0ns, 3'600'000'000'000ns}) {
    RunningServer running({.spin = spin});
    running.server.route("/echo", test::echo());
    polls = sleeps = 0;
    expect_echo(running.start());
    EXPECT_EQ(sleeps > 0, spin == 0ns);
    EXPECT_TRUE(polls > 0 || spin == 0ns);
    running.stop();
  }
}

// Between two calls of epoll_wait the loop reads the socket that was ready last.
TEST(ServerEpoll, ASpinningLoopReadsTheLastSocketFirst) {
  RunningServer running({.spin = 1h});
  Inbox<CloseInfo> ends;
  running.server.route(
      "/echo", Handlers{.on_message = [](Connection& conn, Message message) { conn.send(message); },
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/echo"));
  struct Deaf {
    Deaf() { deaf = true; }
    ~Deaf() { deaf = false; }
  } until_the_end;
  for (int i = 0; i < 20; ++i) {
    client.send(test::text("still there"));
    const auto echoed = client.frame();
    ASSERT_TRUE(echoed);
    EXPECT_EQ(echoed->payload, "still there");
  }
  client.reset();
  EXPECT_EQ(ends.take()->error, Errc::connection_reset);
}

// The connection is not in epoll when its bytes are read, and it is gone when the loop reads next.
TEST(ServerEpoll, ASpinningLoopForgetsAConnectionThatEnds) {
  RunningServer running({.spin = 1h});
  Inbox<Handle> opened;
  Inbox<CloseInfo> ends;
  running.server.route("/echo", test::echo());
  running.server.route(
      "/ends", Handlers{.on_open = [&](Connection& conn) { opened.put(conn.handle()); },
                        .on_message = [](Connection& conn, Message) { conn.terminate(); },
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  const auto port = running.start();
  for (int i = 0; i < 20; ++i) {
    RawClient client(port);
    ASSERT_TRUE(client.upgrade("/ends"));
    const Handle handle = *opened.take();
    std::promise<void> paused;
    handle.post([](Connection& conn) { conn.pause(); });
    handle.post([&](Connection& conn) { conn.loop().post([&] { paused.set_value(); }); });
    paused.get_future().wait();
    client.send(test::text("the last word"));
    handle.post([](Connection& conn) { conn.resume(); });
    EXPECT_EQ(ends.take()->error, Errc::terminated);
    expect_echo(port);
  }
}

TEST(ServerEpoll, SleepsAfterTheTimeOfSpinning) {
  RunningServer running({.spin = 1ms});
  running.server.route("/echo", test::echo());
  const auto port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade("/echo"));
  for (int i = 0; i < 3; ++i) {
    const int before = sleeps;
    client.send(test::text("awake?"));
    ASSERT_TRUE(client.frame());
    while (sleeps == before) std::this_thread::yield();
  }
}

// Otherwise input that it does not read would wake the loop again and again.
TEST(ServerEpoll, APausedIdleConnectionLeavesEpoll) {
  RunningServer running;
  running.server.route("/echo", test::echo());
  Inbox<Handle> opened;
  running.server.route("/pause", Handlers{.on_open = [&](Connection& c) { opened.put(c.handle()); },
                                          .on_message = [](Connection&, Message) {}});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/pause"));
  const Handle handle = *opened.take();
  removed = 0;
  std::promise<void> paused;
  handle.post([](Connection& conn) { conn.pause(); });
  handle.post([&](Connection& conn) { conn.loop().post([&] { paused.set_value(); }); });
  paused.get_future().wait();
  EXPECT_EQ(removed, 1);
}

}  // namespace
}  // namespace tern
