// The common part of the rows in which a peer ends its half of TCP and keeps the other half: how
// the connection ends, and that the loop sleeps afterwards.
#pragma once

#include "faults/support/attacked.h"

#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>

namespace tern::test {

/// Deadlines that are far away, so that none of them ends a connection in a row.
constexpr Timeouts patient{.handshake = std::chrono::minutes(5),
                           .silence = std::chrono::minutes(5),
                           .pong = std::chrono::minutes(5),
                           .close = std::chrono::minutes(5),
                           .stall = std::chrono::minutes(5)};

/// A server with these deadlines, and the kind of client without tern's code that attacks it.
template <class Server, class Client>
class HalfClose {
 public:
  HalfClose() : attacked({.timeouts = patient}) {
    attacked.server.route("/clock", Handlers{.on_message = [](Connection& conn, Message) {
                            conn.send("begun");
                            conn.after(std::chrono::milliseconds(250),
                                       [](Connection& same) { same.send("over"); });
                          }});
    attacked.start();
  }
  /// The number of wakeups of the loop in 250 ms in which only one message and one timer occur.
  std::uint64_t wakeups_at_rest() {
    Client clock(attacked.port());
    EXPECT_TRUE(clock.upgrade("/clock"));
    const std::uint64_t before = sys::count_of(sys::Call::epoll_wait);
    clock.send(text("rest"));
    EXPECT_EQ(clock.next(), "text begun");
    EXPECT_EQ(clock.next(), "text over");
    const std::uint64_t wakeups = sys::count_of(sys::Call::epoll_wait) - before;
    EXPECT_GE(wakeups, 1u) << "they are not counted";
    clock.reset();
    return wakeups;
  }
  void expect_end(Errc error) {
    const auto info = attacked.ends.take();
    ASSERT_TRUE(info);
    EXPECT_EQ(info->code, CloseCode::abnormal);
    EXPECT_EQ(info->error, error) << info->error.message();
    EXPECT_FALSE(info->clean);
  }

  Server attacked;
};

}  // namespace tern::test
