// The listener alone, with an acceptor that only counts: how many connections it accepts in a turn,
// and how it pauses.
#include "net/socket.h"
#include "server/listener.h"
#include "support/raw_socket.h"

#include <chrono>
#include <cstddef>
#include <gtest/gtest.h>
#include <optional>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Counts the connections of each turn, and stops the loop once it has all.
class Counting final : public server::Acceptor, private net::Deferred {
 public:
  Counting(net::LoopCore& core, std::size_t wanted) : core_(core), wanted_(wanted) {}

  Verdict on_accepted(net::Fd socket, server::PlaceKind) noexcept override {
    core_.defer(*this);
    if (full_for_now_ && !std::exchange(was_full_, true)) {
      paused_at_ = Clock::now();
      return Verdict::full;
    }
    if (resumed_at_ == Clock::time_point()) resumed_at_ = Clock::now();
    ++in_turn_;
    sockets_.push_back(std::move(socket));
    return Verdict::taken;
  }
  bool may_accept() noexcept override {
    ++asked_;
    if (!busy_for_now_ || std::exchange(was_busy_, true)) return true;
    paused_at_ = Clock::now();
    return false;
  }
  void on_trouble(std::error_code error, bool) noexcept override { trouble_ = error; }

  /// The first connection must wait, before it is accepted or after.
  void busy_for_now() { busy_for_now_ = true; }
  void full_for_now() { full_for_now_ = true; }

  const std::vector<std::size_t>& turns() const { return turns_; }
  Clock::duration pause() const { return resumed_at_ - paused_at_; }
  std::size_t asked() const { return asked_; }
  std::error_code trouble() const { return trouble_; }

 private:
  void at_turn_end() noexcept override {
    turns_.push_back(std::exchange(in_turn_, 0));
    if (sockets_.size() >= wanted_) core_.stop();
  }
  void on_retired() noexcept override {}

  net::LoopCore& core_;
  std::size_t wanted_;
  std::size_t in_turn_ = 0;
  std::size_t asked_ = 0;
  std::vector<std::size_t> turns_{};
  std::vector<net::Fd> sockets_{};
  std::error_code trouble_{};
  bool busy_for_now_ = false;
  bool was_busy_ = false;
  bool full_for_now_ = false;
  bool was_full_ = false;
  Clock::time_point paused_at_{};
  Clock::time_point resumed_at_{};
};

// A listener on a port that the system chose, and clients whose connections wait there.
struct Port {
  explicit Port(std::size_t waiting) {
    net::Opened opened = net::listen_tcp(*net::Address::parse("127.0.0.1", 0), net::PortUse::first);
    socket = std::move(opened.fd);
    const std::uint16_t port = net::local_address(socket.get()).port();
    for (std::size_t i = 0; i < waiting; ++i) clients.push_back(RawSocket::connect(port));
    for (const RawSocket& client : clients) EXPECT_TRUE(client);
  }

  net::Fd socket{};
  std::vector<RawSocket> clients{};
};

TEST(ServerListener, AcceptsAtMost64InATurn) {
  for (const std::size_t waiting : {64u, 65u, 130u}) {
    net::LoopCore core{LoopOptions{}};
    Counting counting(core, waiting);
    server::Listener listener(core, counting);
    Port port(waiting);
    ASSERT_FALSE(listener.start(std::move(port.socket)));
    ASSERT_TRUE(core.run());
    std::vector<std::size_t> expected(waiting / 64, 64);
    if (waiting % 64 > 0) expected.push_back(waiting % 64);
    EXPECT_EQ(counting.turns(), expected);
    EXPECT_FALSE(counting.trouble());
  }
}

TEST(ServerListener, PausesForAHundredMilliseconds) {
  for (const bool after_accepting : {false, true}) {
    net::LoopCore core{LoopOptions{}};
    Counting counting(core, 1);
    if (after_accepting) {
      counting.full_for_now();
    } else {
      counting.busy_for_now();
    }
    server::Listener listener(core, counting);
    Port port(2);
    ASSERT_FALSE(listener.start(std::move(port.socket)));
    ASSERT_TRUE(core.run());
    EXPECT_GE(counting.pause(), 100ms);
    // The acceptor was not called meanwhile, because the loop slept. After the pause the
    // connections that waited are accepted.
    EXPECT_LE(counting.asked(), 4u);
    if (after_accepting) {
      EXPECT_EQ(counting.turns().front(), 0u);
    }
    EXPECT_EQ(counting.turns().back(), after_accepting ? 1u : 2u);
    EXPECT_FALSE(counting.trouble());
  }
}

TEST(ServerListener, ReportsThatItCannotBeWatched) {
  net::LoopCore core{LoopOptions{}};
  Counting counting(core, 1);
  server::Listener listener(core, counting);
  EXPECT_EQ(listener.start(net::Fd()), std::errc::bad_file_descriptor);
}

}  // namespace
}  // namespace tern::test
