// X11: the peer process is stopped (SIGSTOP) while tern sends 64 MiB to it. Then it continues
// (SIGCONT), is killed (SIGKILL), or stays stopped. Pass: the queue stops at its limit plus one
// message, and send() returns `full`. Resident memory grows by no more than that and 2 MiB. A peer
// that continues in time receives every accepted message in order. A killed peer is reported as a
// reset. A peer that stays stopped is dropped by the stall deadline or, when nothing is sent, by
// silence and pong, never before their time. Each of them runs plain and over TLS. For CI the stall
// deadline is 1 s instead of 30 s, and silence and pong are 500 ms instead of 20 s.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "faults/support/tls_attacked.h"
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

enum class Over : std::uint8_t { tcp, tls };

std::size_t echoes(const Attacked& attacked, Over over) {
  return over == Over::tls ? clean_tls_echoes(attacked.port()) : clean_echoes(attacked.port());
}

Timeouts no_deadlines() { return {.silence = 5min, .pong = 5min, .close = 5min, .stall = 5min}; }

std::string numbered(int number) {
  std::string payload = std::to_string(number) + ' ';
  payload.resize(message_bytes, static_cast<char>('a' + number % 26));
  return payload;
}

// After a command it sends as fast as possible. It also checks the echoes.
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
  Clock::time_point opened_at{};  ///< by the clock of the loop, like all deadlines
  Clock::time_point begun_at{};   ///< the same, of the command to send

 private:
  void on_echo(Connection& conn, Message msg) {
    if (msg.text() != numbered(echoed_)) ADD_FAILURE() << "echo " << echoed_ << " is another";
    if (++echoed_ < messages) return;
    all_echoed.put(full_);
    conn.close();
  }

  Attacked& attacked_;
  int sent_ = 0;  // this and the following members belong to the loop
  int echoed_ = 0;
  int full_ = 0;
  std::size_t most_queued_ = 0;
};

// echo_back, connected and then stopped.
class StoppedPeer : public Process {
 public:
  StoppedPeer(Attacked& attacked, Sender& sender)
      : Process({program("echo_back"), "--ca", pem_file("ca.pem"), attacked.url("/send")}) {
    if (auto opened = sender.handles.take()) handle = *opened;
    signal(SIGSTOP);
    EXPECT_TRUE(eventually([&] { return state_of(pid()) == "T"; }));
  }
  /// Lets the server send until send() returns `full`.
  void expect_full(Sender& sender) {
    const std::size_t before = resident_bytes(::getpid());
    EXPECT_TRUE(handle.post([&](Connection& conn) {
      sender.begun_at = conn.loop().now();
      sender.send_on(conn);
    }));
    const auto queued = sender.first_full.take();
    ASSERT_TRUE(queued);
    EXPECT_LE(*queued, queue_limit + message_bytes);
    EXPECT_GT(*queued, queue_limit / 2);
    if (sanitized) return;
    EXPECT_LE(resident_bytes(::getpid()), before + queue_limit + message_bytes + (2 << 20));
  }

  Handle handle{};
};

ServerOptions rejecting(Timeouts timeouts, Over over) {
  ServerOptions options{.limits = {.max_queued_bytes = queue_limit, .overflow = Overflow::reject},
                        .timeouts = timeouts};
  return over == Over::tls ? over_tls(std::move(options)) : options;
}

void go_on(Over over) {
  Attacked attacked(rejecting(no_deadlines(), over));
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  peer.expect_full(sender);
  EXPECT_EQ(state_of(peer.pid()), "T");
  EXPECT_EQ(tern_echoes(attacked.url(), 1'000, trusting()), 1'001u)
      << "others are served meanwhile";
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

TEST(Faults, X11_APeerThatContinuesGetsAllAcceptedMessages) { go_on(Over::tcp); }
TEST(Faults, X11_APeerThatContinuesGetsAllAcceptedMessagesOverTls) { go_on(Over::tls); }

void kill_it(Over over) {
  Attacked attacked(rejecting(no_deadlines(), over));
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
  EXPECT_EQ(echoes(attacked, over), 1'001u);
}

TEST(Faults, X11_AKilledPeerEndsAsAReset) { kill_it(Over::tcp); }
TEST(Faults, X11_AKilledPeerEndsAsAResetOverTls) { kill_it(Over::tls); }

// `most` is far beyond the deadline, because machines are busy, but shorter than the other
// deadlines.
void stall(Over over, Timeouts timeouts, std::chrono::nanoseconds most) {
  Attacked attacked(rejecting(timeouts, over), Defaults::meant);
  Sender sender(attacked);
  attacked.start();
  StoppedPeer peer(attacked, sender);
  peer.expect_full(sender);
  std::optional<CloseInfo> info;
  EXPECT_TRUE(eventually([&] { return attacked.closed > 0; }, 2 * enough_time));
  info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::write_stalled) << info->error.message();
  EXPECT_GE(Clock::now() - sender.begun_at, timeouts.stall);
  EXPECT_LT(Clock::now() - sender.begun_at, most);
  EXPECT_EQ(state_of(peer.pid()), "T");
  EXPECT_EQ(echoes(attacked, over), 1'001u);
  peer.signal(SIGCONT);
  EXPECT_EQ(peer.exit_code(), 1) << "it finds its connection gone";
}

void fall_silent(Over over, Timeouts timeouts, std::chrono::nanoseconds most) {
  Attacked attacked(rejecting(timeouts, over), Defaults::meant);
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
  EXPECT_EQ(echoes(attacked, over), 1'001u);
}

Timeouts only_stall(std::chrono::nanoseconds after) {
  Timeouts timeouts = no_deadlines();
  timeouts.stall = after;
  return timeouts;
}
constexpr Timeouts short_silence{.silence = 500ms, .pong = 500ms, .close = 5min, .stall = 5min};

TEST(Faults, X11_APeerThatTakesNothingIsDropped) { stall(Over::tcp, only_stall(1s), enough_time); }
TEST(Faults, X11_APeerThatTakesNothingIsDroppedOverTls) {
  stall(Over::tls, only_stall(1s), enough_time);
}
TEST(Faults, X11_ASilentPeerIsDropped) { fall_silent(Over::tcp, short_silence, enough_time); }
TEST(Faults, X11_ASilentPeerIsDroppedOverTls) {
  fall_silent(Over::tls, short_silence, enough_time);
}
// The full size has the default deadlines.
TEST(FaultsLong, X11_APeerThatTakesNothingIsDroppedAfter30Seconds) {
  ASSERT_EQ(Timeouts{}.stall, 30s);
  for (const Over over : {Over::tcp, Over::tls}) stall(over, only_stall(30s), 36s);
}
TEST(FaultsLong, X11_ASilentPeerIsDroppedAfter40Seconds) {
  const Timeouts timeouts;
  ASSERT_EQ(timeouts.silence + timeouts.pong, 40s);
  for (const Over over : {Over::tcp, Over::tls}) fall_silent(over, timeouts, 46s);
}

// The message is so small that TLS takes all of it and holds the bytes that the system does not
// take.
TEST(Faults, X11_OutputThatTlsHoldsStallsAsWell) {
  AttackedTls attacked({.timeouts = only_stall(500ms)});
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    TlsClient client(port);
    EXPECT_TRUE(client.upgrade());
    const sys::Fault full(sys::Call::send, {.error = EAGAIN});
    EXPECT_TRUE(client.send(text("Hello")));
    const auto info = attacked.ends.take();
    EXPECT_TRUE(info && info->error == Errc::write_stalled);
    return full.fired();
  });
}

// The reverse: the server of a client is stopped.
template <class Program>
void stop_the_server() {
  Program server;
  auto blocked =
      dial(server.url(), trusting({.timeouts = {.silence = 5min, .pong = 5min, .stall = 1s}}));
  auto silent = dial(server.url(), trusting({.timeouts = {.silence = 500ms, .pong = 500ms}}));
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

TEST(Faults, X11_SendAndReceiveFailIfTheServerIsStopped) { stop_the_server<AttackedProgram>(); }
TEST(Faults, X11_SendAndReceiveFailIfTheServerIsStoppedOverTls) {
  stop_the_server<AttackedTlsProgram>();
}

}  // namespace
}  // namespace tern::test
