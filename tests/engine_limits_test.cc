// The limits of messages, fragments, lengths, the send queue and waiting control frames.
#include "support/bare_engine.h"
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};

EngineOptions with(Limits limits) { return {.limits = limits}; }

// ---- messages, RFC 6455 §10.4

TEST(EngineLimits, Rfc6455_10_4_AcceptsAMessageAtTheLimit) {
  for (const Role role : roles) {
    for (const std::size_t limit : {0u, 1u, 125u, 126u, 65535u, 65536u, 200'000u}) {
      for (const std::size_t step : {Peer::all, std::size_t{4096}}) {
        Peer peer(role, with({.max_message_bytes = limit}));
        const std::size_t half = limit / 2;
        peer.receive(wire(peer.them, {binary(payload_of(limit)), binary(payload_of(half), false),
                                      ping(), more(payload_of(limit - half), false), more("")}),
                     step);
        const std::string whole = to_string(binary(payload_of(limit)));
        EXPECT_EQ(peer.events(), (Strings{whole, "ping", whole})) << limit;
        peer.frames();
        expect_orderly_end(peer);
      }
    }
  }
}

// A message that is one byte too long is refused at its header, before any byte of the payload.
TEST(EngineLimits, Rfc6455_10_4_RejectsALargerMessageAtItsHeader) {
  for (const Role role : roles) {
    for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{125}, std::uint64_t{1} << 20,
                                      std::uint64_t{1} << 31, std::uint64_t{1} << 32}) {
      Peer peer(role, with({.max_message_bytes = limit}));
      const std::string header = wire_header(peer.them, binary(""), limit + 1);
      peer.receive(header.substr(0, header.size() - 1));
      EXPECT_FALSE(peer.saw_closed());
      peer.receive(header.substr(header.size() - 1));
      expect_failed(peer, {}, Errc::message_too_big);
      EXPECT_EQ(close_code(Errc::message_too_big), CloseCode::message_too_big);
    }
  }
}

TEST(EngineLimits, Rfc6455_10_4_TheLimitAppliesToTheSumOfFragments) {
  for (const Role role : roles) {
    Peer peer(role, with({.max_message_bytes = 1000}));
    peer.receive(
        {binary(payload_of(400), false), more(payload_of(0), false), more(payload_of(600), false)});
    EXPECT_FALSE(peer.saw_closed());
    peer.receive(ping("alive"));
    EXPECT_EQ(peer.frames(), Strings{"pong alive"});
    peer.receive(wire_header(peer.them, more(""), 1));
    expect_failed(peer, {}, Errc::message_too_big);
  }
}

TEST(EngineLimits, Rfc6455_5_2_HugeLengthsNeverWrap) {
  const std::uint64_t top = std::uint64_t{1} << 63;
  for (const Role role : roles) {
    for (const std::uint64_t length : {top / 2 / 2, std::uint64_t{1} << 31, std::uint64_t{1} << 32,
                                       (std::uint64_t{1} << 32) + 1, top - 1, top - 8}) {
      for (const bool fragmented : {false, true}) {
        Peer peer(role);
        if (fragmented) peer.receive(text("twenty bytes before", false));
        peer.receive(wire_header(peer.them, fragmented ? more("") : text(""), length));
        expect_failed(peer, {}, Errc::message_too_big);
      }
    }
    for (const std::uint64_t length : {top, top + 1, ~std::uint64_t{0}, ~std::uint64_t{0} - 13}) {
      Peer peer(role);
      peer.receive(wire_header(peer.them, text(""), length));
      expect_failed(peer, {}, Errc::frame_length_top_bit);
    }
  }
}

TEST(EngineLimits, Rfc6455_10_4_EmptyFragmentsCountToo) {
  for (const Role role : roles) {
    for (const std::size_t size : {0u, 1u}) {
      Peer peer(role, with({.max_fragments = 5}));
      const Frame middle = more(payload_of(size), false);
      const std::vector<Frame> five = {binary("", false), middle, middle, middle, more("")};
      peer.receive(five);
      peer.receive(five);  // the count starts again with each message
      peer.receive({binary("", false), middle, middle, ping(), pong(), middle, middle});
      EXPECT_FALSE(peer.saw_closed());
      peer.frames();
      const std::string sixth = wire(peer.them, more(""));
      peer.receive(sixth, 1);
      expect_failed(peer, {}, Errc::too_many_fragments);
      EXPECT_EQ(close_code(Errc::too_many_fragments), CloseCode::policy_violation);
    }
  }
}

TEST(EngineLimits, Rfc6455_10_4_AnAcceptMayHaveItsOwnLimits) {
  Peer peer(Role::server, {}, Start::handshake);
  peer.accepts = false;
  peer.receive(upgrade_request());
  EXPECT_EQ(peer.engine().accept({.limits = Limits{.max_message_bytes = 3}}), std::error_code());
  EXPECT_EQ(peer.engine().limits().max_message_bytes, 3u);
  peer.receive({text("abc"), text("abcd")});
  EXPECT_EQ(peer.events().back(), "closed");
  expect_failed(peer, {"text abc"}, Errc::message_too_big);
}

// ---- the send queue

const Limits queue_limits{
    .max_queued_bytes = 10'000, .high_water_bytes = 4'000, .low_water_bytes = 1'000};

// Queues 9 000 bytes of payload while the socket takes no byte.
void fill(Peer& peer) {
  peer.writable = 0;
  Engine& engine = peer.engine();
  EXPECT_EQ(engine.send(payload_of(3'000)), SendStatus::queued);
  EXPECT_LT(engine.queued_bytes(), 3'100u);
  EXPECT_EQ(engine.send(payload_of(3'000)), SendStatus::congested);
  EXPECT_EQ(engine.send(SharedMessage(payload_of(3'000))), SendStatus::congested);
  EXPECT_FALSE(engine.would_overflow(900));
  EXPECT_TRUE(engine.would_overflow(1'001));
  const std::size_t queued = engine.queued_bytes();
  EXPECT_FALSE(engine.is_crowded(900, queued));
  EXPECT_TRUE(engine.is_crowded(900, queued - 1)) << "it fits, but more than the mark waits";
  EXPECT_TRUE(engine.is_crowded(1'001, queued)) << "it does not fit";
}

TEST(EngineLimits, SendReportsCongestedAboveTheHighWaterMark) {
  for (const Role role : roles) {
    for (const std::size_t beyond : {std::size_t{0}, std::size_t{1}}) {
      Peer peer(role, with(queue_limits));
      peer.writable = 0;
      Engine& engine = peer.engine();
      EXPECT_EQ(engine.send(payload_of(2'000)), SendStatus::queued);
      const std::size_t header = engine.queued_bytes() - 2'000;
      const std::size_t rest = queue_limits.high_water_bytes - engine.queued_bytes() - header;
      EXPECT_EQ(engine.send(payload_of(rest + beyond)),
                beyond == 0 ? SendStatus::queued : SendStatus::congested);
      EXPECT_EQ(engine.queued_bytes(), queue_limits.high_water_bytes + beyond);
    }
  }
}

TEST(EngineLimits, OverflowRejectKeepsTheConnection) {
  for (const Role role : roles) {
    Limits limits = queue_limits;
    limits.overflow = Overflow::reject;
    Peer peer(role, with(limits));
    fill(peer);
    Engine& engine = peer.engine();
    const std::size_t before = engine.queued_bytes();
    const std::string big = payload_of(1'001);
    EXPECT_EQ(engine.send(std::string_view(big)), SendStatus::full);
    EXPECT_EQ(engine.send(SharedMessage(std::string_view(big))), SendStatus::full);
    EXPECT_EQ(engine.send_borrowed(std::string_view(big)), SendStatus::full);
    EXPECT_EQ(engine.queued_bytes(), before);
    EXPECT_TRUE(engine.is_open());
    EXPECT_EQ(engine.send(std::string_view("small")), SendStatus::congested);
    peer.receive(ping("exempt"));
    EXPECT_GT(engine.queued_bytes(), before);
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(engine.queued_bytes(), 0u);
    EXPECT_EQ(engine.send(std::string_view(big)), SendStatus::queued);
    peer.turn();
    const std::string three = to_string(text(payload_of(3'000)));
    Strings frames = peer.frames();
    std::erase(frames, "pong exempt");
    EXPECT_EQ(frames, (Strings{three, three, three, "text small", to_string(text(big))}));
    expect_orderly_end(peer);
  }
}

TEST(EngineLimits, OverflowCloseEndsTheConnection) {
  for (const Role role : roles) {
    for (const std::size_t begun : {std::size_t{0}, std::size_t{1}, std::size_t{3'500}}) {
      SCOPED_TRACE(std::string(name(role)) + std::to_string(begun));
      Peer peer(role, with(queue_limits));
      fill(peer);
      peer.writable = begun;
      peer.turn();
      ASSERT_EQ(peer.written().size(), begun);
      const std::string big = payload_of(9'999);
      EXPECT_EQ(peer.engine().send(std::string_view(big)), SendStatus::closed);
      EXPECT_EQ(peer.engine().send(std::string_view("late")), SendStatus::closed);
      peer.turn();
      EXPECT_EQ(peer.events(), Strings{"closed"});
      EXPECT_EQ(peer.ending(), (Ending{.code = 1008,
                                       .reason = "the peer is too slow: the send queue is full",
                                       .error = Errc::peer_too_slow}));
      EXPECT_LE(peer.engine().queued_bytes(), 10'000u);
      peer.writable = Peer::all;
      peer.turn();
      const Strings frames = peer.frames();  // all frames are whole, because the reader is strict
      ASSERT_FALSE(frames.empty());
      EXPECT_EQ(frames.back(), failure(Errc::peer_too_slow));
      EXPECT_TRUE(begun > 0 || frames.size() == 1) << "frames not begun are dropped";
      EXPECT_TRUE(peer.dead());
    }
  }
}

TEST(EngineLimits, EveryKindOfSendCanOverflowTheQueue) {
  const std::string big = payload_of(9'999);
  const SharedMessage shared{std::string_view(big)};
  for (const Role role : roles) {
    for (const int kind : {0, 1, 2}) {
      Peer peer(role, with(queue_limits));
      peer.writable = 0;
      peer.engine().send(payload_of(5'000));
      peer.receive(ping("offered"));
      peer.receive(ping("waiting"));
      peer.engine().ping();
      const SendStatus status = kind == 0   ? peer.engine().send(big)
                                : kind == 1 ? peer.engine().send(shared)
                                            : peer.engine().send_borrowed(big);
      EXPECT_EQ(status, SendStatus::closed);
      EXPECT_LT(peer.engine().queued_bytes(), 100u) << "frames not begun are dropped";
      peer.writable = Peer::all;
      peer.turn();
      EXPECT_EQ(peer.frames(), Strings{failure(Errc::peer_too_slow)});
      EXPECT_EQ(peer.ending(), (Ending{.code = 1008,
                                       .reason = "the peer is too slow: the send queue is full",
                                       .error = Errc::peer_too_slow}));
    }
  }
}

// Echoes of lent messages leave as one piece.
TEST(EngineLimits, EchoesThatJoinCountLikeAllMessages) {
  Bare bare(Role::server, with({.max_queued_bytes = 250,
                                .high_water_bytes = 204,
                                .low_water_bytes = 0,
                                .overflow = Overflow::reject}));
  bare.engine.feed(0, bare.lend({text(payload_of(100)), text(payload_of(100)), text(payload_of(40)),
                                 text(payload_of(100)), text("x")}));
  std::vector<SendStatus> statuses;
  while (const Event event = bare.engine.next()) {
    statuses.push_back(bare.engine.send(event.message()));
  }
  EXPECT_EQ(statuses,
            (std::vector<SendStatus>{SendStatus::queued, SendStatus::queued, SendStatus::congested,
                                     SendStatus::full, SendStatus::congested}));
  EXPECT_EQ(bare.engine.queued_bytes(), 102u + 102 + 42 + 3);
}

TEST(EngineLimits, AnEmptyQueueTakesAnyMessage) {
  for (const Role role : roles) {
    Peer peer(role, with(queue_limits));
    peer.writable = 0;
    const std::string big = payload_of(100'000);
    EXPECT_FALSE(peer.engine().would_overflow(big.size()));
    EXPECT_EQ(peer.engine().send(std::string_view(big)), SendStatus::congested);
    EXPECT_TRUE(peer.engine().would_overflow(1));
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(peer.frames(), Strings{to_string(text(big))});
  }
}

// ---- control frames that wait

TEST(EngineLimits, Rfc6455_5_5_3_WaitingPongsAreBoundedAndTheNewestIsKept) {
  for (const Role role : roles) {
    for (const int pings : {10, 32, 33, 1000}) {
      for (const bool one_read : {true, false}) {
        SCOPED_TRACE(std::string(name(role)) + std::to_string(pings) +
                     (one_read ? " at once" : ""));
        Peer peer(role);
        peer.writable = 0;
        std::string all;
        for (int i = 0; i < pings; ++i) {
          const std::string one = wire(peer.them, ping(std::to_string(i)));
          if (one_read) {
            all += one;
          } else {
            peer.receive(one);
          }
        }
        if (one_read) peer.receive(all);
        EXPECT_EQ(peer.events().size(), static_cast<std::size_t>(pings));
        EXPECT_LE(peer.engine().queued_bytes(), 33u * (2 + 4 + 4));
        peer.writable = Peer::all;
        peer.turn();
        const Strings pongs = peer.frames();
        // While a write of 32 is under way, the newest may wait behind them.
        ASSERT_GE(pongs.size(), static_cast<std::size_t>(std::min(pings, 32)));
        ASSERT_LE(pongs.size(), pings > 32 && !one_read ? 33u : 32u);
        for (std::size_t i = 0; i + 1 < pongs.size() && i < 31; ++i) {
          EXPECT_EQ(pongs[i], "pong " + std::to_string(i));
        }
        EXPECT_EQ(pongs.back(), "pong " + std::to_string(pings - 1));
        // Later pings are answered, because the counts start again.
        peer.receive({ping("a"), ping("b")});
        EXPECT_EQ(peer.frames(), (Strings{"pong a", "pong b"}));
      }
    }
  }
}

TEST(EngineLimits, Rfc6455_5_5_2_AtMost16OwnPingsWait) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string payload = std::to_string(i);
      peer.engine().ping(std::as_bytes(std::span(payload)));
    }
    peer.receive(ping("theirs"));
    peer.writable = Peer::all;
    peer.turn();
    const Strings frames = peer.frames();
    ASSERT_EQ(frames.size(), 17u);
    for (int i = 0; i < 15; ++i) {
      EXPECT_EQ(frames[static_cast<std::size_t>(i)], "ping " + std::to_string(i));
    }
    EXPECT_EQ(frames[15], "ping 99");
    EXPECT_EQ(frames[16], "pong theirs");
  }
}

TEST(EngineLimits, Rfc6455_5_5_OwnPingsAreCutAt125) {
  for (const Role role : roles) {
    for (const std::size_t size : {0u, 124u, 125u, 126u, 5000u}) {
      Peer peer(role);
      const std::string payload = payload_of(size);
      peer.engine().ping(std::as_bytes(std::span(payload)));
      peer.turn();
      EXPECT_EQ(peer.frames(),
                Strings{to_string(ping(payload_of(std::min<std::size_t>(size, 125))))});
    }
  }
}

// Frames without content are work without an event.
TEST(EngineLimits, OneCallReads256FramesAtMost) {
  for (const Role role : {Role::server, Role::client}) {
    Peer peer(role);
    std::vector<Frame> frames(10'001, more("", false));
    frames.front() = text("", false);
    frames.back() = more("end");
    peer.receive(frames);
    EXPECT_EQ(peer.working, 10'001 / 256);
    EXPECT_EQ(peer.events(), Peer::Strings{"text end"});
  }
}

// The same limit applies to frames that cause no event, because they follow our Close.
TEST(EngineLimits, OneCallReads256FramesBehindOurCloseAtMost) {
  for (const Role role : {Role::server, Role::client}) {
    for (const Frame& frame : {ping(""), pong(""), text("")}) {
      Peer peer(role);
      peer.engine().close(CloseCode::normal);
      std::vector<Frame> frames(10'000, frame);
      frames.push_back(closing(1000));
      peer.receive(frames);
      EXPECT_EQ(peer.working, 10'000 / 256) << to_string(frame);
      EXPECT_EQ(peer.frames(), Peer::Strings{"close 1000"}) << "none is answered";
    }
  }
}

}  // namespace
}  // namespace tern::test
