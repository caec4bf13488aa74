// X21: the peer never answers our Close frame: it continues with data and pings, or it reads
// nothing.
// Pass: TCP ends when timeouts.close is over after the Close was written, never before, and with
// any traffic. Until then tern reads the peer's bytes and delivers nothing. The cause is
// close_timeout. If the peer reads nothing, the Close cannot be written, and timeouts.stall ends
// the connection. For CI the deadline is 1 s; the full size has the default deadlines (at most 1 s
// late, and an eighth for stall).
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "support/socket_peer.h"

#include <future>
#include <gtest/gtest.h>
#include <string>
#include <thread>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

ServerOptions options_with(Nanoseconds close_timeout, Nanoseconds stall = 5min) {
  return {.limits = {.max_queued_bytes = 64 << 20},
          .timeouts = {.silence = 5min, .pong = 5min, .close = close_timeout, .stall = stall}};
}

// A session that closes at "close". At "much" it first queues more bytes than the kernel takes.
class Closing {
 public:
  explicit Closing(Attacked& attacked) {
    attacked.server.route("/close", Handlers{.on_open = [&](Connection&) { ++attacked.opened; },
                                             .on_message =
                                                 [this](Connection& conn, Message msg) {
                                                   EXPECT_FALSE(closing_)
                                                       << "delivered behind the Close: "
                                                       << msg.text();
                                                   if (msg.text() == "much")
                                                     conn.send(std::string(12 << 20, 'x'));
                                                   closing_ = true;
                                                   closed_at_ = conn.loop().now();
                                                   conn.close(CloseCode::going_away, "enough");
                                                 },
                                             .on_close =
                                                 [&, this](Connection&, const CloseInfo& info) {
                                                   took_ = Clock::now() - closed_at_;
                                                   closing_ = false;
                                                   attacked.ended(info);
                                                 }});
  }
  /// The time from the turn in which it closed to on_close. Valid after its end was taken.
  Nanoseconds took() const { return took_; }

 private:
  bool closing_ = false;  // this and the following members belong to the loop
  Clock::time_point closed_at_{};
  Nanoseconds took_{0};
};

void expect_end(Attacked& attacked, const Closing& row, Errc cause, Nanoseconds timeout,
                Nanoseconds late) {
  const auto info = attacked.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, cause) << info->error.message();
  EXPECT_EQ(info->code, CloseCode::abnormal);
  EXPECT_FALSE(info->clean);
  EXPECT_GE(row.took(), timeout);
  EXPECT_LE(row.took(), timeout + late);
}

void traffic_goes_on(Nanoseconds timeout, Nanoseconds late) {
  Attacked attacked(options_with(timeout));
  const Closing row(attacked);
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    CrowdClient client(port);
    client.upgrade("/close");
    client.send(text("close"));
    const std::string each = wire(Role::client, {text(std::string(1'000, 'x')), ping("?")});
    const std::uint64_t before = attacked.server.counters().bytes_received;
    const auto begun = Clock::now();
    std::uint64_t sent = 0;
    bool sent_late = false;
    std::vector<Frame> frames;
    while (!client.ended() && Clock::now() - begun < timeout + enough_time) {
      pollfd wait{client.fd(), POLLIN, 0};
      ::poll(&wait, 1, 10);
      if (wait.revents != 0) client.read();
      for (Frame& frame : client.frames()) frames.push_back(std::move(frame));
      if (client.ended()) break;
      client.send(each);
      sent += each.size();
      sent_late = sent_late || Clock::now() - begun > timeout / 2;
    }
    EXPECT_TRUE(sent_late) << "nothing was sent that could have moved the deadline";
    EXPECT_LT(client.unsent(), std::size_t{1} << 16) << "it was not read until then";
    EXPECT_GE(attacked.server.counters().bytes_received - before, sent / 2);
    EXPECT_EQ(frames.size(), 1u) << "behind its Close nothing may follow";
    if (!frames.empty()) {
      EXPECT_EQ(to_string(frames[0]), "close 1001 enough");
    }
    EXPECT_EQ(client.fault(), "");
    expect_end(attacked, row, Errc::close_timeout, timeout, late);
    return sent;
  });
}

void nothing_is_read(Nanoseconds timeout, Nanoseconds late) {
  Attacked attacked(options_with(5min, timeout));
  const Closing row(attacked);
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    RawClient client(port, 4'096);
    EXPECT_TRUE(client.upgrade("/close"));
    client.send(text("much"));  // so the Close waits behind it
    expect_end(attacked, row, Errc::write_stalled, timeout, late);
    return 1;
  });
}

TEST(Faults, X21_DataAndPingsDoNotMoveTheDeadline) { traffic_goes_on(1s, enough_time / 2); }
TEST(Faults, X21_APeerThatReadsNothingIsEndedByStall) { nothing_is_read(1s, enough_time / 2); }
TEST(FaultsLong, X21_DataAndPingsDoNotMoveTheDeadlineOf5Seconds) {
  traffic_goes_on(Timeouts{}.close, 1s);
}
TEST(FaultsLong, X21_APeerThatReadsNothingIsEndedAfter30Seconds) {
  nothing_is_read(Timeouts{}.stall, 5s);
}

void close_in_time(BlockingClient& client, Nanoseconds timeout) {
  const auto begun = Clock::now();
  EXPECT_FALSE(client.close(CloseCode::normal, "", timeout));
  EXPECT_GE(Clock::now() - begun, timeout);
  EXPECT_LT(Clock::now() - begun, timeout + enough_time / 2);
  EXPECT_EQ(client.close_info().error, Errc::close_timeout) << client.close_info().error.message();
  EXPECT_EQ(client.close_info().code, CloseCode::abnormal);
}

TEST(Faults, X21_CloseTimesOutIfTheServerKeepsSending) {
  strike_clients([&] {
    int sent = 0;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      pollfd wait{socket.fd(), 0, 0};  // poll reports its end as POLLHUP or POLLERR
      while (socket.send(wire(Role::server, {text("more"), ping("?")}))) {
        ++sent;
        if (::poll(&wait, 1, 5) == 1) break;
      }
    });
    auto dialed = dial(peer.url(), {.timeouts = {.stall = 5min}});
    EXPECT_TRUE(dialed);
    close_in_time(*dialed, 500ms);
    peer.join();
    EXPECT_GT(sent, 2);
    return sent;
  });
}

TEST(Faults, X21_CloseTimesOutIfTheServerReadsNothing) {
  strike_clients([&] {
    std::promise<void> over;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      over.get_future().wait();
    });
    auto dialed =
        dial(peer.url(), {.limits = {.max_queued_bytes = 64 << 20}, .timeouts = {.stall = 5min}});
    EXPECT_TRUE(dialed);
    std::thread sender([&] {  // fills the buffers, then waits until the connection is over
      const std::string large(12 << 20, 'x');
      EXPECT_FALSE(dialed->send(Message(MessageType::binary, large)));
    });
    close_in_time(*dialed, 500ms);
    sender.join();
    over.set_value();
    peer.join();
    return 1;
  });
}

}  // namespace
}  // namespace tern::test
