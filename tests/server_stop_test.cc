// The end of a server: all receive 1001, accepted messages are written, the port is free, and run()
// returns.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(ServerStop, Rfc6455_7_4_1_AllReceive1001AndThePortIsFree) {
  RunningServer running({.threads = 2});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(port);
    ASSERT_TRUE(clients.back().upgrade());
  }
  running.server.stop();
  for (RawClient& client : clients) {
    EXPECT_EQ(client.next(), "close 1001");
    client.send(closing(1001));
    EXPECT_TRUE(client.ends());
    client.finish();
  }
  running.join();
  EXPECT_FALSE(RawClient(port).connected());
  Server again({.host = "127.0.0.1", .port = port});
  EXPECT_TRUE(again.listen());
  EXPECT_EQ(again.port(), port);
}

TEST(ServerStop, AcceptedMessagesAreWrittenFirst) {
  const std::string large(900'000, 'x');
  RunningServer running;
  running.server.route("/echo", Handlers{.on_message = [&](Connection& conn, Message) {
                         conn.send(large);
                         running.server.stop();
                       }});
  RawClient client(running.start(), 4096);
  ASSERT_TRUE(client.upgrade());
  client.send(text("go"));
  const auto answer = client.frame();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->payload == large);
  EXPECT_EQ(client.next(), "close 1001");
  client.send(closing(1001));
  EXPECT_TRUE(client.ends());
  client.finish();
  running.join();
}

TEST(ServerStop, StopsUnderLoadFromManyClients) {
  RunningServer running({.threads = 2});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  Inbox<int> busy;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      RawClient client(port);
      if (!client.upgrade()) return;
      busy.put(i);
      for (;;) {
        client.send(wire(Role::client, {text("a"), text("b"), text("c")}));
        const auto frame = client.frame();
        if (!frame) return;
        if (frame->opcode != 8) continue;
        EXPECT_EQ(to_string(*frame), "close 1001");
        client.send(closing(1001));
        EXPECT_TRUE(client.ends());
        return;
      }
    });
  }
  for (int i = 0; i < 8; ++i) busy.take();
  running.stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(running.server.counters().connections_open, 0u);
}

TEST(ServerStop, AStopBeforeRunMakesItReturnAtOnce) {
  Server server({.host = "127.0.0.1"});
  server.stop();
  server.stop();
  EXPECT_TRUE(server.run());
}

TEST(ServerStop, EndsKeptAndUnfinishedConnections) {
  RunningServer running;
  running.server.get("/", [](const Request&) { return Response::text("x"); });
  const std::uint16_t port = running.start();
  RawClient kept(port);
  kept.ask(page_request("/"));
  kept.body(1);
  RawClient begun(port);
  begun.send("GET / HT");
  RawClient silent(port);
  ASSERT_TRUE(RawClient(port).ask(page_request("/")).starts_with("HTTP/1.1 200"));
  running.stop();
  EXPECT_TRUE(kept.ends());
  EXPECT_TRUE(begun.ends());
  EXPECT_TRUE(silent.ends());
}

// Runs in a child, because a signal goes to a process. The calling thread blocks the signal, as
// every thread of a program that uses stop_on must.
void serve_until_terminated() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Server server({.host = "127.0.0.1", .stop_on = {SIGTERM}});
  server.get("/", [](const Request&) { return Response::text("x"); });
  if (!server.listen()) ::_exit(2);
  std::thread asker([port = server.port()] {
    RawClient client(port);
    client.ask(page_request("/"));
    ::kill(::getpid(), SIGTERM);
  });
  const bool ran = static_cast<bool>(server.run());
  asker.join();
  ::_exit(ran ? 0 : 1);
}

TEST(ServerStop, StopsBySignal) {
  const pid_t child = ::fork();
  if (child == 0) serve_until_terminated();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ServerListen, NamesThePortThatIsInUse) {
  RunningServer running;
  const std::uint16_t port = running.start();
  Server second({.host = "127.0.0.1", .port = port, .threads = 3});
  const auto listening = second.listen();
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().code(), std::errc::address_in_use);
  EXPECT_EQ(listening.error().message(),
            "listen 127.0.0.1:" + std::to_string(port) + ": Address already in use");
}

TEST(ServerListen, RefusesAHostThatIsNotAnAddress) {
  Server server({.host = "no such address"});
  const auto ran = server.run();
  ASSERT_FALSE(ran);
  EXPECT_EQ(
      ran.error().message(),
      "listen: host must be an address, a name or \"unix:\" and a path, and \"no such address\" is "
      "none of them");
}

TEST(ServerListen, RefusesASecondRunAtTheSameTime) {
  RunningServer running;
  running.server.get("/", [](const Request&) { return Response::text("x"); });
  RawClient client(running.start());
  client.ask(page_request("/"));  // run() runs
  const auto again = running.server.run();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::already_running);
}

}  // namespace
}  // namespace tern::test
