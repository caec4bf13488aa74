// The round trips that the keepalive measures: from the write of its ping to the pong that answers
// exactly this ping. The time is that of the driver, so every figure is exact.
#include "support/engine_peer.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};
const EngineOptions options{
    .timeouts = {.silence = 20s, .pong = Timeouts::Duration::max(), .stall = 1h}};

TEST(EngineKeepalive, Rfc6298_2_SmoothsByAnEighth) {
  for (const Role role : roles) {
    Peer peer(role, options);
    EXPECT_FALSE(peer.engine().rtt());
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    EXPECT_FALSE(peer.engine().rtt());
    peer.wait(80ms);
    peer.receive(pong("tern-1"));
    EXPECT_EQ(peer.events(), Strings{"pong tern-1"}) << "the driver receives it as well";
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{80ms, 80ms}));
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-2"});
    peer.wait(160ms);
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{80ms, 80ms}));
    peer.receive(pong("tern-2"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{160ms, 90ms}));
    peer.wait(20s + 10ms);
    peer.receive(pong("tern-3"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{10ms, 80ms}));
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{10ms, 80ms})) << "also after the end";
  }
}

TEST(EngineKeepalive, OnlyThePongOfThisPingCounts) {
  for (const Role role : roles) {
    Peer peer(role, options);
    peer.receive(pong("tern-1"));
    EXPECT_FALSE(peer.engine().rtt()) << "before the ping";
    peer.wait(15s);
    peer.at_now().ping(std::as_bytes(std::span("mine", 4)));
    peer.turn();
    peer.wait(5s);
    EXPECT_EQ(peer.frames(), (Strings{"ping mine", "ping tern-1"}));
    for (const char* foreign : {"", "mine", "tern-", "tern-0", "tern-2", "tern-11", "Tern-1"}) {
      peer.receive(pong(foreign));
      EXPECT_FALSE(peer.engine().rtt()) << foreign;
    }
    peer.receive({text("Hello"), ping("tern-1")});
    EXPECT_FALSE(peer.engine().rtt()) << "a ping of the peer";
    peer.wait(3s);
    peer.receive(pong("tern-1"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{3s, 3s})) << "other traffic did not end it";
    peer.wait(1s);
    peer.receive(pong("tern-1"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{3s, 3s})) << "a second answer";
    peer.wait(20s);
    peer.receive(text("Hello"));
    peer.wait(20s);
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{3s, 3s}));
    peer.receive(pong("tern-2"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{3s, 3s})) << "a ping that is not the newest";
    peer.wait(1s);
    peer.receive(pong("tern-3"));
    EXPECT_EQ(peer.engine().rtt()->last, 1s);
  }
}

TEST(EngineKeepalive, APingCountsFromTheMomentOfItsWriting) {
  for (const Role role : roles) {
    for (const bool hears : {false, true}) {
      Peer peer(role, options);
      peer.echo = false;
      peer.writable = 1;
      peer.at_now().send(std::string_view("Hello"));
      peer.turn();
      peer.wait(20s);
      EXPECT_EQ(peer.frames(), Strings{}) << "the ping waits";
      if (hears) peer.receive(text("still here"));
      peer.receive(pong("tern-1"));
      EXPECT_FALSE(peer.engine().rtt()) << "an answer before the question";
      peer.wait(7s);
      peer.writable = Peer::all;
      peer.turn();
      EXPECT_EQ(peer.frames(), (Strings{"text Hello", "ping tern-1"}));
      peer.wait(100ms);
      peer.receive(pong("tern-1"));
      EXPECT_EQ(peer.engine().rtt(), (RoundTrip{100ms, 100ms}));
    }
  }
}

TEST(EngineKeepalive, APauseIsNotMeasured) {
  for (const Role role : roles) {
    Peer peer(role, options);
    peer.wait(20s);
    peer.at_now().reading(false);
    peer.wait(1h);
    peer.at_now().reading(true);
    peer.receive(pong("tern-1"));
    EXPECT_FALSE(peer.engine().rtt());
    peer.wait(20s + 5ms);
    peer.receive(pong("tern-2"));
    EXPECT_EQ(peer.engine().rtt(), (RoundTrip{5ms, 5ms}));
  }
}

TEST(EngineKeepalive, HasStepsOf125NanosecondsAndABound) {
  Peer peer(Role::server, options);
  peer.wait(20s);
  peer.receive(pong("tern-1"));
  EXPECT_EQ(peer.engine().rtt(), (RoundTrip{0ns, 0ns})) << "0 is a measured time";
  peer.wait(20s + 1'124ns);
  peer.receive(pong("tern-2"));
  EXPECT_EQ(peer.engine().rtt(), (RoundTrip{1'000ns, 125ns}));
  Peer slow(Role::server, options);
  slow.wait(20s);
  slow.wait(1h);
  slow.receive(pong("tern-1"));
  const auto most = std::chrono::nanoseconds(125) * 0xFFFFFFFF;
  EXPECT_EQ(slow.engine().rtt(), (RoundTrip{most, most}));
}

// The number has 16 bits, and its text has at most five digits.
TEST(EngineKeepalive, NumbersBeginAgain) {
  Peer peer(Role::server, options);
  for (int i = 1; i <= 65'536; ++i) {
    peer.wait(20s);
    peer.receive(text("x"));
    const Strings frames = peer.frames();
    ASSERT_EQ(frames.front(), "ping tern-" + std::to_string(i % 65'536));
  }
  peer.events();
  peer.wait(20s + 1ms);
  peer.receive(pong("tern-1"));
  EXPECT_EQ(peer.engine().rtt(), (RoundTrip{1ms, 1ms}));
}

}  // namespace
}  // namespace tern::test
