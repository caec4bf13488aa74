// Deadlines depend on the progress of the peer: on the bytes that it takes and acknowledges. They
// also allow for a driver that is late. The driver here calls tick() only when deadline() requires
// it.
#include "support/engine_deadlines.h"
#include "support/engine_table.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};

// ---- output that waits

TEST(EngineProgress, APeerThatTakesOneByteIn29SecondsIsStalled) {
  for (const Role role : roles) {
    Peer peer(role, {.timeouts = {.silence = never}});
    peer.writable = 0;
    peer.at_now().send(std::string(100'000, 'x'));
    for (int i = 0; i < 2 && !peer.dead(); ++i) {
      peer.wait(29s);
      peer.writable = 1;
      peer.turn();
    }
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::write_stalled}));
  }
}

TEST(EngineProgress, APeerThatTakesTheMinimumRateIsNotStalled) {
  for (const std::size_t rate : {std::size_t{100}, std::size_t{5'000}, std::size_t{0}}) {
    for (const Role role : roles) {
      Peer peer(role,
                {.limits = {.min_drain_bytes_per_second = rate}, .timeouts = {.silence = never}});
      peer.writable = 0;
      peer.at_now().send(std::string(900'000, 'x'));
      for (int i = 0; i < 6; ++i) {
        peer.wait(25s);
        ASSERT_FALSE(peer.dead()) << rate;
        peer.writable = std::max<std::size_t>(25 * rate, 1);
        peer.turn();
        EXPECT_EQ(peer.due(), 30s) << rate;
      }
      peer.wait(30s);
      EXPECT_TRUE(peer.dead());
    }
  }
}

// Bytes that the socket took may wait in the system for longer than the deadline, because the
// system reports room only after a large part of its buffer is free.
TEST(EngineProgress, AcknowledgedBytesPreventAStall) {
  for (const Role role : roles) {
    Peer peer(role, {.timeouts = {.silence = never}});
    peer.delivery = PeerProgress{.acknowledged = 0xFFFF'0000, .waiting = 4'000'000};
    peer.engine().tick(peer.now(), *peer.delivery);
    peer.writable = 0;
    peer.at_now().send(std::string(900'000, 'x'));
    for (int second = 0; second < 120; ++second) {
      peer.wait(1s);
      peer.delivery->acknowledged += 20'000;  // beyond 2^32
      peer.delivery->waiting -= 20'000;
    }
    ASSERT_FALSE(peer.dead());
    peer.wait(30s);
    EXPECT_FALSE(peer.dead()) << "30 s without a byte are allowed";
    peer.wait(8s);
    ASSERT_TRUE(peer.dead()) << "the engine notices it within one more eighth of the limit";
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::write_stalled}));
  }
}

// ---- pings and Close frames that are written late, or that the peer has not received yet

TEST(EngineProgress, Rfc6455_5_5_2_PongDeadlineCountsFromTheWrittenPing) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.at_now().send(std::string(100, 'x'));
    peer.wait(20s);  // the ping is queued
    EXPECT_EQ(peer.due(), 10s) << "only the stall deadline applies";
    peer.wait(9s);
    EXPECT_FALSE(peer.saw_closed());
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(peer.frames(), (Strings{"ping tern-1", "text " + std::string(100, 'x')}));
    EXPECT_EQ(peer.due(), 7s);
    peer.wait(7s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::pong_timeout}));
  }
}

// The link of the peer is slow: the ping is written, but many earlier bytes have not arrived yet.
TEST(EngineProgress, Rfc6455_5_5_2_AcknowledgedBytesAreASignOfLife) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.delivery = PeerProgress{.acknowledged = 5, .waiting = 1'000'000};
    peer.engine().tick(peer.now(), *peer.delivery);
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    for (int second = 0; second < 50; ++second) {
      peer.wait(1s);
      ASSERT_FALSE(peer.saw_closed()) << second;
      peer.delivery->acknowledged += 20'000;
      peer.delivery->waiting -= 20'000;
    }
    peer.wait(1s);
    peer.receive(pong());
    EXPECT_EQ(peer.due(), 20s);
    EXPECT_FALSE(peer.saw_closed());
  }
}

TEST(EngineProgress, Rfc6455_5_5_2_APeerThatNeverAnswersIsEnded) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.delivery = PeerProgress{};
    peer.engine().tick(peer.now(), *peer.delivery);
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    // The peer takes all bytes, also the ping, and we continue to send.
    Duration took(0);
    for (; !peer.dead() && took < 60s; took += 1s) {
      peer.at_now().send(std::string(10'000, 'x'));
      peer.turn();
      peer.delivery->waiting = 1'000;
      peer.delivery->acknowledged += 10'000;
      peer.wait(1s);
    }
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::pong_timeout}));
    EXPECT_GE(took, 7s);
    EXPECT_LE(took, 7s + 7s);
  }
}

TEST(EngineProgress, Rfc6455_5_5_2_AcknowledgingSingleBytesIsNoSignOfLife) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.delivery = PeerProgress{.acknowledged = 0, .waiting = 1'000'000};
    peer.engine().tick(peer.now(), *peer.delivery);
    peer.wait(20s);
    Duration took(0);
    for (; !peer.dead() && took < 60s; took += 6s) {
      peer.wait(6s);
      ++peer.delivery->acknowledged;
      --peer.delivery->waiting;
    }
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::pong_timeout}));
    EXPECT_LE(took, 12s);
  }
}

TEST(EngineProgress, Rfc6455_7_1_1_CloseDeadlineCountsFromTheWrittenClose) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.at_now().send(std::string(100'000, 'x'));
    peer.at_now().close(CloseCode::normal);
    for (int i = 0; i < 9; ++i) {  // 10 000 bytes in 20 s are above the minimum rate
      peer.wait(20s);
      peer.writable = 10'000;
      peer.turn();
      ASSERT_FALSE(peer.saw_closed());
      EXPECT_EQ(peer.due(), 30s);
    }
    peer.wait(20s);
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(peer.frames().back(), "close 1000");
    EXPECT_EQ(peer.due(), 5s);
    peer.wait(4s);
    peer.receive(closing(1000));
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true}));
  }
}

TEST(EngineProgress, Rfc6455_7_1_1_CloseWaitsWhileEarlierBytesAreTaken) {
  for (const Role role : roles) {
    for (const bool answers : {true, false}) {
      Peer peer(role, with_deadlines);
      peer.delivery = PeerProgress{.acknowledged = 0, .waiting = 6'000'000};
      peer.engine().tick(peer.now(), *peer.delivery);
      peer.at_now().close(CloseCode::normal);
      peer.turn();
      for (int second = 0; second < 15; ++second) {
        peer.wait(1s);
        ASSERT_FALSE(peer.saw_closed()) << second;
        peer.delivery->acknowledged += 400'000;
        peer.delivery->waiting -= 400'000;
      }
      peer.wait(2s);
      if (answers) {
        peer.receive(closing(1000));
        peer.receive_eof();
        EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true}));
      } else {
        peer.wait(5s);
        ASSERT_TRUE(peer.dead());
        EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::close_timeout}));
      }
    }
  }
}

// ---- pages

TEST(EngineProgress, HttpIdleCountsFromTheWrittenAnswer) {
  for (const bool keeps : {true, false}) {
    Peer peer(Role::server, with_deadlines, Start::handshake);
    peer.accepts = false;
    peer.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      peer.at_now().respond(Response::text(std::string(100'000, 'x')));
    };
    peer.writable = 0;
    peer.receive("GET / HTTP/1.1\r\nHost: example.org\r\n" +
                 std::string(keeps ? "\r\n" : "Connection: close\r\n\r\n"));
    EXPECT_EQ(peer.due(), 30s) << "only the stall deadline applies";
    for (int i = 0; i < 9; ++i) {
      peer.wait(25s);
      peer.writable = 10'000;
      peer.turn();
      ASSERT_FALSE(peer.dead());
    }
    peer.wait(25s);
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_TRUE(peer.written().ends_with("xxx"));
    EXPECT_GT(peer.written().size(), 100'000u);
    EXPECT_EQ(peer.dead(), !keeps);
    if (keeps) {
      EXPECT_EQ(peer.due(), 3s);
    }
    peer.wait(3s);
    EXPECT_TRUE(peer.dead());
  }
}

TEST(EngineProgress, APageThatIsTakenByteByByteIsStalled) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.accepts = false;
  peer.on_event = [&](Event event) {
    if (event.kind() != Event::Kind::request) return;
    peer.at_now().respond(Response::text(std::string(100'000, 'x')));
  };
  peer.writable = 0;
  peer.receive(page_request());
  for (int i = 0; i < 2 && !peer.dead(); ++i) {
    peer.wait(29s);
    peer.writable = 1;
    peer.turn();
  }
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::write_stalled, .opened = false}));
}

TEST(EngineProgress, ABegunPageIsWrittenAfterClose) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.accepts = false;
  peer.on_event = [&](Event event) {
    if (event.kind() != Event::Kind::request) return;
    peer.at_now().respond(Response::text(std::string(1'000, 'x')));
  };
  peer.writable = 100;
  peer.receive(page_request());
  peer.at_now().close(CloseCode::going_away);
  peer.turn();
  EXPECT_FALSE(peer.dead());
  peer.writable = Peer::all;
  peer.turn();
  EXPECT_GT(peer.written().size(), 1'000u);
  EXPECT_TRUE(peer.dead());
}

// ---- a driver that was late

TEST(EngineProgress, ALateDriverPostponesADeadlineThreeTimes) {
  for (const Role role : roles) {
    for (const bool closes : {true, false}) {
      Peer peer(role, with_deadlines);
      if (closes) peer.at_now().close(CloseCode::normal);
      if (!closes) peer.wait(20s);
      peer.turn();
      const Duration limit = closes ? Duration(5s) : Duration(7s);
      EXPECT_EQ(peer.due(), limit);
      Engine& engine = peer.engine();
      EXPECT_FALSE(engine.postpone(peer.now() + 1s)) << "nothing is due";
      auto late = peer.now() + limit + 2s;
      for (int i = 0; i < 3; ++i) {
        engine.advance(late);
        EXPECT_LE(engine.deadline(), late);
        EXPECT_TRUE(engine.postpone(late + (i == 0 ? Duration(1s) : Duration(1h))));
        EXPECT_EQ(engine.deadline(), late + (i == 0 ? Duration(1s) : limit))
            << "by the time limit at most";
        late = engine.deadline() + 2s;
      }
      engine.advance(late);
      EXPECT_FALSE(engine.postpone(late + 1s));
      engine.tick(late);
      EXPECT_EQ(engine.next().kind(), Event::Kind::closed);
    }
  }
}

// The peer sends so much that the driver cannot read all of it before a deadline.
TEST(EngineProgress, APeerThatOnlySendsIsStalled) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.at_now().send("this waits");
    peer.wait(29s);
    peer.receive(binary("some"));
    auto now = peer.now() + 1s;
    int granted = 0;
    for (; granted < 10; ++granted) {
      peer.receive(binary("more"));
      peer.engine().advance(now);
      if (!peer.engine().postpone(now + 50ms)) break;
      now += 50ms;
    }
    EXPECT_EQ(granted, 3);
    peer.engine().tick(now);
    EXPECT_EQ(peer.engine().next().kind(), Event::Kind::closed);
    EXPECT_EQ(peer.engine().close_info().error, Errc::write_stalled);
  }
}

TEST(EngineProgress, EachDeadlineIsPostponedByItself) {
  Peer peer(Role::server, with_deadlines);
  peer.writable = 0;
  peer.at_now().send("this waits");
  auto now = peer.now() + 30s;
  for (int i = 0; i < 3; ++i) {
    peer.engine().advance(now);
    EXPECT_TRUE(peer.engine().postpone(now + 1s));
    now += 1s;
  }
  peer.writable = Peer::all;
  peer.turn();
  peer.at_now().close(CloseCode::normal);
  peer.turn();
  const auto late = now + 6s;
  peer.engine().advance(late);
  EXPECT_TRUE(peer.engine().postpone(late + 1s)) << "for the answer to our Close frame";
}

TEST(EngineProgress, AReceivedByteAllowsNewPostponements) {
  Peer peer(Role::server, with_deadlines);
  for (int i = 0; i < 10; ++i) {
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-" + std::to_string(i + 1)});
    auto late = peer.now() + 9s;
    peer.engine().advance(late);
    EXPECT_TRUE(peer.engine().postpone(late + 1s)) << i;
    peer.wait(9s);
    peer.receive(pong());
    EXPECT_FALSE(peer.saw_closed());
  }
}

}  // namespace
}  // namespace tern::test
