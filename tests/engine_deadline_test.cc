// Every deadline of an engine, in virtual time. The driver here calls tick() only when deadline()
// requires it, so a deadline that deadline() does not report never expires.
#include "support/engine_deadlines.h"
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};

// ---- the handshake

TEST(EngineDeadline, HandshakeDeadlineIgnoresBytesThatTrickle) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  EXPECT_EQ(peer.due(), 10s);
  const std::string request = upgrade_request();
  for (int second = 1; second < 10; ++second) {
    peer.wait(1s);
    peer.receive(request.substr(static_cast<std::size_t>(second), 1));
    EXPECT_EQ(peer.due(), Duration(10s) - second * 1s);
  }
  peer.wait(1s - 1ns);
  EXPECT_FALSE(peer.saw_closed());
  peer.wait(1ns);
  ASSERT_TRUE(peer.dead());
  EXPECT_TRUE(peer.written().starts_with("HTTP/1.1 408 ")) << peer.written();
  EXPECT_EQ(field(peer.written(), "Connection"), "close");
  EXPECT_EQ(peer.ending(),
            (Ending{.code = 1006, .error = Errc::handshake_timeout, .opened = false}));
}

TEST(EngineDeadline, APeerThatSentNothingGetsNoAnswer) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.wait(10s);
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(peer.written(), "");
  EXPECT_EQ(peer.events(), Strings{"closed"});
  EXPECT_EQ(peer.ending(),
            (Ending{.code = 1006, .error = Errc::handshake_timeout, .opened = false}));
}

TEST(EngineDeadline, HandshakeDeadlineIncludesTheDecision) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.accepts = false;
  peer.wait(4s);
  peer.receive(upgrade_request());
  EXPECT_EQ(peer.due(), 6s);
  peer.wait(6s);
  ASSERT_TRUE(peer.dead());
  // RFC 9110 §15.6.4: the request is complete, but the application has not answered.
  EXPECT_TRUE(peer.written().starts_with("HTTP/1.1 503 ")) << peer.written();
  EXPECT_EQ(field(peer.written(), "Retry-After"), "1");
  EXPECT_EQ(peer.engine().accept(), Errc::closed);
  EXPECT_EQ(peer.ending(),
            (Ending{.code = 1006, .error = Errc::handshake_timeout, .opened = false}));
}

TEST(EngineDeadline, HandshakeDeadlineAppliesToAClient) {
  for (const std::size_t received : {0u, 20u}) {
    Peer peer(Role::client, with_deadlines, Start::handshake);
    peer.wait(9s);
    peer.receive(upgrade_answer(peer.head()).substr(0, received));
    EXPECT_EQ(peer.due(), 1s);
    peer.wait(1s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(),
              (Ending{.code = 1006, .error = Errc::handshake_timeout, .opened = false}));
  }
}

// Behind TLS the request is not written before the server has answered the handshake of TLS.
TEST(EngineDeadline, AnUnwrittenRequestHasOnlyTheHandshakeDeadline) {
  EngineOptions given = with_deadlines;
  given.timeouts.handshake = 60s;
  given.timeouts.stall = 30s;
  const Engine::TimePoint start{1h};
  for (const auto& timeout : {std::optional<std::chrono::nanoseconds>(), {40s}}) {
    Workspace workspace;
    auto engine = Engine::client({.host = "a", .timeout = timeout}, given, workspace);
    ASSERT_TRUE(engine);
    engine->tick(start);
    const auto limit = timeout.value_or(60s);
    EXPECT_EQ(engine->deadline(), start + limit);
    engine->tick(start + 31s);
    EXPECT_FALSE(engine->finished());
    engine->tick(start + limit);
    EXPECT_EQ(engine->next().kind(), Event::Kind::closed);
    EXPECT_EQ(engine->close_info().error, Errc::handshake_timeout);
  }
}

TEST(EngineDeadline, HandshakeDeadlineIncludesTheBodyOfARefusal) {
  Peer peer(Role::client, with_deadlines, Start::handshake);
  peer.wait(9s);
  peer.receive("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nbecause");
  EXPECT_FALSE(peer.saw_closed());
  std::string body;
  peer.on_event = [&](Event) { body = peer.engine().response_body(); };
  peer.wait(1s);
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(body, "because");
  EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::upgrade_refused, .opened = false}));
}

TEST(EngineDeadline, AKeptHttpConnectionHasTwoDeadlines) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.accepts = false;
  peer.on_event = [&](Event event) {
    if (event.kind() == Event::Kind::request) peer.at_now().respond(Response::text("page"));
  };
  peer.wait(9s);
  peer.receive(page_request());
  EXPECT_EQ(peer.due(), 3s) << "http_idle counts from the answer";
  peer.wait(2s);
  peer.receive("GET / ");
  EXPECT_EQ(peer.due(), 10s) << "the first byte of a request starts the deadline of its head";
  peer.wait(8s);
  peer.receive("HTTP/1.1\r\nHost: example.org\r\n\r\n");
  EXPECT_EQ(peer.due(), 3s);
  const std::size_t before = peer.written().size();
  peer.wait(3s);
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(peer.written().size(), before) << "an idle connection ends without an answer";
  EXPECT_FALSE(peer.ending().opened);
}

TEST(EngineDeadline, SilenceCountsFromTheEndOfTheHandshake) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines, Start::handshake);
    peer.wait(9s);
    peer.upgrade();
    EXPECT_EQ(peer.events().back(), "open");
    EXPECT_EQ(peer.due(), 20s);
  }
}

// ---- silence and pong

TEST(EngineDeadline, Rfc6455_5_5_2_SilenceCausesAPingAndThenTheEnd) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    EXPECT_EQ(peer.due(), 20s);
    peer.wait(20s - 1ns);
    EXPECT_EQ(peer.frames(), Strings{});
    peer.wait(1ns);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    EXPECT_EQ(peer.due(), 7s);
    peer.wait(7s - 1ns);
    EXPECT_FALSE(peer.saw_closed());
    peer.wait(1ns);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::pong_timeout}));
  }
}

TEST(EngineDeadline, AnyByteIsASignOfLife) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    const std::string bytes = wire(peer.them, text("Hello, world!"));
    int pings = 0;
    for (const char byte : bytes) {
      peer.wait(25s);  // the ping is sent after 20 s, and the byte comes after 25 s
      EXPECT_EQ(peer.frames(), Strings{"ping tern-" + std::to_string(++pings)});
      EXPECT_EQ(peer.due(), 2s);
      peer.receive(std::string(1, byte));
      EXPECT_EQ(peer.due(), 20s);
    }
    EXPECT_EQ(peer.events(), Strings{"text Hello, world!"});
    peer.wait(20s);
    peer.receive(pong());
    EXPECT_EQ(peer.due(), 20s);
    EXPECT_FALSE(peer.saw_closed());
  }
}

TEST(EngineDeadline, OurOwnSendingIsNoSignOfLife) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.wait(15s);
    peer.at_now().send(std::string_view("tick"));
    peer.turn();
    EXPECT_EQ(peer.due(), 5s);
    peer.wait(12s);
    EXPECT_EQ(peer.frames(), (Strings{"text tick", "ping tern-1"}));
    EXPECT_TRUE(peer.dead());
  }
}

TEST(EngineDeadline, SilenceDoesNotCountWhileReadingIsPaused) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.wait(15s);
    peer.at_now().reading(false);
    EXPECT_EQ(peer.due(), never);
    peer.wait(1h);
    EXPECT_EQ(peer.frames(), Strings{});
    peer.at_now().reading(true);
    EXPECT_EQ(peer.due(), 20s) << "the time of silence starts again";
    peer.wait(22s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
    peer.at_now().reading(false);
    peer.at_now().reading(false);
    EXPECT_EQ(peer.due(), never);
    peer.wait(1h);
    EXPECT_FALSE(peer.saw_closed());
    peer.at_now().reading(true);
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-2"});
    peer.wait(7s);
    EXPECT_TRUE(peer.dead());
  }
}

TEST(EngineDeadline, TheMaximumSwitchesADeadlineOff) {
  const EngineOptions off{.timeouts = {.handshake = never,
                                       .silence = never,
                                       .pong = never,
                                       .close = never,
                                       .stall = never,
                                       .http_idle = never}};
  for (const Role role : roles) {
    Peer opening(role, off, Start::handshake);
    EXPECT_EQ(opening.due(), never);
    Peer peer(role, off);
    EXPECT_EQ(peer.due(), never);
    peer.writable = 0;
    peer.at_now().send(std::string_view("stuck"));
    EXPECT_EQ(peer.due(), never);
    peer.at_now().close(CloseCode::normal);
    EXPECT_EQ(peer.due(), never);
    peer.engine().tick(peer.now() + 1h);
    EXPECT_FALSE(peer.engine().next());
  }
}

// ---- closing

TEST(EngineDeadline, Rfc6455_7_1_1_CloseDeadlineIgnoresTraffic) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.wait(13s);
    peer.at_now().close(CloseCode::normal);
    peer.turn();
    EXPECT_EQ(peer.due(), 5s);
    for (int i = 0; i < 4; ++i) {
      peer.wait(1s);
      peer.receive({text("still"), ping("sending")});
      peer.at_now().close(CloseCode::normal);
    }
    EXPECT_EQ(peer.due(), 1s);
    peer.wait(1s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::close_timeout}));
  }
}

TEST(EngineDeadline, Rfc6455_7_1_1_CloseDeadlineIncludesTheFinOfTheServer) {
  for (const bool ours_first : {true, false}) {
    Peer peer(Role::client, with_deadlines);
    if (ours_first) peer.at_now().close(CloseCode::normal);
    peer.turn();
    if (ours_first) peer.wait(4s);
    peer.receive(closing(1000));
    EXPECT_EQ(peer.due(), ours_first ? 1s : 5s) << "counted from our Close frame";
    peer.wait(5s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true, .by_peer = !ours_first}));
  }
}

TEST(EngineDeadline, Rfc6455_7_1_4_AnAnswerNotWrittenInTimeIsNotClean) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.receive(closing(4000, "why"));
    EXPECT_EQ(peer.due(), 30s) << "until it is written, only the stall deadline applies";
    peer.wait(30s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(
        peer.ending(),
        (Ending{.code = 4000, .reason = "why", .error = Errc::write_stalled, .by_peer = true}));
  }
}

TEST(EngineDeadline, Rfc6455_7_1_7_AFailureNotWrittenInTimeStillEnds) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.receive(Frame{3, ""});
    EXPECT_TRUE(peer.saw_closed());
    EXPECT_FALSE(peer.dead());
    EXPECT_EQ(peer.due(), 30s);
    peer.wait(30s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1002,
                                     .reason = "a frame has a reserved opcode",
                                     .error = Errc::frame_reserved_opcode}));
  }
}

TEST(EngineDeadline, Rfc6455_7_1_7_AFaultAfterOurCloseGivesNoMoreTime) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    peer.writable = 0;
    peer.at_now().close(CloseCode::normal);
    peer.wait(4s);
    peer.receive(Frame{3, ""});
    EXPECT_TRUE(peer.saw_closed());
    EXPECT_EQ(peer.due(), 26s) << "counted from the time at which the output began to wait";
    peer.wait(26s);
    EXPECT_TRUE(peer.dead());
  }
}

TEST(EngineDeadline, ARefusalNotWrittenInTimeStillEnds) {
  Peer peer(Role::server, with_deadlines, Start::handshake);
  peer.writable = 10;
  peer.receive("nonsense\r\n\r\n");
  EXPECT_TRUE(peer.saw_closed());
  EXPECT_FALSE(peer.dead());
  EXPECT_EQ(peer.due(), 30s);
  peer.wait(30s);
  EXPECT_TRUE(peer.dead());
}

// ---- stall

TEST(EngineDeadline, AStalledPeerIsDropped) {
  EngineOptions quiet = with_deadlines;
  quiet.timeouts.silence = never;
  for (const Role role : roles) {
    Peer peer(role, quiet);
    peer.writable = 0;
    EXPECT_EQ(peer.due(), never);
    peer.wait(100s);  // without output, no time is a stall
    peer.at_now().send(std::string_view("Hello"));
    EXPECT_EQ(peer.due(), 30s);
    peer.wait(20s);
    peer.at_now().send(std::string_view("more output changes nothing"));
    EXPECT_EQ(peer.due(), 10s);
    peer.receive(text("input changes nothing"));
    EXPECT_EQ(peer.due(), 10s);
    peer.writable = 1;  // one byte that is taken gives 10 ms, at 100 bytes a second
    peer.turn();
    EXPECT_EQ(peer.due(), Duration(10s) + 10ms);
    peer.wait(10s + 10ms);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::write_stalled}));
  }
}

// The time of a stall starts when output begins to wait, in every state of the connection.
TEST(EngineDeadline, StallCountsFromWhenOutputBeganToWait) {
  EngineOptions quiet = with_deadlines;
  quiet.timeouts.silence = never;
  quiet.timeouts.close = never;
  quiet.timeouts.http_idle = never;
  quiet.timeouts.handshake = never;
  for (const Role role : roles) {
    for (const char* what : {"send", "shared", "ping", "pong", "close", "answer to a close"}) {
      SCOPED_TRACE(std::string(name(role)) + what);
      Peer peer(role, quiet);
      peer.receive({text("a message that is not whole", false), ping()});
      peer.frames();
      peer.writable = 0;
      peer.wait(100s);
      const std::string_view way = what;
      if (way == "send") peer.at_now().send(std::string_view("Hello"));
      if (way == "shared") peer.at_now().send(SharedMessage(std::string_view("Hello")));
      if (way == "ping") peer.at_now().ping();
      if (way == "pong") peer.receive(ping());
      if (way == "close") peer.at_now().close(CloseCode::normal);
      if (way == "answer to a close") peer.receive(closing(1000));
      ASSERT_GT(peer.engine().queued_bytes(), 0u);
      EXPECT_EQ(peer.due(), 30s);
    }
  }
  Peer server(Role::server, quiet, Start::handshake);
  server.accepts = false;
  server.wait(100s);
  server.receive(page_request());
  server.writable = 0;
  server.wait(100s);
  server.at_now().respond(Response::text("page"));
  EXPECT_EQ(server.due(), 30s);
}

// ---- the clock

TEST(EngineDeadline, AClockThatStandsOrGoesBackDoesNoHarm) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    for (int i = 0; i < 3; ++i) peer.engine().tick(peer.now() - 1h);
    EXPECT_EQ(peer.due(), 20s);
    EXPECT_FALSE(peer.engine().next());
    // Input that arrives now counts as input at the latest time that tick() received.
    std::string bytes = wire(role == Role::server ? Role::client : Role::server, pong());
    peer.engine().feed(0, std::as_writable_bytes(std::span(bytes)));
    EXPECT_EQ(peer.engine().next().kind(), Event::Kind::pong);
    EXPECT_FALSE(peer.engine().next());
    EXPECT_EQ(peer.due(), 20s);
    peer.wait(20s);
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
  }
}

TEST(EngineDeadline, ALongSleepCausesOnePing) {
  for (const Role role : roles) {
    Peer peer(role, with_deadlines);
    // The machine slept, so the peer gets time to answer a ping.
    peer.engine().tick(peer.now() + 10h);
    EXPECT_FALSE(peer.engine().next());
    peer.flush();
    EXPECT_EQ(peer.frames(), Strings{"ping tern-1"});
  }
}

}  // namespace
}  // namespace tern::test
