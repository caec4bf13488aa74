// A tern server in this process that a row attacks, with queries for the rows: how its connections
// ended and the values of its counters. strike() runs a whole row.
#pragma once

#include "tern/dial.h"

#include "faults/support/aftermath.h"
#include "support/running_server.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace tern::test {

/// The number of handshakes that failed for this reason.
inline std::uint64_t refusals(const Server& server, Errc why) {
  const std::string_view name = errc_name(why);
  for (const auto& [reason, count] : server.counters().refusals) {
    if (reason == name) return count;
  }
  return 0;
}

/// A server with an echo at /echo that records how its connections end. Routes may be added before
/// start().
class Attacked {
 public:
  explicit Attacked(ServerOptions options = {}, Defaults defaults = Defaults::not_set)
      : scheme_(options.tls ? "wss" : "ws"), running_(std::move(options), defaults) {
    server.route("/echo", Handlers{
                              .on_open = [this](Connection&) { ++opened; },
                              .on_message = [](Connection& conn, Message msg) { conn.send(msg); },
                              .on_close = [this](Connection&, const CloseInfo& i) { ended(i); },
                          });
  }

  std::uint16_t start() { return running_.start(); }
  void stop(std::chrono::nanoseconds deadline = std::chrono::seconds(10)) {
    running_.stop(deadline);
  }
  void join() { running_.join(); }

  /// Records an end. Handlers of other routes call it, too.
  void ended(const CloseInfo& info) {
    if (listening) ends.put(info);
    ++closed;
  }
  /// Waits until the server has no connection. Returns false if that takes too long.
  bool deserted() {
    return eventually([&] { return server.counters().connections_open == 0; });
  }
  std::uint16_t port() const { return server.port(); }
  std::string url(const std::string& path = "/echo") const {
    return scheme_ + "://127.0.0.1:" + std::to_string(port()) + path;
  }

  std::atomic<int> opened = 0;
  std::atomic<int> closed = 0;
  std::atomic<bool> listening = true;  ///< whether ends are recorded in `ends`
  Inbox<CloseInfo> ends{};

 private:
  const std::string scheme_;
  RunningServer running_;  // last: it stops before the members that its handlers use are destroyed

 public:
  Server& server = running_.server;
};

/// Echoes with a tern client. Returns how many came back unchanged, plus one for a clean close.
inline std::size_t tern_echoes(const std::string& url, std::size_t count = 1'000,
                               const DialOptions& options = {}) {
  auto dialed = dial(url, options);
  if (!dialed) return 0;
  std::string payload;
  std::size_t good = 0;
  for (; good < count; ++good) {
    const std::string sent(good % 126, static_cast<char>('a' + good % 26));
    if (!dialed->send(sent) || !dialed->receive(payload) || payload != sent) return good;
  }
  return good + (dialed->close() ? 1 : 0);
}

/// Expects the CloseInfo of an open connection that a reset ended.
inline void expect_reset(const CloseInfo& info, bool close_was_sent) {
  EXPECT_TRUE(info.opened);
  if (close_was_sent) {  // the reset may arrive before or after our answer is written
    EXPECT_EQ(info.code, CloseCode::normal);
    EXPECT_TRUE(info.clean || info.error == Errc::connection_reset) << info.error.message();
  } else {
    EXPECT_EQ(info.code, CloseCode::abnormal);
    EXPECT_EQ(info.error, Errc::connection_reset) << info.error.message();
    EXPECT_FALSE(info.clean);
  }
}

/// Returns the level of the server at rest: without connections, and the same for a while.
inline Level quiet_level(const Server& server) {
  Level level = Level::of(server);
  int same = 0;
  eventually([&] {
    const Level now = Level::of(server);
    same = now == level && now.connections == 0 ? same + 1 : 0;
    level = now;
    return same > 20;
  });
  return level;
}

/// Runs a row: the attack (which returns how often its fault happened), a thousand echoes, and a
/// comparison of the level. Pools and tables grow to the need of the busiest moment of an attack,
/// which varies. So the row is repeated until nothing grows any more. A leak grows each time.
template <class Attack, class Echoes>
void strike_until_level(const Server& server, Attack attack, Echoes echoes) {
  constexpr int rounds = 6;
  echoes();
  Level before = quiet_level(server);
  for (int round = 1;; ++round) {
    EXPECT_GE(static_cast<std::uint64_t>(attack()), 1u)
        << "no fault fired: the test proves nothing";
    echoes();
    const Level now = quiet_level(server);
    EXPECT_EQ(now.descriptors, before.descriptors);
    EXPECT_EQ(now.connections, 0u);
    if (round > 1 && now.blocks <= before.blocks) return;
    if (testing::Test::HasFailure()) return;
    if (round == rounds) {
      ADD_FAILURE() << "it grows each time: " << to_string(now)
                    << "; before: " << to_string(before);
      return;
    }
    before = now;
  }
}

/// `echoes(port)` must return 1 001.
template <class F, class Echoes>
void strike(Attacked& attacked, F attack, Echoes echoes) {
  strike_until_level(
      attacked.server,
      [&] {
        const auto fired = attack();
        EXPECT_TRUE(attacked.deserted());
        EXPECT_EQ(attacked.opened, attacked.closed) << "on_open and on_close come in pairs";
        EXPECT_TRUE(attacked.ends.empty()) << "an unexpected end";
        return fired;
      },
      [&] {
        attacked.listening = false;
        EXPECT_EQ(echoes(attacked.port()), 1'001u) << "echoes and a close";
        EXPECT_TRUE(attacked.deserted());
        attacked.listening = true;
      });
}
template <class F>
void strike(Attacked& attacked, F attack) {
  strike(attacked, attack, [](std::uint16_t port) { return clean_echoes(port); });
}

/// The same for an attack on tern's clients. A healthy server runs beside it and gives the level.
template <class F>
void strike_clients(F attack) {
  Attacked healthy;
  healthy.listening = false;
  healthy.start();
  strike_until_level(healthy.server, attack, [&] {
    EXPECT_EQ(clean_echoes(healthy.port()), 1'001u);
    EXPECT_EQ(tern_echoes(healthy.url()), 1'001u);
  });
}

}  // namespace tern::test
