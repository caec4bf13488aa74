// X29: the calls that set things up fail: epoll_create, epoll_ctl, eventfd, setsockopt, getpeername
// and others.
//
// Pass: a call returns an error, or one connection closes. tern does not abort or hang, and the
// surviving server or client works.
//
// Each call of a whole life (construct, listen, accept, echo, close, stop; dial, echo, close) fails
// once: the first, the second, and so on until no call is left.
#include "tern/dial.h"
#include "tern/loop.h"

#include "faults/support/aftermath.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using sys::Call;

struct Row {
  Call call;
  int error;
  std::uint64_t at_least;  // the least number of calls that can fail
};

// Tries an echo. The fault may end it at any point.
void talk(std::uint16_t port) {
  const sys::Bystander bystander;
  RawClient client(port);
  if (!client.connected() || !client.upgrade()) return;
  client.send(text("Hello"));
  client.next();
  client.send(closing(1000));
  client.next();
  client.ends();
}

// Runs one life of a server with one failure. Returns whether the failure happened.
bool live_with(const Row& row, std::uint64_t number) {
  auto fault = std::make_unique<sys::Fault>(
      row.call, sys::Plan{.error = row.error, .after = number, .times = 1});
  House house({.timeouts = {.close = std::chrono::milliseconds(200)}});
  const auto expect_reason = [&] {
    EXPECT_NE(house.why().find(std::strerror(row.error)), std::string::npos) << house.why();
  };
  if (!house.start()) {
    expect_reason();
    return fault->fired() > 0;
  }
  talk(house.port());
  talk(house.port());  // the failure may affect only a later connection
  const bool fired = fault->fired() > 0;
  fault.reset();
  const bool lives = !house.ended() && clean_echoes(house.port(), 10) == 11;
  EXPECT_TRUE(lives || eventually([&] { return house.ended(); })) << "neither serves nor ends";
  house.stop();
  EXPECT_EQ(house.why().empty(), lives);
  if (!lives) expect_reason();
  return fired;
}

TEST(Faults, X29_AServerSurvivesEachRefusedCall) {
  const std::vector<Row> table = {
      {Call::epoll_create1, EMFILE, 1},   {Call::epoll_ctl, ENOSPC, 4},
      {Call::epoll_ctl, ENOMEM, 4},       {Call::eventfd, EMFILE, 2},
      {Call::setsockopt, ENOPROTOOPT, 2}, {Call::getsockname, ENOTCONN, 1},
      {Call::socket, EMFILE, 1},          {Call::bind, EADDRINUSE, 1},
      {Call::listen, EADDRINUSE, 1},      {Call::shutdown, ENOTCONN, 1},
      {Call::recv, ENOBUFS, 3},           {Call::send, ENOBUFS, 3},
      {Call::accept4, ECONNABORTED, 2},
  };
  const std::size_t descriptors = open_descriptors();
  for (const Row& row : table) {
    SCOPED_TRACE(std::string(sys::name_of(row.call)) + ": " + std::strerror(row.error));
    std::uint64_t shots = 0;
    while (shots < 200 && live_with(row, shots)) ++shots;
    EXPECT_GE(shots, row.at_least) << "the test proves nothing";
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

// A listener that paused must continue, also if epoll has no memory at that moment.
TEST(Faults, X29_AListenerThatCannotComeBackTriesAgain) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const sys::Fault pause(Call::accept4, {.error = EMFILE, .times = 1});
    const sys::Fault refused(Call::epoll_ctl, {.error = ENOMEM, .after = 1, .times = 3});
    EXPECT_EQ(clean_echoes(house.port(), 10), 11u);
    aftermath.expect_fired(pause.fired(), "accept4");
    aftermath.expect_fired(refused.fired(), "epoll_ctl", 3);
  }
  house.forget_log();
  aftermath.expect_clean();
}

// A write notices first that the peer is gone. The session receives on_close at once, and not only
// after the keepalive's deadline.
TEST(Faults, X29_AWriteThatFailsEndsTheConnection) {
  const sys::Bystander bystander;
  constexpr auto never = std::chrono::nanoseconds::max();
  House house({.timeouts = {.silence = never, .pong = never}});
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  for (const int error : {EPIPE, ECONNRESET, ENOBUFS}) {
    ASSERT_TRUE(eventually([&] { return house.server.counters().connections_open == 0; }));
    const std::uint64_t closes = house.closes();
    const sys::Fault fault(Call::send, {.error = error, .after = 1, .times = 1});
    RawClient client(house.port());
    ASSERT_TRUE(client.upgrade());
    client.send(text("Hello"));
    EXPECT_TRUE(eventually([&] { return house.closes() == closes + 1; }));
    client.body(1'000);  // until the server ends TCP
    aftermath.expect_fired(fault.fired(), "send");
  }
  aftermath.expect_clean();
}

// A connection whose peer address cannot be read is served like any other.
TEST(Faults, X29_AConnectionWithoutANameIsServed) {
  const sys::Bystander bystander;
  House house;
  house.server.get("/", [](const Request& request) {
    return Response::text("from " + std::string(request.remote_address()));
  });
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const sys::Fault fault(Call::getpeername, {.error = ENOTCONN});
    EXPECT_EQ(clean_echoes(house.port(), 10), 11u);
    RawClient client(house.port());
    EXPECT_TRUE(client.ask(page_request()).starts_with("HTTP/1.1 200 "));
    aftermath.expect_fired(fault.fired(), "getpeername");
  }
  aftermath.expect_clean();
}

// write() to the eventfd returns EAGAIN, as if its counter were full. Posted functions run
// nevertheless.
TEST(Faults, X29_PostsArriveThoughTheEventfdIsFull) {
  Loop loop;
  std::thread thread([&] { EXPECT_TRUE(loop.run()); });
  const sys::Fault full(Call::write, {.error = EAGAIN, .percent = 50, .seed = 29});
  int ran = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::atomic<bool> done = false;
    ASSERT_TRUE(loop.post([&] {
      ++ran;
      done = true;
    }));
    ASSERT_TRUE(eventually([&] { return done.load(); }));
  }
  loop.stop();
  thread.join();
  EXPECT_EQ(ran, 1'000);
  EXPECT_GE(full.fired(), 100u) << "the test proves nothing";
}

// Runs one life of a client with one failure. Returns whether the failure happened.
bool dial_with(const Row& row, std::uint64_t number, const std::string& url) {
  const sys::Fault fault(row.call, {.error = row.error, .after = number, .times = 1});
  auto dialed = dial(url);
  if (!dialed) {
    EXPECT_FALSE(dialed.error().message().empty());
    EXPECT_TRUE(fault.fired() > 0) << dialed.error().message();
    return true;
  }
  std::string got;
  for (int i = 0; i < 3; ++i) {
    if (!dialed->send(std::string_view("Hello")) || !dialed->receive(got)) break;
    EXPECT_EQ(got, "Hello");
  }
  dialed->close(CloseCode::normal, {}, std::chrono::seconds(20));
  EXPECT_TRUE(fault.fired() > 0 || dialed->close_info().clean);
  return fault.fired() > 0;
}

TEST(Faults, X29_AClientSurvivesEachRefusedCall) {
  const std::vector<Row> table = {
      {Call::socket, EMFILE, 1},        {Call::connect, EADDRNOTAVAIL, 1},
      {Call::getsockopt, ENOBUFS, 1},   {Call::getsockname, ENOBUFS, 1},
      {Call::getpeername, ENOTCONN, 1}, {Call::setsockopt, ENOPROTOOPT, 1},
      {Call::eventfd, EMFILE, 1},       {Call::ppoll, ENOMEM, 3},
      {Call::recv, ENOBUFS, 3},         {Call::send, ENOBUFS, 3},
  };
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  for (const Row& row : table) {
    SCOPED_TRACE(std::string(sys::name_of(row.call)) + ": " + std::strerror(row.error));
    std::uint64_t shots = 0;
    while (shots < 200 && dial_with(row, shots, house.url())) ++shots;
    aftermath.expect_fired(shots, sys::name_of(row.call), row.at_least);
  }
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test
