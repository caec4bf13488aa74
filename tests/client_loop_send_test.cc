// The Client on a loop: the outbox, in its order, also if it holds more than the queue of a
// connection takes at once.
#include "tern/client.h"
#include "tern/server.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <chrono>
#include <gtest/gtest.h>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

std::string numbered(int number, std::size_t bytes) {
  return std::to_string(number) + std::string(bytes, '.');
}

// Without on_drain, so that nothing but the client continues.
struct Login {
  explicit Login(std::string text) : text_(std::move(text)) {}
  void on_open(Connection& conn) { conn.send(text_); }
  void on_message(Connection&, Message) {}
  std::string text_;
};

// The first two bytes of each of `count` messages that a client sends; then the connection ends.
std::vector<std::string> read_messages(Socket& socket, std::size_t count) {
  std::vector<std::string> received;
  FrameSource frames(socket);
  while (received.size() < count) {
    const Frame frame = frames.next();
    if (frame.opcode != 1) break;
    received.push_back(frame.payload.substr(0, 2));
  }
  return received;
}

const std::vector<std::string> eight{"10", "11", "12", "13", "14", "15", "16", "17"};

TEST(ClientLoopSend, AnOutboxAboveTheHighWaterMarkIsSentWithoutFurtherEvents) {
  constexpr std::size_t bytes = std::size_t{10} << 10;  // the socket takes all at once
  Inbox<std::vector<std::string>> received;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    received.put(read_messages(socket, 8));
  });
  Recorded recorded;
  ClientOptions options{
      .dial = {.limits = {.high_water_bytes = bytes / 2, .low_water_bytes = 0},
               .timeouts = {.silence = std::chrono::hours(1), .stall = std::chrono::hours(1)}},
      .retry = Retry::never()};
  options.outbox = Outbox{.max_bytes = 7 * (bytes + 2)};
  Client& client = recorded.client(peer.url(), std::move(options));
  ASSERT_TRUE(client.connect<Login>(numbered(10, bytes)));
  recorded.loop.after({}, [&] {
    for (int number = 11; number < 18; ++number) EXPECT_TRUE(client.send(numbered(number, bytes)));
  });
  run(recorded.loop);
  EXPECT_EQ(received.take(), eight);
  EXPECT_EQ(client.dropped(), 0u);
}

// A message of the outbox that does not fit must not end the connection with 1008.
TEST(ClientLoopSend, AnOutboxThatFillsTheQueueWaitsForRoom) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20;
  std::latch filled{1};
  Inbox<std::vector<std::string>> received;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    filled.wait();
    received.put(read_messages(socket, 8));
  });
  Recorded recorded;
  ClientOptions options{.dial = {.limits = {.max_message_bytes = 8 * mebibyte,
                                            .max_queued_bytes = 8 * mebibyte,
                                            .high_water_bytes = 8 * mebibyte}},
                        .retry = Retry::never()};
  options.outbox = Outbox{.max_bytes = 7 * mebibyte + mebibyte / 2};
  Client& client = recorded.client(peer.url(), std::move(options));
  ASSERT_TRUE(client.connect<Login>(numbered(10, 7 * mebibyte)));
  recorded.loop.after({}, [&] {
    for (int number = 11; number < 18; ++number) {
      EXPECT_TRUE(client.send(numbered(number, mebibyte)));
    }
  });
  recorded.loop.every(std::chrono::milliseconds(1), [&] {
    if (client.state() != ClientState::connecting && !filled.try_wait()) filled.count_down();
  });
  run(recorded.loop);
  EXPECT_EQ(received.take(), eight);
}

TEST(ClientLoopSend, AMessageGoesBehindThoseOfTheOutbox) {
  Inbox<std::vector<std::string>> received;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    received.put(read_messages(socket, 3));
  });
  Recorded recorded;
  Client& client = recorded.client(peer.url(), {.retry = Retry::never(), .outbox = Outbox{}});
  ASSERT_TRUE(client.connect({.on_open = [&](Connection&) { EXPECT_TRUE(client.send("12")); },
                              .on_message = [](Connection&, Message) {}}));
  recorded.loop.after({}, [&] {
    EXPECT_TRUE(client.send("10"));
    EXPECT_TRUE(client.send("11"));
  });
  run(recorded.loop);
  EXPECT_EQ(received.take(), (std::vector<std::string>{"10", "11", "12"}));
}

TEST(ClientLoopSend, APostedMessageThatDoesNotFitIsCounted) {
  Recorded recorded;
  const Listener silent;
  Client& client = recorded.client(silent.url(), {.outbox = Outbox{.max_messages = 1}});
  recorded.connect();
  recorded.loop.after({}, [&] {
    std::jthread([&] {
      EXPECT_EQ(client.send("kept"), SendStatus::queued);
      EXPECT_EQ(client.send("too many"), SendStatus::queued);
    }).join();
    recorded.loop.after({}, [&] {
      EXPECT_EQ(client.dropped(), 1u);
      recorded.loop.stop();
    });
  });
  run(recorded.loop);
}

TEST(ClientLoopSend, NothingIsKeptWhileTheClientCloses) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()), {.outbox = Outbox{}});
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    client.stop();
                                    EXPECT_EQ(client.send("late"), SendStatus::closed);
                                    std::jthread([&] {
                                      EXPECT_EQ(client.send("late"), SendStatus::closed);
                                    }).join();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  EXPECT_EQ(client.dropped(), 0u);
}

}  // namespace
}  // namespace tern::test
