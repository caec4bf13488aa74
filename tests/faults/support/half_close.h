// The rows of a peer that ends its half of TCP and keeps the other: how the connection ends, and
// that the loop rests afterwards.
#pragma once

#include "faults/support/attacked.h"

#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>

namespace tern::test {

/// No deadline of ours explains an end.
constexpr Timeouts patient{.handshake = std::chrono::minutes(5),
                           .silence = std::chrono::minutes(5),
                           .pong = std::chrono::minutes(5),
                           .close = std::chrono::minutes(5),
                           .stall = std::chrono::minutes(5)};

/// A patient server, whose clients without tern's code are of this kind.
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
  /// How often the loop wakes up in 250 ms when nothing happens but one message and one timer.
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
