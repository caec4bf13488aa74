// Limits and deadlines over sockets, each at the limit and one beyond.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <cstddef>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

TEST(ServerLimits, Rfc6455_7_4_1_AMessageAboveTheLimitIs1009) {
  RunningServer running;
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());
  client.send(binary(std::string(1 << 20, 'x')));
  const auto answer = client.frame();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload.size(), std::size_t{1} << 20);
  client.send(wire_header(Role::client, binary(""), (1 << 20) + 1));
  EXPECT_EQ(client.next(), failure(Errc::message_too_big));
  EXPECT_TRUE(client.ends());
}

TEST(ServerLimits, TooManyFragmentsAre1008) {
  RunningServer running({.limits = {.max_fragments = 4}});
  running.server.route("/echo", echo());
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("a", false), more("", false), more("b", false), more("c")}));
  EXPECT_EQ(client.next(), "text abc");
  client.send(wire(Role::client, {text("a", false), more("", false), more("", false),
                                  more("", false), more("", false)}));
  EXPECT_EQ(client.next(), failure(Errc::too_many_fragments));
}

TEST(ServerLimits, AQueueBeyondTheLimitEndsTheSlowPeer) {
  Inbox<CloseInfo> ends;
  Inbox<std::size_t> accepted;
  RunningServer running(
      {.limits = {
           .max_queued_bytes = 100'000, .high_water_bytes = 25'000, .low_water_bytes = 5'000}});
  running.server.route(
      "/flood", Handlers{.on_message =
                             [&](Connection& conn, Message) {
                               std::size_t count = 0;
                               while (conn.send(std::string(10'000, 'x'))) ++count;
                               EXPECT_LE(conn.queued_bytes(), 101'000u);
                               accepted.put(count);
                             },
                         .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  RawClient client(running.start(), 4096);
  ASSERT_TRUE(client.upgrade("/flood"));
  client.send(text("go"));
  EXPECT_GT(accepted.take().value_or(0), 9u) << "the kernel and the queue take some";
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::peer_too_slow);
  EXPECT_EQ(info->code, CloseCode::policy_violation);
  // Frames that were not begun are dropped. The frame in progress ends, and then the Close frame
  // comes.
  std::string last;
  for (auto frame = client.frame(); frame; frame = client.frame()) last = to_string(*frame);
  EXPECT_EQ(last, failure(Errc::peer_too_slow));
}

TEST(ServerLimits, RejectKeepsTheConnection) {
  Inbox<SendStatus> statuses;
  Inbox<bool> drained;
  RunningServer running({.limits = {.max_queued_bytes = 100'000,
                                    .high_water_bytes = 25'000,
                                    .low_water_bytes = 1'000,
                                    .overflow = Overflow::reject}});
  running.server.route("/flood",
                       Handlers{.on_message =
                                    [&](Connection& conn, Message) {
                                      SendStatus status = SendStatus::queued;
                                      while ((status = conn.send(std::string(10'000, 'x')))) {
                                      }
                                      statuses.put(status);
                                    },
                                .on_drain =
                                    [&](Connection& conn) {
                                      conn.send("drained");
                                      drained.put(true);
                                    }});
  RawClient client(running.start(), 4096);
  ASSERT_TRUE(client.upgrade("/flood"));
  client.send(text("go"));
  const auto status = statuses.take();
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, SendStatus::full);
  for (auto frame = client.frame(); frame; frame = client.frame()) {
    if (frame->opcode == 1 && frame->payload == "drained") break;
  }
  EXPECT_TRUE(drained.take());
  EXPECT_TRUE(drained.empty());
}

TEST(ServerLimits, AFastPeerSurvivesAHandlerThatSendsMuch) {
  Inbox<bool> done;
  RunningServer running({.limits = {.max_queued_bytes = 100'000, .high_water_bytes = 100'000}});
  running.server.route("/flood", Handlers{.on_message = [&](Connection& conn, Message) {
                         for (int i = 0; i < 12; ++i) {
                           EXPECT_TRUE(conn.send(std::string(50'000, 'x'))) << i;
                         }
                         done.put(true);
                       }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/flood"));
  client.send(text("go"));
  EXPECT_TRUE(done.take());
  for (int i = 0; i < 12; ++i) {
    const auto frame = client.frame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->payload.size(), 50'000u);
  }
}

TEST(ServerLimits, APeerThatTakesNoByteIsDropped) {
  Inbox<CloseInfo> ends;
  RunningServer running({.limits = {.max_queued_bytes = 64 << 20}, .timeouts = {.stall = 200ms}});
  running.server.route(
      "/flood", Handlers{.on_message = [](Connection& conn,
                                          Message) { conn.send(std::string(32 << 20, 'x')); },
                         .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  RawClient client(running.start(), 4096);
  ASSERT_TRUE(client.upgrade("/flood"));
  client.send(text("go"));
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::write_stalled);
}

TEST(ServerLimits, ConnectionsAboveTheLimitReceive503) {
  RunningServer running({.max_connections = 2});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient first(port);
  RawClient second(port);
  ASSERT_TRUE(first.upgrade());
  ASSERT_TRUE(second.upgrade());
  RawClient third(port);
  EXPECT_TRUE(third.head().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(third.ends());
  second.send(closing(1000));
  EXPECT_EQ(second.next(), "close 1000");
  EXPECT_TRUE(second.ends());
  second.reset();
  // The place is free once the server has read the end. Until then new connections receive 503.
  for (;;) {
    RawClient next(port);
    next.send(upgrade_request());
    if (next.head().starts_with("HTTP/1.1 101 ")) break;
  }
  EXPECT_GE(running.server.counters().connections_rejected, 1u);
}

TEST(ServerLimits, TheOldestUnfinishedHandshakeIsDropped) {
  RunningServer running({.max_unfinished_handshakes = 2});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient first(port);
  RawClient second(port);
  first.send("GET /echo HTTP/1.1\r\n");
  second.send("GET /echo HTTP/1.1\r\n");
  RawClient third(port);  // waits until the oldest is a second old, then takes its place
  ASSERT_TRUE(third.upgrade());
  EXPECT_TRUE(first.ends());
  second.send("Host: a\r\n\r\n");
  EXPECT_TRUE(second.head().starts_with("HTTP/1.1 426 "));
}

TEST(ServerLimits, ABodyThatArrivesIsNoUnfinishedHandshake) {
  RunningServer running({.max_unfinished_handshakes = 1});
  running.server.route("/echo", echo());
  running.server.post(
      "/form", [](const Request& request) { return Response::text(std::string(request.body())); });
  const std::uint16_t port = running.start();
  RawClient slow(port);
  slow.send("POST /form HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_TRUE(slow.head().starts_with("HTTP/1.1 100 "));
  RawClient silent(port);
  RawClient other(port);  // takes the place of the silent one
  ASSERT_TRUE(other.upgrade());
  EXPECT_TRUE(silent.ends());
  slow.send("late");
  EXPECT_TRUE(slow.head().starts_with("HTTP/1.1 200 "));
}

// The next ping comes only after the answer to the last one.
TEST(ServerLimits, Rfc6455_5_5_2_ASilentPeerThatAnswersPingsStays) {
  RunningServer running({.timeouts = {.silence = 20ms, .pong = 60s}});
  running.server.route("/echo", echo());
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.next(), "ping tern-" + std::to_string(i + 1));
    client.send(pong());
  }
  EXPECT_EQ(client.next(), "ping tern-4");
}

// The session sees the round trip in its on_pong already.
TEST(ServerLimits, APongOfTheKeepaliveGivesTheRoundTrip) {
  Inbox<std::optional<RoundTrip>> measured;
  RunningServer running({.timeouts = {.silence = 20ms}});
  running.server.route(
      "/echo", Handlers{.on_open =
                            [&](Connection& conn) {
                              EXPECT_FALSE(conn.rtt());
                              conn.ping();
                            },
                        .on_message = [](Connection&, Message) {},
                        .on_pong = [&](Connection& conn,
                                       std::span<const std::byte>) { measured.put(conn.rtt()); }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  EXPECT_EQ(client.next(), "ping");
  client.send(pong());
  EXPECT_EQ(measured.take(), std::optional<std::optional<RoundTrip>>(std::in_place))
      << "the application's own ping is not measured";
  // On a busy machine an answer may come after the next ping. Then it does not count.
  std::optional<RoundTrip> time;
  while (!time) {
    const auto ping = client.frame();
    ASSERT_TRUE(ping);
    ASSERT_TRUE(ping->payload.starts_with("tern-")) << ping->payload;
    client.send(pong(ping->payload));
    time = measured.take().value_or(std::nullopt);
  }
  EXPECT_GT(time->last, 0ns);
  EXPECT_EQ(time->smoothed, time->last);
}

TEST(ServerLimits, Rfc6455_5_5_2_SilenceAfterAPingEndsTheConnection) {
  Inbox<CloseInfo> ends;
  RunningServer running({.timeouts = {.silence = 100ms, .pong = 100ms}});
  running.server.route("/echo", silent(ends));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  EXPECT_EQ(client.next(), "ping tern-1");
  EXPECT_TRUE(client.ends());
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::pong_timeout);
}

}  // namespace
}  // namespace tern::test
