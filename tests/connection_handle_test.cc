// Handles: from other threads, after the end, compared and hashed; timers that die with their
// connection; shared messages.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <chrono>
#include <future>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

struct Handing {
  Inbox<Handle> handles{};
  Inbox<CloseInfo> ends{};
  RunningServer running{};
  std::uint16_t port;

  Handing() {
    running.server.route(
        "/echo",
        Handlers{.on_open = [this](Connection& conn) { handles.put(conn.handle()); },
                 .on_message = [](Connection& conn, Message message) { conn.send(message); },
                 .on_close = [this](Connection&, const CloseInfo& info) { ends.put(info); }});
    port = running.start();
  }
};

// The call returns it in the other thread, and the loop does not log it.
TEST(ConnectionHandle, Rfc6455_5_6_TextThatIsNotUtf8IsNotSent) {
  Handing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  const auto handle = server.handles.take();
  ASSERT_TRUE(handle);
  const Message bad("caf\xE9");
  EXPECT_FALSE(handle->send(bad));
  EXPECT_FALSE(handle->send(SharedMessage(bad)));
  EXPECT_TRUE(handle->send(Message(MessageType::binary, bad.bytes())));
  EXPECT_TRUE(handle->send("caf\xC3\xA9"));
  EXPECT_TRUE(handle->send(bad, {.check_text = false}));
  EXPECT_EQ(client.next(), "binary caf\xE9");
  EXPECT_EQ(client.next(), "text caf\xC3\xA9");
  EXPECT_EQ(client.next(), "text that is not UTF-8") << "the caller did not want the check";
}

TEST(ConnectionHandle, ManyThreadsKeepTheOrderOfEachOne) {
  Handing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  const auto handle = server.handles.take();
  ASSERT_TRUE(handle);
  constexpr int threads = 4;
  constexpr int each = 2000;
  std::vector<std::thread> senders;
  for (int t = 0; t < threads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        const std::string message = std::to_string(t) + ' ' + std::to_string(i);
        if (i % 2 == 0) {
          EXPECT_TRUE(handle->send(message));
        } else {
          EXPECT_TRUE(handle->send(SharedMessage(message)));
        }
      }
    });
  }
  std::vector<int> next(threads, 0);
  for (int i = 0; i < threads * each; ++i) {
    const auto frame = client.frame();
    ASSERT_TRUE(frame);
    const auto t = static_cast<std::size_t>(frame->payload[0] - '0');
    EXPECT_EQ(frame->payload.substr(2), std::to_string(next[t]++));
  }
  for (std::thread& sender : senders) sender.join();
}

TEST(ConnectionHandle, AnOldHandleDoesNothingWhenItsSlotIsUsedAgain) {
  Handing server;
  std::optional<Handle> stale;
  {
    RawClient client(server.port);
    ASSERT_TRUE(client.upgrade());
    stale = server.handles.take();
    client.send(closing(1000));
    EXPECT_EQ(client.next(), "close 1000");
  }
  ASSERT_TRUE(server.ends.take());
  RawClient other(server.port);
  ASSERT_TRUE(other.upgrade());
  const auto fresh = server.handles.take();
  ASSERT_TRUE(stale && fresh);
  std::atomic<bool> ran{false};
  EXPECT_TRUE(stale->send("not for you"));
  EXPECT_TRUE(stale->close());
  EXPECT_TRUE(stale->post([&](Connection&) { ran = true; }));
  EXPECT_TRUE(fresh->send("for you"));
  EXPECT_EQ(other.next(), "text for you");
  EXPECT_FALSE(ran);
  EXPECT_NE(*stale, *fresh);
}

TEST(ConnectionHandle, ReturnsFalseWithoutALoop) {
  std::optional<Handle> handle;
  {
    Handing server;
    RawClient client(server.port);
    ASSERT_TRUE(client.upgrade());
    handle = server.handles.take();
  }
  ASSERT_TRUE(handle);
  EXPECT_FALSE(handle->send("x"));
  EXPECT_FALSE(handle->close());
  EXPECT_FALSE(handle->post([](Connection&) {}));
  EXPECT_FALSE(Handle().send("x"));
  EXPECT_EQ(Handle(), Handle());
}

// Holds a server's loop inside of a handler, so that posts to it wait.
struct Held {
  Inbox<Handle> handles{};
  std::promise<void> holds{};
  std::promise<void> goes_on{};
  RunningServer running;
  RawClient client;
  Handle handle{};

  explicit Held(ServerOptions options) : running(std::move(options)), client(start()) {
    EXPECT_TRUE(client.upgrade());
    handle = handles.take().value_or(Handle());
    client.send(text("hold"));
    holds.get_future().wait();
  }
  std::uint16_t start() {
    running.server.route(
        "/echo", Handlers{.on_open = [this](Connection& conn) { handles.put(conn.handle()); },
                          .on_message =
                              [this](Connection&, Message) {
                                holds.set_value();
                                goes_on.get_future().wait();
                              }});
    return running.start();
  }
};

TEST(ConnectionHandle, SendReturnsFalseWhenTheMailboxIsFullOfBytes) {
  Held server({.max_posted_bytes = 100'000});
  const std::string large(60'000, 'l');
  const std::string small(40'000, 's');
  const SharedMessage shared{Message(std::string_view(large))};
  EXPECT_TRUE(server.handle.send(shared));
  EXPECT_TRUE(server.handle.send(shared)) << "the same bytes once more";
  EXPECT_FALSE(server.handle.send(std::string_view(large)));
  EXPECT_TRUE(server.handle.send(std::string_view(small)));
  EXPECT_FALSE(server.handle.send("x"));
  EXPECT_FALSE(server.handle.close(CloseCode::normal, "reason"));
  EXPECT_TRUE(server.handle.post([](Connection& conn) { conn.send("posted"); }));
  EXPECT_TRUE(server.handle.close()) << "without a reason it has no bytes";
  server.goes_on.set_value();
  for (const std::string& expected : {large, large, small, std::string("posted")}) {
    const auto frame = server.client.frame();
    ASSERT_TRUE(frame);
    EXPECT_TRUE(frame->payload == expected);
  }
  EXPECT_EQ(server.client.next(), "close 1000");
}

TEST(ConnectionHandle, AnEmptyMailboxTakesAMessageAboveTheBound) {
  Held server({.max_posted = 2, .max_posted_bytes = 10});
  EXPECT_TRUE(server.handle.send("larger than the bound"));
  EXPECT_FALSE(server.handle.send("x"));
  EXPECT_TRUE(server.handle.post([](Connection&) {}));
  EXPECT_FALSE(server.handle.post([](Connection&) {})) << "two wait";
  server.goes_on.set_value();
  EXPECT_EQ(server.client.next(), "text larger than the bound");
}

TEST(ConnectionHandle, HasAnOrderAndAHash) {
  Handing server;
  std::set<Handle> ordered;
  std::unordered_set<Handle> hashed;
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(server.port);
    ASSERT_TRUE(clients.back().upgrade());
    const auto handle = server.handles.take();
    ASSERT_TRUE(handle);
    for (int twice = 0; twice < 2; ++twice) {
      ordered.insert(*handle);
      hashed.insert(*handle);
    }
  }
  EXPECT_EQ(ordered.size(), 5u);
  EXPECT_EQ(hashed.size(), 5u);
}

TEST(ConnectionHandle, ClosesFromAnotherThread) {
  Handing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  const auto handle = server.handles.take();
  ASSERT_TRUE(handle);
  EXPECT_TRUE(handle->close(CloseCode::going_away, "moved"));
  EXPECT_EQ(client.next(), "close 1001 moved");
}

TEST(ConnectionTimers, DieWithTheConnection) {
  Inbox<bool> ended;
  std::atomic<int> after_end{0};
  std::atomic<bool> over{false};
  RunningServer running;
  running.server.route(
      "/echo", Handlers{.on_open =
                            [&](Connection& conn) {
                              const TimerId gone = conn.after(
                                  1ms, [&](Connection&) { ADD_FAILURE() << "it was cancelled"; });
                              EXPECT_TRUE(conn.cancel(gone));
                              EXPECT_FALSE(conn.cancel(gone));
                              conn.every(1ms, [&](Connection& same) {
                                if (over) ++after_end;
                                same.send("tick");
                              });
                            },
                        .on_message = [](Connection& conn, Message) { conn.close(); },
                        .on_close =
                            [&](Connection&, const CloseInfo&) {
                              over = true;
                              ended.put(true);
                            }});
  running.server.route("/other", echo());
  const std::uint16_t port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.next(), "text tick");
  client.send(text("enough"));
  for (auto frame = client.frame(); frame; frame = client.frame()) {
    if (frame->opcode == 8) client.send(closing(1000));
  }
  ASSERT_TRUE(ended.take());
  // The peer does not end TCP, so the server lingers. Its loop turns, and time passes.
  RawClient other(port);
  ASSERT_TRUE(other.upgrade("/other"));
  const auto until = std::chrono::steady_clock::now() + 50ms;
  do {
    other.send(text("x"));
    ASSERT_EQ(other.next(), "text x");
  } while (std::chrono::steady_clock::now() < until);
  EXPECT_EQ(after_end, 0);
}

TEST(ConnectionSend, ASharedMessageReachesAllConnections) {
  Handing server;
  std::vector<RawClient> clients;
  std::vector<Handle> handles;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(server.port);
    ASSERT_TRUE(clients.back().upgrade());
    handles.push_back(server.handles.take().value());
  }
  for (const std::size_t size : {0u, 10u, 100'000u}) {
    const std::string payload(size, 's');
    const SharedMessage shared{Message(MessageType::binary, payload)};
    for (const Handle& handle : handles) EXPECT_TRUE(handle.send(shared));
    for (RawClient& client : clients) {
      const auto frame = client.frame();
      ASSERT_TRUE(frame);
      EXPECT_EQ(frame->opcode, 2u);
      EXPECT_TRUE(frame->payload == payload);
    }
  }
}

}  // namespace
}  // namespace tern::test
