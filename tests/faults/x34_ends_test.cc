// X34: a reset ends a connection while its session has paused. Then the application continues: it
// resumes, sends, pings, closes or terminates, several of them in one turn, in a timer or from
// another thread.
// Pass: each constructed session receives exactly one on_close and is destroyed, also those that
// exist when the server stops. It runs plain and over TLS.
#include "faults/support/tls_attacked.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// The counts of constructed, closed and destroyed sessions.
struct Census {
  std::atomic<int> constructed = 0;
  std::atomic<int> closed = 0;
  std::atomic<int> destroyed = 0;
  Inbox<Handle> paused{};

  std::string text() const {
    return std::to_string(constructed) + " constructed, " + std::to_string(closed) + " closed, " +
           std::to_string(destroyed) + " destroyed";
  }
  bool balanced() const { return constructed == closed && constructed == destroyed; }
};

// Pauses after each message.
class Pausing {
 public:
  explicit Pausing(Census& census) : census_(census) { ++census_.constructed; }
  ~Pausing() {
    ++census_.destroyed;
    EXPECT_EQ(ends_, 1);
  }
  void on_message(Connection& conn, Message) {
    EXPECT_EQ(ends_, 0);
    conn.pause();
    if (++messages_ == 1) census_.paused.put(conn.handle());
  }
  void on_close(Connection&, const CloseInfo&) {
    ++ends_;
    ++census_.closed;
  }

 private:
  Census& census_;
  int messages_ = 0;
  int ends_ = 0;
};

struct Deed {
  std::string_view name;
  void (*act)(Connection&);
};

constexpr std::array<Deed, 9> deeds{{
    {"resume and send",
     [](Connection& conn) {
       conn.resume();
       conn.send("x");
     }},
    {"send and resume",
     [](Connection& conn) {
       conn.send("x");
       conn.resume();
     }},
    {"resume and send much",
     [](Connection& conn) {
       conn.resume();
       for (int i = 0; i < 12; ++i) conn.send(std::string(100'000, 'x'));
     }},
    {"send", [](Connection& conn) { conn.send("x"); }},
    {"resume", [](Connection& conn) { conn.resume(); }},
    {"resume and ping",
     [](Connection& conn) {
       conn.resume();
       conn.ping();
     }},
    {"resume and close",
     [](Connection& conn) {
       conn.resume();
       conn.close();
     }},
    {"resume, send and terminate",
     [](Connection& conn) {
       conn.resume();
       conn.send("x");
       conn.terminate();
     }},
    {"resume, send and throw",
     [](Connection& conn) {
       conn.resume();
       conn.send("x");
       throw 1;
     }},
}};

template <class Client>
void leave_paused(Attacked& attacked, Census& census, const Deed& deed, bool by_timer) {
  Client client(attacked.port());
  ASSERT_TRUE(client.upgrade("/pausing"));
  client.send(wire(Role::client, {text("one"), text("two"), text("three")}));
  const Handle handle = census.paused.take().value_or(Handle());
  client.reset();
  ASSERT_TRUE(handle.post([deed, by_timer](Connection& conn) {
    if (by_timer) {
      conn.after(1ns, deed.act);
    } else {
      deed.act(conn);
    }
  }));
  // A session that pauses again reads nothing, so it notices no reset until it resumes.
  EXPECT_TRUE(eventually([&] {
    if (!census.balanced()) handle.post([](Connection& conn) { conn.resume(); });
    return census.balanced();
  }));
}

template <class Client>
std::uint64_t leave_all(Attacked& attacked, Census& census) {
  std::uint64_t count = 0;
  for (const Deed& deed : deeds) {
    for (const bool by_timer : {true, false}) {
      SCOPED_TRACE(std::string(deed.name) + (by_timer ? " in a timer" : " from another thread"));
      leave_paused<Client>(attacked, census, deed, by_timer);
      EXPECT_TRUE(census.balanced()) << census.text();
      ++count;
    }
  }
  return count;
}

TEST(Faults, X34_EachSessionReceivesOneOnClose) {
  Census census;
  Attacked attacked;
  attacked.server.route<Pausing>("/pausing", std::ref(census));
  attacked.start();
  strike(attacked, [&] { return leave_all<RawClient>(attacked, census); });
}

TEST(Faults, X34_EachSessionReceivesOneOnCloseOverTls) {
  Census census;
  AttackedTls attacked;
  attacked.server.route<Pausing>("/pausing", std::ref(census));
  attacked.start();
  strike_tls(attacked, [&] { return leave_all<TlsClient>(attacked, census); });
}

// The sessions are open, paused with unread input, or paused with output that the peer does not
// read.
TEST(Faults, X34_AStopGivesEachSessionOneOnClose) {
  for (const bool waits : {false, true}) {
    Census census;
    std::vector<RawClient> clients;
    Attacked attacked({.limits = {.max_queued_bytes = 64 << 20}});
    attacked.server.route<Pausing>("/pausing", std::ref(census));
    const std::uint16_t port = attacked.start();
    for (int i = 0; i < 9; ++i) {
      clients.emplace_back(port, 4'096);
      ASSERT_TRUE(clients.back().upgrade("/pausing"));
      if (i % 3 == 0) continue;
      clients.back().send(wire(Role::client, {text("one"), text("two")}));
      const auto handle = census.paused.take();
      ASSERT_TRUE(handle);
      if (i % 3 == 2) handle->send(std::string_view(std::string(12 << 20, 'x')));
    }
    attacked.stop(waits ? 10ms : 0ms);
    EXPECT_EQ(census.constructed, 9);
    EXPECT_TRUE(census.balanced()) << census.text();
  }
}

}  // namespace
}  // namespace tern::test
