// A drain: which connection closes when (rules without I/O), and the server that does it. Also the
// code of a stop, and SIGHUP.
#include "tern/tern.h"

#include "server/drain_plan.h"
#include "server/parked.h"
#include "support/certificates.h"
#include "support/raw_client.h"
#include "support/raw_socket.h"
#include "support/running_server.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using server::DrainPlan;
using server::IdleOrder;
using Clock = std::chrono::steady_clock;

const Clock::time_point begin = Clock::time_point(1h);

// Runs a plan with a clock that ticks when the plan asks for it, and at least each `tick`.
std::vector<std::chrono::nanoseconds> closings(std::size_t connections,
                                               std::chrono::nanoseconds spread,
                                               std::chrono::nanoseconds tick) {
  DrainPlan plan(begin, begin + spread);
  std::vector<std::chrono::nanoseconds> at;
  for (auto now = begin; connections > 0;) {
    const std::size_t due = plan.due(now, connections);
    connections -= due;
    at.insert(at.end(), due, now - begin);
    now = std::max(plan.next(connections), now + tick);
  }
  return at;
}

TEST(DrainPlan, AThousandConnectionsCloseEvenly) {
  // At the exact moments: one each 30 ms, the last one at the end.
  const auto exact = closings(1000, 30s, 0ns);
  ASSERT_EQ(exact.size(), 1000u);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    ASSERT_LE(std::chrono::abs(exact[i] - 30ms * static_cast<int>(i + 1)), 1us) << i;
  }
  // With a coarse clock: in each 100 ms three or four, and never more.
  std::map<std::chrono::nanoseconds, int> in_tick;
  for (const auto at : closings(1000, 30s, 100ms)) ++in_tick[at];
  for (const auto& [at, count] : in_tick) {
    EXPECT_GE(count, 3) << at.count();
    EXPECT_LE(count, 4) << at.count();
  }
  EXPECT_EQ(in_tick.size(), 300u);
}

TEST(DrainPlan, FollowsTheNumberOfConnections) {
  DrainPlan plan(begin, begin + 10s);
  EXPECT_EQ(plan.due(begin, 10), 0u);
  EXPECT_EQ(plan.next(10), begin + 1s);
  EXPECT_EQ(plan.due(begin + 999ms, 10), 0u);
  EXPECT_EQ(plan.due(begin + 1s, 10), 1u);
  // Seven end by themselves, so two are left for nine seconds.
  EXPECT_EQ(plan.next(2), begin + 5500ms);
  EXPECT_EQ(plan.due(begin + 5s, 2), 0u);
  EXPECT_EQ(plan.due(begin + 5500ms, 2), 1u);
  EXPECT_EQ(plan.next(0), begin + 10s);
  EXPECT_FALSE(plan.is_over(begin + 10s - 1ns));
  EXPECT_TRUE(plan.is_over(begin + 10s));
  EXPECT_EQ(plan.due(begin + 10s, 3), 3u);
}

// The loop was busy for five seconds. The connections that should have closed meanwhile do not
// close all at once.
TEST(DrainPlan, ALateCallerDoesNotCatchUp) {
  DrainPlan plan(begin, begin + 10s);
  EXPECT_EQ(plan.due(begin + 5s, 1000), 19u) << "those of 100 ms at the new pace";
  EXPECT_LE(plan.next(981) - (begin + 5s), 6ms);
  DrainPlan late(begin, begin + 10s);
  EXPECT_EQ(late.due(begin + 9s, 2), 1u) << "at a slow pace one is due";
}

TEST(DrainPlan, TakesAnySpread) {
  DrainPlan none(begin, begin);
  EXPECT_EQ(none.due(begin, 1000), 1000u);
  DrainPlan endless(begin, Clock::time_point::max());
  EXPECT_EQ(endless.due(begin + 1h, 1'000'000), 0u);
  EXPECT_EQ(closings(5, 3ns, 0ns).size(), 5u) << "less than a nanosecond each";
}

TEST(IdleOrder, TheLongestSilenceIsFirst) {
  // The moments overflow between the first and the last.
  for (const std::uint32_t now : {1000u, 100'000u, 0xFFFF'FFFFu, 0x8000'0000u}) {
    IdleOrder order(now);
    std::map<std::uint32_t, std::uint32_t> active;
    for (std::uint32_t slot = 0; slot < 10; ++slot) {
      active[slot] = now - 900 + (slot * 7 % 10) * 100;
      order.add({.slot = slot, .generation = 1}, active[slot]);
    }
    const auto active_at = [&](IdleOrder::Place place) -> std::optional<std::uint32_t> {
      EXPECT_EQ(place.generation, 1u);
      if (!active.contains(place.slot)) return {};
      return active[place.slot];
    };
    std::vector<std::uint32_t> taken;
    for (int i = 0; i < 3; ++i) taken.push_back(order.take(active_at)->slot);
    active.erase(9);      // ended by itself
    active[2] = now + 5;  // active meanwhile, so it is last now
    while (const auto next = order.take(active_at)) taken.push_back(next->slot);
    EXPECT_EQ(taken, (std::vector<std::uint32_t>{0, 3, 6, 5, 8, 1, 4, 7, 2})) << now;
    EXPECT_EQ(order.size(), 0u);
  }
}

// All became active meanwhile: a call moves a bounded number of them.
TEST(IdleOrder, BoundsTheWorkOfACall) {
  IdleOrder order(0);
  for (std::uint32_t slot = 0; slot < 5000; ++slot) order.add({slot, 0}, slot);
  std::size_t asked = 0;
  const auto active_at = [&](IdleOrder::Place place) -> std::optional<std::uint32_t> {
    ++asked;
    return 10'000 + place.slot;
  };
  EXPECT_TRUE(order.take(active_at));
  EXPECT_LE(asked, 300u);
}

TEST(Parked, TheFirstValueStays) {
  server::Parked<server::Farewell> parked;
  EXPECT_EQ(parked.get(), nullptr);
  EXPECT_TRUE(parked.put({CloseCode::service_restart, "first"}));
  EXPECT_FALSE(parked.put({CloseCode::normal, "second"}));
  ASSERT_NE(parked.get(), nullptr);
  EXPECT_EQ(parked.get()->reason(), "first");
  parked.reset();
  EXPECT_TRUE(parked.put({CloseCode(1005), std::string(200, 'r')}));
  EXPECT_EQ(parked.get()->code, CloseCode::internal_error) << "1005 may not be sent";
  EXPECT_EQ(parked.get()->reason().size(), 124u);
}

// ---- a server

// Answers the Close frame, and ends TCP.
std::string ended(RawClient& client) {
  std::string close = client.next();
  client.send(closing(1012));
  EXPECT_TRUE(client.ends());
  client.finish();
  return close;
}

// Waits until another moment has begun, because the order has a resolution of about a millisecond.
void let_a_moment_pass() {
  const auto until = Clock::now() + 3ms;
  while (Clock::now() < until) std::this_thread::yield();
}

TEST(ServerDrain, ClosesTheLongestIdleFirst) {
  Inbox<std::string> ends;
  RunningServer running({.threads = 1});
  struct Named {
    Named(const Request& request, Inbox<std::string>& to) : name(request.target()), inbox(to) {}
    void on_message(Connection& conn, Message message) { conn.send(message); }
    void on_close(Connection&, const CloseInfo&) { inbox.put(name); }
    std::string name;
    Inbox<std::string>& inbox;
  };
  for (const char* path : {"/a", "/b", "/c", "/d"}) {
    running.server.route<Named>(path, std::ref(ends));
  }
  const std::uint16_t port = running.start();
  std::deque<RawClient> clients;
  for (const char* path : {"/a", "/b", "/c", "/d"}) {
    ASSERT_TRUE(clients.emplace_back(port).upgrade(path));
  }
  for (const std::size_t i : {2u, 0u, 3u, 1u}) {
    let_a_moment_pass();
    clients[i].send(text("active"));
    EXPECT_EQ(clients[i].next(), "text active");
  }
  const Clock::time_point begun = Clock::now();
  running.server.drain({.spread = 1s, .deadline = 60s, .reason = "an update"});
  EXPECT_TRUE(running.server.is_ending());
  std::optional<Clock::time_point> first;
  for (const std::size_t i : {2u, 0u, 3u, 1u}) {
    EXPECT_EQ(ended(clients[i]), "close 1012 an update");
    EXPECT_EQ(ends.take(), std::string("/") + "abcd"[i]);
    if (!first) first = Clock::now();
  }
  EXPECT_GE(Clock::now() - begun, 1s) << "the last one closes at the end of the spread";
  EXPECT_GE(Clock::now() - *first, 250ms) << "and the first one 750 ms before";
  running.join();
  EXPECT_FALSE(running.server.is_ending());
}

TEST(ServerDrain, EndsEveryConnectionOfEachWorker) {
  for (const auto spread : {0ms, 100ms}) {
    RunningServer running({.threads = 3});
    running.server.route("/echo", echo());
    const std::uint16_t port = running.start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(clients.emplace_back(port).upgrade());
    std::jthread other([&] { running.server.drain({.spread = spread}); });
    running.server.drain({.spread = spread});
    for (RawClient& client : clients) EXPECT_EQ(ended(client), "close 1012");
    running.join();
    EXPECT_EQ(running.server.counters().connections_open, 0u);
    EXPECT_FALSE(RawClient(port).connected()) << "the port is free";
  }
}

TEST(ServerDrain, FinishesWhatIsOpen) {
  Inbox<Upgrade> waiting;
  RunningServer running;
  running.server.route("/echo", echo());
  running.server.route("/later", [&](Upgrade upgrade) { waiting.put(std::move(upgrade)); });
  Inbox<Exchange> exchanges;
  running.server.get("/slow", [&](Exchange exchange) { exchanges.put(std::move(exchange)); });
  running.server.get("/page", [&](const Request&) {
    return Response::text(running.server.is_ending() ? "ending" : "serving");
  });
  const std::uint16_t port = running.start();
  RawClient kept(port);
  EXPECT_EQ(kept.ask(page_request("/page")).find("Connection: close"), std::string::npos);
  EXPECT_EQ(kept.body(7), "serving");
  RawClient pending(port);
  pending.send(upgrade_request({}, "/later"));
  const auto upgrade = waiting.take();
  ASSERT_TRUE(upgrade);
  RawClient asking(port);  // its second request has no answer yet
  asking.ask(page_request("/page"));
  asking.body(7);
  asking.send(page_request("/slow"));
  const auto exchange = exchanges.take();
  ASSERT_TRUE(exchange);
  RawClient silent(port);
  RawClient open(port);
  ASSERT_TRUE(open.upgrade());
  while (running.server.counters().connections_open < 5) std::this_thread::yield();
  running.server.drain({.spread = 0ms, .deadline = 5min});
  EXPECT_EQ(ended(open), "close 1012");
  EXPECT_TRUE(kept.ends()) << "it waits for no request";

  // The connections that existed are served to their end.
  EXPECT_TRUE(silent.upgrade()) << silent.answer_head();
  EXPECT_EQ(ended(silent), "close 1012");
  EXPECT_TRUE(running.server.is_ending());
  exchange->respond(Response::text("done"));
  EXPECT_NE(asking.head().find("Connection: close"), std::string::npos);
  EXPECT_EQ(asking.body(4), "done");
  asking.finish();
  upgrade->accept(echo());
  EXPECT_TRUE(pending.head().starts_with("HTTP/1.1 101"));
  EXPECT_EQ(ended(pending), "close 1012");
}

TEST(ServerDrain, OnItsOwnSocketItServesPagesAndRefusesUpgrades) {
  Inbox<Upgrade> waiting;
  RunningServer running;
  running.server.route("/echo", echo());
  running.server.route("/later", [&](Upgrade upgrade) { waiting.put(std::move(upgrade)); });
  running.server.get("/page", [&](const Request&) {
    return Response::text(running.server.is_ending() ? "ending" : "serving");
  });
  const std::uint16_t port = running.start();
  RawClient pending(port);  // keeps the server up
  pending.send(upgrade_request({}, "/later"));
  auto upgrade = waiting.take();
  ASSERT_TRUE(upgrade);
  running.server.drain({.spread = 0ms, .deadline = 5min});
  std::string head;
  do {  // until the loop has seen the drain
    RawClient page(port);
    head = page.ask(page_request("/page"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200")) << head;
    EXPECT_EQ(page.body(6), "ending");
  } while (head.find("Connection: close") == head.npos);
  RawClient late(port);
  EXPECT_FALSE(late.upgrade());
  EXPECT_TRUE(late.answer_head().starts_with("HTTP/1.1 503")) << late.answer_head();
  EXPECT_NE(late.answer_head().find("Retry-After: 1"), std::string::npos);
  upgrade->respond(Response::status(403));
  EXPECT_TRUE(pending.head().starts_with("HTTP/1.1 403"));
  pending.finish();
  late.finish();
  running.join();
}

// The socket is left to the next server, which answers the connections that came meanwhile.
TEST(ServerDrain, LeavesAnInheritedSocketToOthers) {
  const RawSocket port = RawSocket::bound();
  port.listen();
  Inbox<Upgrade> waiting;
  RunningServer old({.listeners = {{.descriptor = port.fd()}}, .threads = 2});
  old.server.route("/later", [&](Upgrade upgrade) { waiting.put(std::move(upgrade)); });
  old.start();
  RawClient pending(port.port());
  pending.send(upgrade_request({}, "/later"));
  auto upgrade = waiting.take();
  ASSERT_TRUE(upgrade);
  Inbox<int> begun;
  old.server.drain({.spread = 0ms, .deadline = 5min});
  old.server.post_all([&] { begun.put(1); });
  begun.take();
  begun.take();
  RawClient first(port.port());
  first.send(upgrade_request({}, "/echo"));
  RunningServer next({.listeners = {{.descriptor = port.fd()}}, .threads = 2});
  next.server.route("/echo", echo());
  next.start();
  EXPECT_TRUE(first.head().starts_with("HTTP/1.1 101")) << "the next server answers";
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(RawClient(port.port()).upgrade());
  upgrade->respond(Response::status(403));
  EXPECT_TRUE(pending.head().starts_with("HTTP/1.1 403"));
  pending.finish();
  old.join();
  EXPECT_TRUE(RawClient(port.port()).upgrade());
}

// timeouts.close alone would be 5 min.
TEST(ServerDrain, TheDeadlineHoldsForPeersThatDoNotAnswer) {
  for (const bool drains : {true, false}) {
    Inbox<CloseInfo> ends;
    RunningServer running({.timeouts = {.close = 5min}});
    running.server.route("/echo", silent(ends));
    RawClient client(running.start());
    ASSERT_TRUE(client.upgrade());
    const auto begun = Clock::now();
    drains ? running.server.drain({.spread = 0ms, .deadline = 100ms}) : running.server.stop(100ms);
    EXPECT_EQ(client.next(), drains ? "close 1012" : "close 1001");
    running.join();
    EXPECT_LT(Clock::now() - begun, 60s);
    const auto info = ends.take();
    ASSERT_TRUE(info);
    EXPECT_FALSE(info->clean);
    EXPECT_TRUE(ends.empty());
  }
}

// drain() has no result, so a spread that cannot be is logged.
TEST(ServerDrain, ASpreadAboveTheDeadlineIsLogged) {
  Inbox<std::string> lines;
  RunningServer running({.threads = 2, .log = [&](const LogRecord& record) {
                           lines.put(std::string(record.message));
                         }});
  running.start();
  running.server.drain({.spread = 2h, .deadline = 1h});
  EXPECT_EQ(lines.take(), "drain: the spread is above the deadline, which is taken instead");
  running.join();
  EXPECT_TRUE(lines.empty());
}

// The answer is written before the connection is cut, also if the deadline is now.
TEST(ServerDrain, TheDeadlineAnswersWhatWaits) {
  for (const bool drains : {true, false}) {
    Inbox<Exchange> exchanges;
    Inbox<Upgrade> upgrades;
    RunningServer running;
    running.server.get("/slow", [&](Exchange exchange) { exchanges.put(std::move(exchange)); });
    running.server.route("/later", [&](Upgrade upgrade) { upgrades.put(std::move(upgrade)); });
    const std::uint16_t port = running.start();
    RawClient page(port);
    page.send(page_request("/slow"));
    RawClient pending(port);
    pending.send(upgrade_request({}, "/later"));
    const auto exchange = exchanges.take();
    const auto upgrade = upgrades.take();
    ASSERT_TRUE(exchange && upgrade);
    drains ? running.server.drain({.spread = 0ms, .deadline = 0ms}) : running.server.stop(0ms);
    EXPECT_TRUE(page.head().starts_with("HTTP/1.1 503 ")) << drains;
    EXPECT_TRUE(pending.head().starts_with("HTTP/1.1 503 ")) << drains;
    running.join();
    EXPECT_FALSE(exchange->is_open());
    EXPECT_FALSE(upgrade->is_open());
  }
}

TEST(ServerDrain, AStopEndsItSooner) {
  RunningServer running;
  running.server.route("/echo", echo());
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  running.server.drain({.spread = 1h, .deadline = 2h});
  running.server.stop(10s, CloseCode::going_away, "now");
  EXPECT_EQ(ended(client), "close 1001 now");
  running.join();
}

TEST(ServerDrain, OneBeforeRunMakesItReturnAtOnce) {
  for (const unsigned threads : {1u, 3u}) {
    Server server({.host = "127.0.0.1", .threads = threads});
    for (int i = 0; i < 2; ++i) {
      server.drain({.spread = 1h, .deadline = 2h});
      EXPECT_TRUE(server.is_ending());
      EXPECT_TRUE(server.run());
      EXPECT_FALSE(server.is_ending()) << "the drain holds for one run";
    }
  }
}

TEST(ServerStop, HasACodeAndAReason) {
  struct Case {
    CloseCode code;
    std::string reason;
    std::string received;
  };
  for (const Case& each :
       {Case{CloseCode::going_away, "", "close 1001"},
        Case{CloseCode::service_restart, "soon back", "close 1012 soon back"},
        Case{CloseCode(4001), std::string(123, 'r') + "x", "close 4001 " + std::string(123, 'r')},
        Case{CloseCode::abnormal, "", "close 1011"}}) {
    RunningServer running;
    running.server.route("/echo", echo());
    RawClient client(running.start());
    ASSERT_TRUE(client.upgrade());
    running.server.stop(10s, each.code, each.reason);
    running.server.stop(20s, CloseCode::normal, "not this");
    EXPECT_EQ(ended(client), each.received);
    running.join();
  }
}

// ---- signals, in a child, because a signal goes to a process

template <class F>
int exit_code_of(const F& function) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(function());
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void block(const std::vector<int>& signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

TEST(ServerDrain, TheFirstSignalDrainsAndTheSecondStops) {
  EXPECT_EQ(exit_code_of([] {
              block({SIGTERM});
              Server server({.host = "127.0.0.1",
                             .stop_on = {SIGTERM},
                             .drain_on_stop = Drain{.spread = 1h, .deadline = 2h}});
              server.route("/echo", echo());
              if (!server.listen()) return 2;
              std::jthread client([&] {
                RawClient one(server.port());
                one.upgrade();
                ::kill(::getpid(), SIGTERM);
                while (!server.is_ending()) std::this_thread::yield();
                one.send(text("still served"));
                if (one.next() != "text still served") ::_exit(3);
                ::kill(::getpid(), SIGTERM);
              });
              return server.run() ? 0 : 1;
            }),
            0);
}

TEST(ServerHangup, ReloadsTheCertificates) {
  EXPECT_EQ(exit_code_of([] {
              block({SIGHUP});
              const Authority authority;
              PemFiles files;
              const std::string path = files.path("server.pem");
              files.write("server.pem", authority.leaf.certificate() + authority.leaf.key());
              Inbox<std::string> lines;
              Server server({.host = "127.0.0.1",
                             .on_hangup = Hangup::reload_certificates,
                             .tls = TlsServer{.certificate = path},
                             .log = [&](const LogRecord& record) {
                               lines.put(std::string(record.message));
                             }});
              if (!server.listen()) return 2;
              std::jthread other([&] {
                ::kill(::getpid(), SIGHUP);
                if (lines.take() != "SIGHUP: the certificates are reloaded") ::_exit(3);
                files.write("server.pem", "not PEM");
                ::kill(::getpid(), SIGHUP);
                const auto line = lines.take();
                if (!line || !line->starts_with("SIGHUP: the old certificates stay in use: "))
                  ::_exit(4);
                server.stop(0s);
              });
              return server.run() ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace tern::test
