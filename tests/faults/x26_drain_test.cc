// X26: the server receives SIGTERM while clients work and some other clients are stopped.
// Pass: new connections are refused at once. Each working client receives every accepted message
// and then 1001. The stopped clients delay the end only until the deadline. run() returns, the exit
// code is 0, a second signal does no harm, and the next server can use the port.
// CI has 60 clients and 3 stopped ones; the full size is 1 000 and 10.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Sends "<client>:<number>" and counts the echoes, until Close 1001.
class Worker {
 public:
  Worker(std::uint16_t port, int number, std::string_view path)
      : client(std::make_unique<CrowdClient>(port)), me(number) {
    client->upgrade(path);
  }

  void receive_and_send() {
    for (const Frame& frame : client->frames()) {
      if (frame.opcode == 8) {
        close = to_string(frame);
        client->send(closing(1001));
      } else {
        EXPECT_EQ(frame.payload, name(echoed)) << "in order, nothing missing";
        ++echoed;
      }
    }
    // Some messages are always on their way.
    while (client->open() && close.empty() && sent - echoed < 8) client->send(text(name(sent++)));
  }
  std::string name(int number) const { return std::to_string(me) + ':' + std::to_string(number); }

  std::unique_ptr<CrowdClient> client;
  int me;
  int sent = 0;
  int echoed = 0;
  std::string close{};
};

class Workforce {
 public:
  Workforce(std::uint16_t port, int count, std::string_view path = "/echo") {
    for (int i = 0; i < count; ++i) workers.emplace_back(port, i, path);
  }
  // Serves all workers until `holds` is true for each.
  template <class F>
  bool work_until(F holds) {
    return eventually([&] {
      std::vector<pollfd> waits;
      for (Worker& worker : workers) {
        waits.push_back(
            {worker.client->ended() ? -1 : worker.client->fd(), worker.client->interest(), 0});
      }
      ::poll(waits.data(), waits.size(), 20);
      for (std::size_t i = 0; i < workers.size(); ++i) {
        if (waits[i].revents != 0) workers[i].client->on_ready(waits[i].revents);
        workers[i].receive_and_send();
      }
      return std::all_of(workers.begin(), workers.end(), holds);
    });
  }
  bool get_busy() {
    return work_until([](const Worker& worker) { return worker.echoed >= 20; });
  }
  bool work_to_the_end() {
    return work_until([](const Worker& worker) { return worker.client->ended(); });
  }

  std::vector<Worker> workers{};
};

TEST(Faults, X26_AStopDeliversAcceptedMessagesBeforeItsDeadline) {
  constexpr int clients = 60;
  std::vector<int> accepted(clients, 0);  // belongs to the loop until it ends
  Attacked attacked({.limits = {.max_queued_bytes = 64 << 20},
                     .timeouts = {.silence = 5min, .pong = 5min, .close = 5min, .stall = 5min}});
  attacked.listening = false;
  attacked.server.route("/work", Handlers{.on_message = [&](Connection& conn, Message msg) {
                          const auto me =
                              static_cast<std::size_t>(std::stoi(std::string(msg.text())));
                          if (conn.send(msg)) ++accepted[me];
                        }});
  // The server sends these clients more than the kernel takes. They never read it.
  attacked.server.route("/stopped", Handlers{.on_message = [](Connection& conn, Message) {
                          conn.send(std::string(12 << 20, 'x'));
                        }});
  const std::uint16_t port = attacked.start();
  std::vector<RawClient> stopped;
  for (int i = 0; i < 3; ++i) {
    stopped.emplace_back(port, 4'096);
    ASSERT_TRUE(stopped.back().upgrade("/stopped"));
    stopped.back().send(text("go"));
    ASSERT_EQ(stopped.back().body(1).size(), 1u);
  }
  Workforce force(port, clients, "/work");
  ASSERT_TRUE(force.get_busy());
  const auto begun = Clock::now();
  attacked.server.stop(2s);
  std::thread joiner([&] { attacked.join(); });
  EXPECT_TRUE(force.work_to_the_end());
  attacked.server.stop(2s);  // does nothing
  joiner.join();
  EXPECT_GE(Clock::now() - begun, 2s - 50ms) << "there was no client to wait for";
  EXPECT_LT(Clock::now() - begun, enough_time / 2);
  for (Worker& worker : force.workers) {
    EXPECT_EQ(worker.close, "close 1001");
    EXPECT_EQ(worker.echoed, accepted[static_cast<std::size_t>(worker.me)]);
    EXPECT_GE(worker.echoed, 20);
  }
  Server again({.host = "127.0.0.1", .port = port});
  EXPECT_TRUE(again.listen());
}

// Checks what an operator can see: the signal ends the program with code 0 and frees the port.
void drain_by_signal(int clients, int stopped_clients) {
  EchoServer server;
  std::vector<std::unique_ptr<Process>> stopped;
  for (int i = 0; i < stopped_clients; ++i) {
    stopped.push_back(std::make_unique<Process>(std::vector<std::string>{
        program("echo_client"), "--addr", "127.0.0.1:" + std::to_string(server.port())}));
    stopped.back()->line_with("recv: ");
  }
  Workforce force(server.port(), clients);
  ASSERT_TRUE(force.get_busy());
  for (const auto& each : stopped) {
    each->signal(SIGSTOP);
    ASSERT_TRUE(eventually([&] { return state_of(each->pid()) == "T"; }));
  }
  const auto begun = Clock::now();
  server.signal(SIGTERM);
  EXPECT_TRUE(eventually([&] { return !RawClient(server.port()).connected(); }));
  testing::Test::RecordProperty("refused_after_ms", static_cast<int>((Clock::now() - begun) / 1ms));
  EXPECT_NE(state_of(server.pid()), "") << "the server ended before it could refuse a client";
  EXPECT_TRUE(force.work_to_the_end());
  EXPECT_EQ(server.exit_code(), 0) << server.err();
  // The stopped ones never answer: timeouts.close (5 s) ends them, before the deadline of 10 s.
  EXPECT_GE(Clock::now() - begun, 4s) << "there was no client to wait for";
  EXPECT_LT(Clock::now() - begun, 10'500ms + enough_time / 2);
  for (Worker& worker : force.workers) {
    EXPECT_EQ(worker.close, "close 1001");
    EXPECT_GE(worker.echoed, 20);
  }
  for (const auto& each : stopped) EXPECT_EQ(state_of(each->pid()), "T");
  Process again({program("echo_server"), "--port", std::to_string(server.port())});
  EXPECT_NE(again.line().find(":" + std::to_string(server.port()) + "/"), std::string::npos);
  EXPECT_EQ(clean_echoes(server.port()), 1'001u);
  again.signal(SIGTERM);
  EXPECT_EQ(again.exit_code(), 0) << again.err();
}

TEST(Faults, X26_SigtermDeliversThenClosesWith1001) { drain_by_signal(60, 3); }
TEST(FaultsLong, X26_SigtermDrainsAThousandClients) { drain_by_signal(1'000, 10); }

}  // namespace
}  // namespace tern::test
