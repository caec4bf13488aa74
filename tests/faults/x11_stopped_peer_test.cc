// X11: the peer process is stopped (SIGSTOP) while it is sent 64 MiB; then it goes on (SIGCONT), is
// killed (SIGKILL), or stays as it is.
// Pass: the queue stops at its limit plus one message and send() says `full`; resident memory grows
// by no more than that and 2 MiB; who goes on in time gets every accepted message in order; who is
// killed ends as a reset; who stays is dropped by the stall deadline or, when nothing is sent, by
// silence and pong, never before their time.
// For CI the stall deadline is 1 s instead of 30 s, silence and pong are 500 ms instead of 20 s.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/process.h"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t message_bytes = 64 << 10;
constexpr int messages = 1'024;  // 64 MiB
constexpr std::size_t queue_limit = 1 << 20;

Timeouts no_deadlines() { return {.silence = 5min, .pong = 5min, .close = 5min, .stall = 5min}; }

std::string numbered(int number) {
  std::string payload = std::to_string(number) + ' ';
  payload.resize(message_bytes, static_cast<char>('a' + number % 26));
  return payload;
}

// Sends when told to, as fast as it may, and checks the echoes.
class Sender {
 public:
  explicit Sender(Attacked& attacked) : attacked_(attacked) {
    attacked.server.route(
        "/send", Handlers{
                     .on_open =
                         [this](Connection& conn) {
                           ++attacked_.opened;
                           opened_at = conn.loop().now();
                           handles.put(conn.handle());
                         },
                     .on_message = [this](Connection& conn, Message msg) { on_echo(conn, msg); },
                     .on_drain = [this](Connection& conn) { send_on(conn); },
                     .on_close = [this](Connection&, const CloseInfo& i) { attacked_.ended(i); },
                 });
  }

  void send_on(Connection& conn) {
    while (sent_ < messages) {
      const SendStatus status = conn.send(numbered(sent_));
      most_queued_ = std::max(most_queued_, conn.queued_bytes());
      if (status == SendStatus::full) {
        if (full_++ == 0) first_full.put(most_queued_);
        return;
      }
      if (!status) return;
      ++sent_;
    }
  }

  Inbox<Handle> handles{};
  Inbox<std::size_t> first_full{};  ///< the queue at that moment
  Inbox<int> all_echoed{};
  Clock::time_point opened_at{};

 private:
  void on_echo(Connection& conn, Message msg) {
    if (msg.text() != numbered(echoed_)) ADD_FAILURE() << "echo " << echoed_ << " is another";
    if (++echoed_ < messages) return;
    all_echoed.put(full_);
    conn.close();
  }

  Attacked& attacked_;
  int sent_ = 0;  // and below: on the loop
  int echoed_ = 0;
  int full_ = 0;
  std::size_t most_queued_ = 0;
};

// echo_back, connected and then stopped.
class StoppedPeer : public Process {
 public:
  StoppedPeer(Attacked& attacked, Sender& sender)
      : Process({program("echo_back"), attacked.url("/send")}) {
    if (auto opened = sender.handles.take()) handle = *opened;
    signal(SIGSTOP);
    EXPECT_TRUE(eventually([&] { return state_of(pid()) == "T"; }));
  }
  /// Lets the server send until it is told to wait.
  void expect_full(Sender& sender) {
    const std::size_t before = resident_bytes(::getpid());
    EXPECT_TRUE(handle.post([&](Connection& conn) { sender.send_on(conn); }));
    const auto queued = sender.first_full.take();
    ASSERT_TRUE(queued);
    EXPECT_LE(*queued, queue_limit + message_bytes);
    EXPECT_GT(*queued, queue_limit / 2);
    if (sanitized) return;
    EXPECT_LE(resident_bytes(::getpid()), before + queue_limit + message_bytes + (2 << 20));
  }

  Handle handle{};
};

ServerOptions rejecting(Timeouts timeouts) {
  return {.limits = {.max_queued_bytes = queue_limit, .overflow = Overflow::reject},
          .timeouts = timeouts};
}

TEST(Faults, X11_WhoGoesOnGetsAllThatWasAccepted) {
  Attacked attacked(rejecting(no_deadlines()));
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  peer.expect_full(sender);
  EXPECT_EQ(state_of(peer.pid()), "T");
  EXPECT_EQ(tern_echoes(attacked.url()), 1'001u) << "others are served meanwhile";
  attacked.ends.take();
  peer.signal(SIGCONT);
  const auto times_full = sender.all_echoed.take();
  ASSERT_TRUE(times_full);
  EXPECT_GE(*times_full, 1);
  EXPECT_EQ(peer.exit_code(), 0) << peer.err();
  const auto info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->clean);
  EXPECT_TRUE(attacked.deserted());
}

TEST(Faults, X11_WhoIsKilledEndsAsAReset) {
  Attacked attacked(rejecting(no_deadlines()));
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  peer.expect_full(sender);
  peer.signal(SIGKILL);
  const auto info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::connection_reset) << info->error.message();
  EXPECT_EQ(info->code, CloseCode::abnormal);
  EXPECT_EQ(peer.exit_code(), -SIGKILL);
  EXPECT_EQ(clean_echoes(attacked.port()), 1'001u);
}

// `most`: far beyond the deadline, for busy machines, yet short enough to tell it from the others.
void stall(Timeouts timeouts, std::chrono::nanoseconds most) {
  Attacked attacked(rejecting(timeouts));
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  const auto begun = Clock::now();
  peer.expect_full(sender);
  std::optional<CloseInfo> info;
  EXPECT_TRUE(eventually([&] { return attacked.closed > 0; }, 2 * enough_time));
  info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::write_stalled) << info->error.message();
  EXPECT_GE(Clock::now() - begun, timeouts.stall);
  EXPECT_LT(Clock::now() - begun, most);
  EXPECT_EQ(state_of(peer.pid()), "T");
  EXPECT_EQ(clean_echoes(attacked.port()), 1'001u);
  peer.signal(SIGCONT);
  EXPECT_EQ(peer.exit_code(), 1) << "it finds its connection gone";
}

void fall_silent(Timeouts timeouts, std::chrono::nanoseconds most) {
  Attacked attacked(rejecting(timeouts));
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  EXPECT_TRUE(eventually([&] { return attacked.closed > 0; }, 2 * enough_time));
  const auto info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::pong_timeout) << info->error.message();
  EXPECT_GE(Clock::now() - sender.opened_at, timeouts.silence + timeouts.pong);
  EXPECT_LT(Clock::now() - sender.opened_at, most);
  EXPECT_EQ(state_of(peer.pid()), "T");
  EXPECT_EQ(clean_echoes(attacked.port()), 1'001u);
}

TEST(Faults, X11_WhoTakesNothingIsDropped) {
  Timeouts timeouts = no_deadlines();
  timeouts.stall = 1s;
  stall(timeouts, enough_time);
}
TEST(Faults, X11_WhoSaysNothingIsDropped) {
  fall_silent({.silence = 500ms, .pong = 500ms, .close = 5min, .stall = 5min}, enough_time);
}
// Full size: the defaults.
TEST(FaultsLong, X11_WhoTakesNothingIsDroppedAfter30Seconds) {
  Timeouts timeouts = no_deadlines();
  timeouts.stall = Timeouts{}.stall;
  ASSERT_EQ(timeouts.stall, 30s);
  stall(timeouts, 36s);
}
TEST(FaultsLong, X11_WhoSaysNothingIsDroppedAfter40Seconds) {
  const Timeouts timeouts;
  ASSERT_EQ(timeouts.silence + timeouts.pong, 40s);
  fall_silent(timeouts, 46s);
}

// The other way round: the client's server is stopped.
TEST(Faults, X11_AClientOfAStoppedServer) {
  AttackedProgram server;
  auto blocked = dial(server.url(), {.timeouts = {.silence = 5min, .pong = 5min, .stall = 1s}});
  auto silent = dial(server.url(), {.timeouts = {.silence = 500ms, .pong = 500ms}});
  ASSERT_TRUE(blocked && silent);
  server.signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] { return state_of(server.pid()) == "T"; }));
  const auto begun = Clock::now();
  const std::string large(message_bytes, 'x');
  auto sent = blocked->send(large);
  for (int i = 0; sent && i < messages; ++i) sent = blocked->send(large);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Errc::write_stalled) << sent.error().message();
  EXPECT_GE(Clock::now() - begun, 1s);
  std::string payload;
  const auto received = silent->receive(payload);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code(), Errc::pong_timeout) << received.error().message();
  EXPECT_EQ(state_of(server.pid()), "T");
  server.expect_fired(2);
  server.signal(SIGCONT);
  server.expect_clean_end();
}

}  // namespace
}  // namespace tern::test
