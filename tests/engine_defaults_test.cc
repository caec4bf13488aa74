// An engine with default options: each limit is tested at its value and one beyond, with the
// numbers written out. tests/docs_limits_test.cc checks that the guide has the same numbers.
#include "tern/dial.h"

#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};
constexpr std::size_t kib = 1024;
constexpr auto never = Timeouts::Duration::max();

std::string repeated(const std::string& what, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += what;
  return all;
}

// ---- messages

TEST(EngineDefaults, Rfc6455_10_4_AMessageHasAtMostOneMebibyte) {
  for (const Role role : roles) {
    Peer whole(role);
    whole.receive(binary(payload_of(1024 * kib)));
    EXPECT_EQ(whole.frames(), Strings{to_string(binary(payload_of(1024 * kib)))});
    whole.receive(wire_header(whole.them, binary(""), 1024 * kib + 1));
    expect_failed(whole, {}, Errc::message_too_big);

    Peer parts(role);
    parts.receive({binary(payload_of(1000 * kib), false), more(payload_of(24 * kib))});
    EXPECT_EQ(parts.frames(), Strings{to_string(binary(payload_of(1024 * kib)))});
    parts.receive(binary(payload_of(1000 * kib), false));
    parts.receive(wire_header(parts.them, more(""), 24 * kib + 1));
    expect_failed(parts, {}, Errc::message_too_big);
  }
}

TEST(EngineDefaults, Rfc6455_10_4_TheFragmentsOfAMessageAreLimited) {
  struct Row {
    Role role;
    Limits limits;
    std::size_t most;
  };
  const std::vector<Row> table = {
      {Role::server, Limits{}, 16'384},
      {Role::client, Limits{}, 16'384},
      {Role::client, DialOptions{}.limits, 131'072},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.most);
    const EngineOptions options{.limits = row.limits};
    Peer peer(row.role, options);
    const std::string first = wire(peer.them, text("x", false));
    const std::string middle = wire(peer.them, more("x", false));
    peer.receive(first + repeated(middle, row.most - 2) + wire(peer.them, more("x")));
    EXPECT_EQ(peer.frames(), Strings{to_string(text(payload_of(row.most)))});
    peer.receive(first + repeated(middle, row.most - 1));
    EXPECT_FALSE(peer.saw_closed());
    peer.receive(wire(peer.them, more("")));
    expect_failed(peer, {}, Errc::too_many_fragments);
  }
}

// ---- heads

// A valid upgrade is accepted if its head is at the limit. One more byte or field is refused.
TEST(EngineDefaults, Rfc6455_10_4_TheHeadOfARequestIsLimited) {
  struct Row {
    const char* name;
    std::string fits;
    std::string over;
    int status;
    Errc error;
  };
  const std::size_t bare = upgrade_request("X: \r\n").size();
  const auto head_of = [&](std::size_t size) {
    return upgrade_request("X: " + payload_of(size - bare) + "\r\n");
  };
  const auto line_of = [](std::size_t size) {  // "GET /xx… HTTP/1.1"
    return upgrade_request({}, "/" + payload_of(size - 14));
  };
  const auto fields_of = [](std::size_t count) {  // the upgrade itself has five
    return upgrade_request(repeated("X: y\r\n", count - 5));
  };
  const std::vector<Row> table = {
      {"head", head_of(16'384), head_of(16'385), 431, Errc::head_too_big},
      {"line", line_of(8'192), line_of(8'193), 414, Errc::request_line_too_long},
      {"fields", fields_of(100), fields_of(101), 431, Errc::too_many_header_fields},
  };
  ASSERT_EQ(table[0].fits.size(), 16'384u);
  ASSERT_EQ(table[1].fits.find("\r\n"), 8'192u);
  for (const Row& row : table) {
    for (const std::size_t step : {Peer::all, std::size_t{997}}) {
      SCOPED_TRACE(row.name);
      Peer fits(Role::server, {}, Start::handshake);
      fits.receive(row.fits, step);
      EXPECT_EQ(fits.events().back(), "open");
      EXPECT_TRUE(fits.head().starts_with("HTTP/1.1 101 "));

      Peer over(Role::server, {}, Start::handshake);
      over.receive(row.over, step);
      EXPECT_TRUE(over.head().starts_with("HTTP/1.1 " + std::to_string(row.status) + ' '))
          << over.head();
      EXPECT_EQ(over.ending(), (Ending{.code = 1006, .error = row.error, .opened = false}));
    }
  }
}

TEST(EngineDefaults, Rfc6455_10_4_TheHeadOfAnAnswerIsLimited) {
  for (const bool fits : {true, false}) {
    Peer peer(Role::client, {}, Start::handshake);
    const std::size_t bare = upgrade_answer(peer.head(), "X: \r\n").size();
    const std::size_t size = fits ? 16'384 : 16'385;
    peer.receive(upgrade_answer(peer.head(), "X: " + payload_of(size - bare) + "\r\n"));
    EXPECT_EQ(peer.engine().is_open(), fits);
    if (fits) continue;
    EXPECT_EQ(peer.ending().error, Errc::head_too_big);
  }
  for (const std::size_t more : {97u, 98u}) {  // the answer itself has three
    Peer peer(Role::client, {}, Start::handshake);
    peer.receive(upgrade_answer(peer.head(), repeated("X: y\r\n", more)));
    EXPECT_EQ(peer.engine().is_open(), more == 97u);
    if (more == 97u) continue;
    EXPECT_EQ(peer.ending().error, Errc::too_many_header_fields);
  }
}

// Until the application decides, the engine holds 64 KiB of input. Then it stops reading, and loses
// no byte.
TEST(EngineDefaults, AnUndecidedUpgradeHolds64KiB) {
  Peer peer(Role::server, {}, Start::handshake);
  peer.accepts = false;
  peer.receive(upgrade_request());
  const std::string frames =
      wire(Role::client, {binary(payload_of(60 * kib)), binary(payload_of(5 * kib))});
  peer.receive(frames.substr(0, 64 * kib - 1));
  EXPECT_TRUE(peer.engine().wants_input());
  peer.receive(frames.substr(64 * kib - 1, 1));
  EXPECT_FALSE(peer.engine().wants_input());
  peer.receive(frames.substr(64 * kib));
  EXPECT_EQ(peer.unread(), frames.size() - 64 * kib);
  peer.at_now().accept();
  peer.turn();
  EXPECT_EQ(peer.unread(), 0u);
  EXPECT_EQ(peer.frames(), (Strings{to_string(binary(payload_of(60 * kib))),
                                    to_string(binary(payload_of(5 * kib)))}));
}

// ---- the send queue

std::size_t header_size(Role role) { return role == Role::server ? 10 : 14; }

TEST(EngineDefaults, HighWaterIs256KiB) {
  for (const Role role : roles) {
    for (const std::size_t beyond : {0u, 1u}) {
      Peer peer(role);
      peer.writable = 0;
      const std::string payload = payload_of(256 * kib - header_size(role) + beyond);
      EXPECT_EQ(peer.engine().send(std::string_view(payload)),
                beyond == 0 ? SendStatus::queued : SendStatus::congested);
      EXPECT_EQ(peer.engine().queued_bytes(), 256 * kib + beyond);
    }
  }
}

TEST(EngineDefaults, TheHardLimitIsOneMebibyteAndClosesASlowPeer) {
  for (const Role role : roles) {
    for (const std::size_t beyond : {0u, 1u}) {
      Peer peer(role);
      peer.writable = 0;
      EXPECT_TRUE(peer.engine().send(std::string_view("first")));
      const std::string rest = payload_of(1024 * kib - peer.engine().queued_bytes() + beyond);
      EXPECT_EQ(peer.engine().would_overflow(rest.size()), beyond == 1);
      EXPECT_EQ(peer.engine().send(std::string_view(rest)),
                beyond == 0 ? SendStatus::congested : SendStatus::closed);
      EXPECT_EQ(peer.engine().is_open(), beyond == 0);
      if (beyond == 0) continue;
      peer.writable = Peer::all;
      peer.turn();
      EXPECT_EQ(peer.frames(), Strings{failure(Errc::peer_too_slow)});
      EXPECT_EQ(peer.ending(), (Ending{.code = 1008,
                                       .reason = "the peer is too slow: the send queue is full",
                                       .error = Errc::peer_too_slow}));
    }
  }
}

TEST(EngineDefaults, AnEmptyQueueTakesAnyOneMessage) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    const std::string large = payload_of(3 * 1024 * kib);
    EXPECT_EQ(peer.engine().send(std::string_view(large)), SendStatus::congested);
    EXPECT_EQ(peer.engine().send(std::string_view("x")), SendStatus::closed);
  }
}

// ---- time

// The connection exists one nanosecond before the deadline, and has ended at the deadline.
void expect_end_after(Peer& peer, Timeouts::Duration time, std::error_code error) {
  EXPECT_EQ(peer.due(), time);
  peer.wait(time - 1ns);
  EXPECT_FALSE(peer.saw_closed());
  peer.wait(1ns);
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(peer.ending().error, error);
}

TEST(EngineDefaults, HandshakeIsTenSeconds) {
  for (const Role role : roles) {
    Peer peer(role, {}, Start::handshake);
    expect_end_after(peer, 10s, Errc::handshake_timeout);
  }
  Peer begun(Role::server, {}, Start::handshake);
  begun.receive("GET");
  expect_end_after(begun, 10s, Errc::handshake_timeout);
  EXPECT_TRUE(begun.head().starts_with("HTTP/1.1 408 "));
}

TEST(EngineDefaults, HttpIdleIsFiveSeconds) {
  Peer peer(Role::server, {}, Start::handshake);
  peer.accepts = false;
  peer.receive("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
  peer.at_now().respond(Response::text("page"));
  peer.turn();
  expect_end_after(peer, 5s, Errc::timed_out);
}

TEST(EngineDefaults, Rfc6455_5_5_2_SilenceAndPongAreTwentySecondsEach) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.wait(20s - 1ns);
    EXPECT_EQ(peer.frames(), Strings{});
    peer.wait(1ns);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    expect_end_after(peer, 20s, Errc::pong_timeout);
  }
}

TEST(EngineDefaults, Rfc6455_7_1_1_CloseIsFiveSeconds) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.at_now().close(CloseCode::normal);
    peer.turn();
    expect_end_after(peer, 5s, Errc::close_timeout);
  }
}

// A silent peer would be pinged after 20 seconds, so this peer sends messages.
TEST(EngineDefaults, StallIsThirtySeconds) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.echo = false;
    peer.writable = 0;
    peer.at_now().send(std::string_view("stuck"));
    for (int i = 0; i < 2; ++i) {
      peer.wait(15s - 1ns);
      peer.receive(text("alive"));
    }
    EXPECT_EQ(peer.due(), 2ns);
    peer.wait(1ns);
    EXPECT_FALSE(peer.saw_closed());
    peer.wait(1ns);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending().error, Errc::write_stalled);
  }
}

// A pause of reading does not stop these deadlines, because the peer must still read our output and
// answer our Close frame.
TEST(EngineDefaults, APauseStopsNeitherStallNorClose) {
  for (const Role role : roles) {
    Peer stalled(role);
    stalled.at_now().reading(false);
    EXPECT_EQ(stalled.due(), never);
    stalled.writable = 0;
    stalled.at_now().send(std::string_view("stuck"));
    expect_end_after(stalled, 30s, Errc::write_stalled);

    Peer closing(role);
    closing.at_now().reading(false);
    closing.at_now().close(CloseCode::normal);
    closing.turn();
    expect_end_after(closing, 5s, Errc::close_timeout);
  }
}

}  // namespace
}  // namespace tern::test
