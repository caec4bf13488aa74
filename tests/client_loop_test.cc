// The Client on a loop: attempts, sessions, ends, and destruction in every place. The peer is a
// Server of tern, or a script on a plain socket where a fault is needed.
#include "tern/client.h"
#include "tern/server.h"

#include "support/running_server.h"
#include "support/socket_peer.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using tern::Client;
using tern::ClientOptions;
using tern::ClientState;
using tern::Connection;
using tern::Ended;
using tern::Errc;
using tern::Loop;
using tern::Message;
using tern::Retry;
using tern::Stage;
using tern::test::Listener;
using tern::test::RunningServer;

// A test that waits in vain fails instead of hanging.
void run(Loop& loop) {
  bool in_time = true;
  const tern::TimerId watchdog = loop.after(std::chrono::seconds(60), [&] {
    in_time = false;
    loop.stop();
  });
  const auto ran = loop.run();
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().message());
  EXPECT_TRUE(in_time) << "nothing happened for 60 s";
  loop.cancel(watchdog);
}

std::string url_of(std::uint16_t port, const std::string& path = "/") {
  return "ws://127.0.0.1:" + std::to_string(port) + path;
}

TEST(ClientLoop, SendsAndReceives) {
  RunningServer served;
  served.server.route("/", tern::test::echo());
  Loop loop;
  std::vector<std::string> events;
  ClientOptions options{.retry = Retry::never()};
  options.on_ended = [&](const Ended& ended) {
    ASSERT_NE(ended.close, nullptr);
    EXPECT_EQ(ended.stage, Stage::open);
    EXPECT_FALSE(ended.wait);
    events.push_back("ended");
    loop.stop();
  };
  Client client(loop, url_of(served.start()), std::move(options));
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    EXPECT_EQ(client.state(), ClientState::open);
                                    events.push_back("open");
                                    conn.send("hello");
                                  },
                              .on_message =
                                  [&](Connection&, Message message) {
                                    events.emplace_back(message.text());
                                    client.stop();
                                  },
                              .on_close =
                                  [&](Connection&, const tern::CloseInfo& info) {
                                    EXPECT_TRUE(info.clean);
                                    events.push_back("close");
                                  }}));
  run(loop);
  EXPECT_EQ(events, (std::vector<std::string>{"open", "hello", "close", "ended"}));
  EXPECT_EQ(client.state(), ClientState::stopped);
  EXPECT_FALSE(client.error());
}

}  // namespace
