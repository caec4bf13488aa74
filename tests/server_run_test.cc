// The life of a server: run() again after a stop, stop() outside of run(), the deadline that holds,
// and the functions that other threads may call meanwhile.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <csignal>
#include <future>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// Calls run() on a thread of its own, as often as the test wants.
class Running {
 public:
  explicit Running(Server& server) : server_(server) {
    if (auto listening = server.listen(); !listening) {
      ADD_FAILURE() << listening.error().message();
      return;
    }
    ended_ = std::async(std::launch::async, [&server] { return server.run(); });
  }
  ~Running() {
    if (ended_.valid()) server_.stop(0s);
    EXPECT_TRUE(ends());
  }
  /// Waits for run() to return.
  bool ends() {
    if (!ended_.valid()) return true;
    if (ended_.wait_for(60s) != std::future_status::ready) return false;
    const auto ran = ended_.get();
    EXPECT_TRUE(ran) << ran.error().message();
    return true;
  }

 private:
  Server& server_;
  std::future<Result<void>> ended_{};
};

void expect_echo(std::uint16_t port) {
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());
  client.send(text("hello"));
  EXPECT_EQ(client.next(), "text hello");
}

TEST(ServerRun, ServesAgainAfterAStop) {
  for (const unsigned threads : {1u, 3u}) {
    Server server({.host = "127.0.0.1", .threads = threads});
    server.route("/echo", echo());
    for (std::uint64_t round = 1; round <= 3; ++round) {
      Running running(server);
      expect_echo(server.port());
      server.stop();
      ASSERT_TRUE(running.ends()) << "round " << round;
      EXPECT_FALSE(RawClient(server.port()).connected()) << "the port is free";
      const Counters counters = server.counters();
      EXPECT_EQ(counters.upgrades, round);
      EXPECT_EQ(counters.connections_open, 0u);
    }
  }
}

TEST(ServerRun, AStopOutsideOfRunEndsOnlyTheNextRun) {
  Server server({.host = "127.0.0.1", .threads = 2});
  server.route("/echo", echo());
  ASSERT_TRUE(server.listen());
  server.stop();
  server.stop(0s);
  EXPECT_TRUE(server.run());
  {
    Running running(server);
    expect_echo(server.port());
  }
  server.stop();
  EXPECT_TRUE(server.run());
}

TEST(ServerRun, RunsAfterAnErrorOfListen) {
  Server first({.host = "127.0.0.1"});
  ASSERT_TRUE(first.listen());
  std::optional<Server> taken(std::in_place, ServerOptions{.host = "127.0.0.1"});
  ASSERT_TRUE(taken->listen());
  Server server({.host = "127.0.0.1", .port = taken->port()});
  server.route("/echo", echo());
  for (int i = 0; i < 2; ++i) {
    const auto ran = server.run();
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error().code(), std::errc::address_in_use);
  }
  taken.reset();
  Running running(server);
  expect_echo(server.port());
}

TEST(ServerRun, HandlesReturnFalseAfterRun) {
  Server server({.host = "127.0.0.1", .threads = 2});
  Inbox<Handle> handles;
  Inbox<CloseInfo> ends;
  Loop* loop = nullptr;
  server.route("/echo", Handlers{.on_open =
                                     [&](Connection& conn) {
                                       loop = &conn.loop();
                                       handles.put(conn.handle());
                                     },
                                 .on_message = [](Connection&, Message) {},
                                 .on_close =
                                     [&](Connection& conn, const CloseInfo& info) {
                                       if (info.error) {
                                         EXPECT_FALSE(conn.handle().send("cut off"))
                                             << "it cannot run";
                                       }
                                       ends.put(info);
                                     }});
  Running running(server);
  RawClient client(server.port());
  ASSERT_TRUE(client.upgrade());
  const Handle handle = handles.take().value_or(Handle());
  EXPECT_TRUE(handle.post([](Connection&) {}));
  server.stop(0s);
  ASSERT_TRUE(running.ends());
  EXPECT_TRUE(ends.take());
  EXPECT_FALSE(handle.send("x"));
  EXPECT_FALSE(handle.send(SharedMessage(Message("x"))));
  EXPECT_FALSE(handle.close());
  EXPECT_FALSE(handle.post([](Connection&) { FAIL(); }));
  EXPECT_FALSE(loop->post([] { FAIL(); }));
  EXPECT_TRUE(ends.empty());
}

// A peer that does not answer the Close frame, with deadlines that would last for hours.
struct Stubborn {
  Server server{{.host = "127.0.0.1", .timeouts = {.silence = 5h, .close = 5h}}};
  std::optional<Running> running{};
  std::optional<RawClient> client{};

  Stubborn() {
    server.route("/echo", echo());
    running.emplace(server);
    client.emplace(server.port());
    EXPECT_TRUE(client->upgrade());
  }
  ~Stubborn() { client.reset(); }
};

TEST(ServerRun, TheEarliestEndOfAStopHolds) {
  Stubborn peer;
  peer.server.stop(5h);
  EXPECT_EQ(peer.client->next(), "close 1001");
  peer.server.stop(0s);
  EXPECT_TRUE(peer.running->ends());
}

TEST(ServerRun, ALaterStopDoesNotMoveTheEnd) {
  Stubborn peer;
  peer.server.stop(1ms);
  peer.server.stop(5h);
  peer.server.stop(std::chrono::nanoseconds::max());
  EXPECT_TRUE(peer.running->ends());
}

TEST(ServerRun, AStopWithoutADeadlineWaits) {
  Stubborn peer;
  peer.server.stop(std::chrono::nanoseconds::max());
  EXPECT_EQ(peer.client->next(), "close 1001");
  peer.client->send(closing(1001));
  peer.client->finish();
  EXPECT_TRUE(peer.running->ends());
}

// Runs in a child, because a signal goes to a process. The peer does not answer, and the deadlines
// last for hours.
void serve_until_the_second_signal() {
  ::alarm(60);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Server server({.host = "127.0.0.1",
                 .threads = 4,
                 .stop_on = {SIGTERM, SIGINT},
                 .stop_deadline = 5h,
                 .timeouts = {.silence = 5h, .close = 5h}});
  server.route("/echo", echo());
  if (!server.listen()) ::_exit(2);
  std::thread peer([port = server.port()] {
    RawClient client(port);
    if (!client.upgrade()) ::_exit(3);
    ::kill(::getpid(), SIGTERM);
    if (client.next() != "close 1001") ::_exit(4);
    ::kill(::getpid(), SIGINT);
    if (!client.ends()) ::_exit(5);
  });
  const bool ran = static_cast<bool>(server.run());
  peer.join();
  ::_exit(ran ? 0 : 1);
}

// Any worker may have the connection, but only the first one takes signals.
TEST(ServerRun, ASecondSignalEndsRunAtOnce) {
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) serve_until_the_second_signal();
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
}

// The on_close of a session may run after the loop has ended.
void get_a_signal_at_the_end() {
  ::alarm(60);
  Server server({.host = "127.0.0.1", .stop_on = {SIGTERM}});
  server.route("/echo",
               Handlers{.on_message = [&](Connection&, Message) { server.stop(0s); },
                        .on_close = [](Connection&, const CloseInfo&) { ::raise(SIGTERM); }});
  if (!server.listen()) ::_exit(2);
  for (int round = 0; round < 2; ++round) {
    const pid_t peer = ::fork();
    if (peer == 0) {
      RawClient client(server.port());
      if (client.upgrade()) client.send(text("stop"));
      client.ends();
      ::_exit(0);
    }
    if (!server.run() || !server.listen()) ::_exit(3);
    ::waitpid(peer, nullptr, 0);
  }
  ::_exit(server.counters().upgrades == 2 ? 0 : 4);
}

TEST(ServerRun, ASignalThatComesAtTheEndEndsNothingElse) {
  const pid_t child = ::fork();
  if (child == 0) get_a_signal_at_the_end();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ServerRun, OneServerTakesASignal) {
  Server first({.host = "127.0.0.1", .stop_on = {SIGUSR1}});
  std::optional<Server> second(std::in_place,
                               ServerOptions{.host = "127.0.0.1", .stop_on = {SIGUSR2, SIGUSR1}});
  ASSERT_TRUE(first.listen());
  for (int i = 0; i < 2; ++i) {
    const auto listening = i == 0 ? second->listen() : second->run();
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().code(), Errc::signal_in_use);
    EXPECT_EQ(listening.error().message(),
              "listen: stop_on: signal " + std::to_string(SIGUSR1) +
                  ": another loop or server takes this signal: call stop() there");
  }
  first.stop();
  EXPECT_TRUE(first.run());
  EXPECT_TRUE(second->listen()) << "the first has stopped";
  EXPECT_FALSE(first.listen());
  second.reset();
  EXPECT_TRUE(first.listen()) << "the second is gone";
}

// A program whose first choice of a port is in use listens with another server instead.
TEST(ServerRun, AServerThatCannotListenTakesNoSignal) {
  Server holder({.host = "127.0.0.1"});
  ASSERT_TRUE(holder.listen());
  Server fails({.host = "127.0.0.1", .port = holder.port(), .stop_on = {SIGUSR1}});
  ASSERT_FALSE(fails.listen());
  Server other({.host = "127.0.0.1", .stop_on = {SIGUSR2}});
  ASSERT_TRUE(other.listen());
  Server takes_one_of_two({.host = "127.0.0.1", .stop_on = {SIGUSR1, SIGUSR2}});
  EXPECT_EQ(takes_one_of_two.listen().error().code(), Errc::signal_in_use);
  Server free({.host = "127.0.0.1", .stop_on = {SIGUSR1}});
  EXPECT_TRUE(free.listen());
}

TEST(ServerRun, CountersAndPortAreReadableAtAnyTime) {
  std::atomic<bool> over{false};
  Server server({.host = "127.0.0.1", .threads = 2});
  server.route("/echo", echo());
  std::thread watcher([&] {
    while (!over) {
      const Counters counters = server.counters();
      EXPECT_LE(counters.connections_open, counters.connections_accepted);
      static_cast<void>(server.port());
    }
  });
  for (int i = 0; i < 5; ++i) {
    Running running(server);
    for (int k = 0; k < 5; ++k) expect_echo(server.port());
  }
  over = true;
  watcher.join();
  EXPECT_EQ(server.counters().connections_accepted, 25u);
}

}  // namespace
}  // namespace tern::test
