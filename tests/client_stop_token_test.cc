// DialOptions::stop: it ends an attempt, and closes an open connection with 1001. For a Client on a
// loop and for a BlockingClient.
#include "tern/client.h"
#include "tern/dial.h"
#include "tern/server.h"

#include "support/engine_server.h"
#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <chrono>
#include <future>
#include <gtest/gtest.h>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// ---- a client on a loop

TEST(ClientStopToken, EndsTheAttemptOfAClient) {
  const Listener silent;
  std::stop_source source;
  Recorded recorded;
  recorded.client(silent.url(), {.dial = {.stop = source.get_token()}});
  recorded.connect();
  recorded.loop.after({}, [&] { source.request_stop(); });
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::stopped);
  EXPECT_TRUE(recorded.ends[0].last);
}

// From the loop's thread and from another one.
TEST(ClientStopToken, Rfc6455_7_4_1_ClosesTheConnectionOfAClientWith1001) {
  RunningServer served;
  Inbox<std::string> received;
  Inbox<CloseInfo> closed;
  served.server.route(
      "/", {.on_message = [&](Connection&,
                              Message message) { received.put(std::string(message.text())); },
            .on_close = [&](Connection&, const CloseInfo& info) { closed.put(info); }});
  const std::string url = url_of(served.start());
  for (const bool other_thread : {false, true}) {
    std::stop_source source;
    std::jthread stopper;
    Recorded recorded(99);
    Client& client = recorded.client(url, {.dial = {.stop = source.get_token()}, .retry = quick()});
    ASSERT_TRUE(client.connect({.on_open =
                                    [&](Connection& conn) {
                                      conn.send("before");
                                      if (!other_thread) return void(source.request_stop());
                                      stopper = std::jthread([&] { source.request_stop(); });
                                    },
                                .on_message = [](Connection&, Message) {}}));
    run(recorded.loop);
    EXPECT_EQ(received.take(), "before");
    const auto info = closed.take();
    ASSERT_TRUE(info);
    EXPECT_TRUE(info->clean);
    EXPECT_EQ(info->code, CloseCode::going_away);
    ASSERT_EQ(recorded.ends.size(), 1u);
    EXPECT_TRUE(recorded.ends[0].was_open);
    EXPECT_TRUE(recorded.ends[0].last);
    EXPECT_EQ(client.state(), ClientState::stopped);
    EXPECT_FALSE(client.error());

    client.reconnect();  // the stop still holds
    run(recorded.loop);
    ASSERT_EQ(recorded.ends.size(), 2u);
    EXPECT_EQ(recorded.ends[1].code, Errc::stopped);
    EXPECT_EQ(client.state(), ClientState::stopped);
  }
}

// The code of stop() stands, because it came first.
TEST(ClientStopToken, ChangesNothingAfterStop) {
  RunningServer served;
  Inbox<CloseInfo> closed;
  served.server.route("/",
                      {.on_message = [](Connection&, Message) {},
                       .on_close = [&](Connection&, const CloseInfo& info) { closed.put(info); }});
  std::stop_source source;
  Recorded recorded(99);
  Client& client = recorded.client(url_of(served.start()), {.dial = {.stop = source.get_token()}});
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    client.stop(CloseCode(4000), "bye");
                                    source.request_stop();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  const auto info = closed.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode(4000));
  EXPECT_EQ(recorded.ends.size(), 1u);
}

// ---- a blocking client

constexpr auto enough = 4min;  // for events that come at once unless the machine is busy
// A ScriptedPeer answers no pings. So the client's pings are off.
const DialOptions patient{.timeout = 5min, .timeouts = {.silence = 5min, .stall = 5min}};

BlockingClient connected(const ScriptedPeer& peer, const DialOptions& options) {
  return dial(peer.url(), options).value();
}

std::error_code receive_error(BlockingClient& client) {
  std::string payload;
  const auto received = client.receive(payload);
  return received ? std::error_code() : received.error().code();
}

DialOptions stopped_by(const std::stop_source& source) {
  DialOptions options = patient;
  options.stop = source.get_token();
  return options;
}

TEST(ClientStopToken, Rfc6455_7_4_1_EndsAReceiveInProgressWith1001) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade({}, wire(Role::server, text("go")));
    FrameSource frames(socket);
    EXPECT_EQ(frames.next_text(), "close 1001");
    socket.send(closing(1001));
  });
  std::stop_source source;
  BlockingClient client = connected(peer, stopped_by(source));
  std::promise<void> receiving;
  std::jthread receiver([&] {
    std::string payload;
    EXPECT_TRUE(client.receive(payload));
    receiving.set_value();
    EXPECT_EQ(client.receive(payload).error().code(), Errc::closed);
  });
  receiving.get_future().wait();
  EXPECT_TRUE(source.request_stop());
  receiver.join();
  const CloseInfo end = client.close_info();
  EXPECT_TRUE(end.clean);
  EXPECT_FALSE(end.by_peer);
  EXPECT_EQ(end.code, CloseCode::going_away);
  EXPECT_EQ(client.send("x").error().code(), Errc::closed);
}

// Nothing moves the connection but the stop itself.
TEST(ClientStopToken, SendsTheCloseFrameBetweenTwoCalls) {
  std::promise<std::string> close;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    close.set_value(frames.next_text());
    socket.send(closing(1001));
    socket.receive_end();
  });
  std::stop_source source;
  BlockingClient client = connected(peer, stopped_by(source));
  source.request_stop();
  EXPECT_EQ(close.get_future().get(), "close 1001");
  EXPECT_EQ(receive_error(client), Errc::closed);
}

TEST(ClientStopToken, WaitsForTheAnswerOnlyAsLongAsClose) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.receive_end();
  });
  std::stop_source source;
  DialOptions options = stopped_by(source);
  options.timeouts.close = 50ms;
  BlockingClient client = connected(peer, options);
  source.request_stop();
  EXPECT_EQ(receive_error(client), Errc::close_timeout);
}

TEST(ClientStopToken, DoesNothingAfterTheEndOrTheDestruction) {
  ScriptedPeer peer([](Socket& socket) { serve_echo(socket); });
  std::stop_source source;
  {
    BlockingClient client = connected(peer, stopped_by(source));
    EXPECT_TRUE(client.close(CloseCode::normal, {}, enough));
    std::optional<BlockingClient> moved(std::move(client));
    moved.reset();
  }
  EXPECT_TRUE(source.request_stop());
}

// The threads call at the same time; ThreadSanitizer looks on.
TEST(ClientStopToken, MayStopAtAnyTimeOfOtherCalls) {
  for (int i = 0; i < 20; ++i) {
    ScriptedPeer peer([](Socket& socket) { serve_echo(socket); });
    std::stop_source source;
    std::optional<BlockingClient> client(connected(peer, stopped_by(source)));
    std::jthread stopper([&] { source.request_stop(); });
    std::jthread sender([&] {
      while (client->send("x")) {
      }
    });
    std::string payload;
    while (client->receive(payload)) {
    }
    EXPECT_TRUE(client->close_info().clean);
    sender.join();
    client.reset();
  }
}

}  // namespace
}  // namespace tern::test
