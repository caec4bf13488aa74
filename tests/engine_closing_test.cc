// The closing handshake (RFC 6455 §7): group 7 of the Autobahn suite, and every order in which the
// Close frames and the end of TCP can come.
#include "support/engine_table.h"

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;
constexpr Role roles[] = {Role::server, Role::client};
const std::string kosme = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";

struct PeerCloses {
  const char* id;
  std::vector<Frame> sent;
  Strings written;
  int code = 1000;
  std::string reason{};
};

// The engine answers the peer's Close frame with the same code, and ignores all bytes behind it.
void run_clean(const PeerCloses& row) {
  for (const Role role : roles) {
    for (const std::size_t step : {Peer::all, std::size_t{1}, std::size_t{3}}) {
      SCOPED_TRACE(std::string(row.id) + name(role));
      Peer peer(role);
      peer.receive(wire(peer.them, row.sent), step);
      EXPECT_EQ(peer.frames(), row.written);
      EXPECT_EQ(peer.dead(), role == Role::server) << "a client lets the server end TCP";
      peer.receive_eof();
      ASSERT_TRUE(peer.dead());
      EXPECT_EQ(peer.ending(),
                (Ending{.code = row.code, .reason = row.reason, .clean = true, .by_peer = true}));
      EXPECT_EQ(peer.due(), Timeouts::Duration::max());
    }
  }
}

TEST(EngineClosing, Rfc6455_5_5_1_Autobahn7_1_IgnoresFramesBehindTheClose) {
  run_clean({"7.1.1", {text("Hello World!"), closing(1000)}, {"text Hello World!", "close 1000"}});
  run_clean({"7.1.2", {closing(1000), closing()}, {"close 1000"}});
  run_clean({"7.1.3", {closing(1000), ping("x")}, {"close 1000"}});
  run_clean({"7.1.4", {closing(1000), text("Hello World!")}, {"close 1000"}});
  run_clean({"7.1.5", {text("a", false), closing(1000), more("b")}, {"close 1000"}});
  run_clean({"bad frames behind", {closing(1000), Frame{3, "x", true, 7}}, {"close 1000"}});
  const std::string long_text(256 << 10, '*');
  run_clean({"7.1.6",
             {text(long_text), text("Hello World!"), closing(1000), ping()},
             {"text " + shown(long_text), "text Hello World!", "close 1000"}});
}

TEST(EngineClosing, Rfc6455_5_5_1_Autobahn7_3_AcceptsPayloadsOf0Or2To125) {
  run_clean({"7.3.1", {closing()}, {"close"}, 1005});
  run_clean({"7.3.3", {closing(1000)}, {"close 1000"}});
  run_clean({"7.3.4", {closing(1000, "Hello World!")}, {"close 1000"}, 1000, "Hello World!"});
  const std::string longest(123, '*');
  run_clean({"7.3.5", {closing(1000, longest)}, {"close 1000"}, 1000, longest});
  run_clean({"UTF-8", {closing(4000, kosme)}, {"close 4000"}, 4000, kosme});
  run_case({"7.3.2", {Frame{8, "a"}}, {}, Errc::close_payload_too_short});
  run_case({"7.3.6", {closing(1000, longest + '*')}, {}, Errc::control_frame_too_long});
  Frame cut = closing(1000);
  cut.fin = false;
  run_case({"without FIN", {cut}, {}, Errc::control_frame_fragmented});
}

TEST(EngineClosing, Rfc6455_5_5_1_Autobahn7_5_ReasonIsUtf8) {
  run_case({"7.5.1",
            {closing(1000, kosme + "\xED\xA0\x80"
                                   "edited")},
            {},
            Errc::close_reason_not_utf8});
  EXPECT_EQ(close_code(Errc::close_reason_not_utf8), CloseCode::invalid_payload);
}

TEST(EngineClosing, Rfc6455_7_4_Autobahn7_7_to_7_13_AcceptsOnlyValidCodes) {
  for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                         3000, 3999, 4000, 4999}) {
    run_clean({"7.7", {closing(code)}, {"close " + std::to_string(code)}, code});
  }
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
    run_case({"7.9", {closing(code)}, {}, Errc::close_code_invalid});
  }
}

// ---- the application closes

TEST(EngineClosing, Rfc6455_7_1_2_OurCloseWaitsForTheAnswer) {
  for (const Role role : roles) {
    SCOPED_TRACE(name(role));
    Peer peer(role);
    peer.engine().send(std::string_view("last"));
    peer.engine().close(CloseCode::going_away, "bye");
    EXPECT_FALSE(peer.engine().is_open());
    EXPECT_EQ(peer.engine().send(std::string_view("late")), SendStatus::closed);
    peer.engine().close(CloseCode::normal, "a second time");
    peer.engine().ping();
    peer.turn();
    EXPECT_EQ(peer.frames(), (Strings{"text last", "close 1001 bye"}));
    EXPECT_FALSE(peer.dead());
    EXPECT_TRUE(peer.engine().wants_input());
    // The peer sent these frames before it received our Close. They are neither delivered nor
    // answered.
    peer.receive({text("crossing"), ping("crossing"), text("a", false), pong()});
    EXPECT_FALSE(peer.saw_closed());
    peer.receive({more("b"), closing(1001, "so be it")});
    EXPECT_EQ(peer.frames(), Strings{});
    EXPECT_EQ(peer.dead(), role == Role::server) << "the server ends TCP (§7.1.1)";
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1001, .reason = "so be it", .clean = true}));
    const Strings events = peer.events();
    EXPECT_EQ(events.back(), "closed");
    for (const std::string& event : events) EXPECT_FALSE(event.starts_with("text"));
  }
}

TEST(EngineClosing, Rfc6455_7_1_3_ClosesThatCrossAreClean) {
  for (const Role role : roles) {
    SCOPED_TRACE(name(role));
    Peer peer(role);
    peer.writable = 0;  // neither side has received the Close frame of the other
    peer.engine().close(CloseCode::normal);
    peer.receive(closing(4001, "me too"));
    EXPECT_FALSE(peer.saw_closed()) << "our Close is not written yet";
    peer.writable = Peer::all;
    peer.turn();
    EXPECT_EQ(peer.frames(), Strings{"close 1000"});
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 4001, .reason = "me too", .clean = true}));
  }
}

TEST(EngineClosing, Rfc6455_5_5_1_CloseInsideTheHandlerStopsDelivery) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.echo = false;
    peer.on_event = [&](Event event) {
      if (event.kind() == Event::Kind::message) peer.engine().close(CloseCode::normal);
    };
    peer.receive({text("first"), text("second"), ping(), closing(1000)});
    peer.receive_eof();
    EXPECT_EQ(peer.events(), (Strings{"text first", "closed"}));
    EXPECT_EQ(peer.frames(), Strings{"close 1000"});
    EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true}));
  }
}

TEST(EngineClosing, Rfc6455_5_5_1_OurCloseFrameIsAlwaysValid) {
  struct Row {
    int code;
    std::string reason;
    std::string written;
  };
  const std::string cut = std::string(121, 'x') + "\xC3\xA9";
  const std::vector<Row> table = {
      {1000, "", "close 1000"},
      {4999, "why", "close 4999 why"},
      {1006, "why", "close 1011 why"},
      {1015, "", "close 1011"},
      {999, "", "close 1011"},
      {5000, "", "close 1011"},
      {1000, "\xFF", "close 1000"},
      {1000, cut + "more", "close 1000 " + cut},
      {1000, std::string(122, 'x') + "\xC3\xA9", "close 1000 " + std::string(122, 'x')},
  };
  for (const Role role : roles) {
    for (const Row& row : table) {
      Peer peer(role);
      peer.engine().close(static_cast<CloseCode>(row.code), row.reason);
      peer.turn();
      EXPECT_EQ(peer.frames(), Strings{row.written});
    }
  }
}

// ---- the application finishes

TEST(EngineClosing, Rfc6455_5_5_1_FinishDeliversUntilThePeersClose) {
  for (const Role role : roles) {
    for (const std::size_t step : {Peer::all, std::size_t{1}}) {
      SCOPED_TRACE(name(role));
      Peer peer(role);
      peer.echo = false;
      peer.engine().send(std::string_view("question"));
      peer.engine().finish(CloseCode::going_away, "bye");
      EXPECT_FALSE(peer.engine().is_open());
      EXPECT_EQ(peer.engine().send(std::string_view("late")), SendStatus::closed);
      peer.engine().finish(CloseCode::normal, "a second time");
      peer.engine().ping();
      peer.turn();
      EXPECT_EQ(peer.frames(), (Strings{"text question", "close 1001 bye"}));
      peer.receive(wire(peer.them, {text("ans", false), ping("x"), more("wer"), binary("more"),
                                    pong("y"), closing(1001), text("too late")}),
                   step);
      peer.receive_eof();
      EXPECT_EQ(peer.frames(), Strings{}) << "a ping is not answered behind our Close";
      EXPECT_EQ(peer.events(),
                (Strings{"ping x", "text answer", "binary more", "pong y", "closed"}));
      ASSERT_TRUE(peer.dead());
      EXPECT_EQ(peer.ending(), (Ending{.code = 1001, .clean = true}));
    }
  }
}

TEST(EngineClosing, FinishStillChecksWhatThePeerSends) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.engine().finish(CloseCode::normal);
    peer.receive(text("\xFF"));
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.events(), Strings{"closed"});
    EXPECT_EQ(peer.frames(), Strings{"close 1000"});
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::text_not_utf8}));
  }
}

TEST(EngineClosing, CloseAfterFinishEndsTheDelivery) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.echo = false;
    peer.engine().finish(CloseCode::normal);
    peer.receive({text("one"), text("two", false)});
    peer.engine().close(CloseCode::going_away);
    peer.receive({more("!"), text("three"), closing(1000)});
    peer.receive_eof();
    EXPECT_EQ(peer.events(), (Strings{"text one", "closed"}));
    EXPECT_EQ(peer.frames(), Strings{"close 1000"});
    EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true}));
  }
}

TEST(EngineClosing, FinishWaitsAsLongAsThePeerSends) {
  for (const Role role : roles) {
    Peer peer(role, {.timeouts = {.close = 5s}});
    peer.echo = false;
    peer.engine().finish(CloseCode::normal);
    peer.turn();
    EXPECT_EQ(peer.due(), 5s);
    for (int i = 0; i < 4; ++i) {
      peer.wait(4s);
      peer.receive(text("still"));
      EXPECT_EQ(peer.due(), 5s);
    }
    peer.engine().reading(false);
    EXPECT_EQ(peer.due(), Timeouts::Duration::max())
        << "silence proves nothing while we do not read";
    peer.wait(60s);
    peer.at_now().reading(true);
    EXPECT_EQ(peer.due(), 5s);
    peer.wait(5s);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::close_timeout}));
  }
}

// ---- TCP ends

TEST(EngineClosing, Rfc6455_7_1_5_EofWithoutCloseIs1006) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.receive({text("whole"), text("begun", false)});
    peer.receive_eof();
    EXPECT_EQ(peer.events(), (Strings{"text whole", "closed"}));
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::end_of_stream}));
  }
}

TEST(EngineClosing, Rfc6455_7_1_5_EofInsideAFrameIs1006) {
  for (const Role role : roles) {
    for (const std::size_t size : {1u, 2u, 6u, 8u}) {
      Peer peer(role);
      peer.receive(wire(peer.them, text("Hello")).substr(0, size));
      peer.receive_eof();
      ASSERT_TRUE(peer.dead());
      EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::end_of_stream}));
    }
  }
}

TEST(EngineClosing, Rfc6455_7_1_5_EofInsteadOfTheAnswerIs1006) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.engine().close(CloseCode::normal, "bye");
    peer.turn();
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::end_of_stream}));
  }
}

TEST(EngineClosing, Rfc6455_7_1_4_CloseAndFinInOneSegmentAreClean) {
  for (const Role role : roles) {
    Peer peer(role);
    std::string bytes = wire(peer.them, closing(1000));
    peer.engine().feed(0, std::as_writable_bytes(std::span(bytes)));
    peer.engine().feed_eof();  // the engine gets the FIN before it reads the Close frame
    peer.turn();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.frames(), Strings{"close 1000"});
    EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true, .by_peer = true}));
  }
}

TEST(EngineClosing, Rfc6455_7_1_5_AnErrorOfTheSocketIs1006) {
  const std::error_code reset = std::make_error_code(std::errc::connection_reset);
  for (const Role role : roles) {
    Peer idle(role);
    idle.receive_error(reset);
    ASSERT_TRUE(idle.dead());
    EXPECT_EQ(idle.ending(), (Ending{.code = 1006, .error = reset}));

    Peer sending(role);
    sending.writable = 0;
    sending.engine().send(std::string_view("never written"));
    sending.turn();
    sending.receive_error(reset);
    ASSERT_TRUE(sending.dead());
    EXPECT_EQ(sending.ending(), (Ending{.code = 1006, .error = reset}));

    Peer closed(role);
    closed.engine().close(CloseCode::normal);
    closed.turn();
    closed.receive_error(reset);
    ASSERT_TRUE(closed.dead());
    EXPECT_EQ(closed.ending(), (Ending{.code = 1006, .error = reset}));
  }
}

TEST(EngineClosing, Rfc6455_7_1_4_AnAnswerThatCannotBeWrittenIsNotClean) {
  const std::error_code reset = std::make_error_code(std::errc::connection_reset);
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    peer.receive(closing(4000, "why"));
    peer.receive_error(reset);
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(),
              (Ending{.code = 4000, .reason = "why", .error = reset, .by_peer = true}));
  }
}

TEST(EngineClosing, Rfc6455_7_1_1_AnErrorWhileWaitingForTheFinChangesNothing) {
  Peer peer(Role::client);
  peer.receive(closing(1000));
  EXPECT_FALSE(peer.dead());
  peer.receive_error(std::make_error_code(std::errc::connection_reset));
  ASSERT_TRUE(peer.dead());
  EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true, .by_peer = true}));
}

// A driver reads only while wants_input() is true. So it must stay true until the server's FIN.
TEST(EngineClosing, Rfc6455_7_1_1_AClientWantsToReadTheFin) {
  Peer peer(Role::client);
  peer.receive(closing(1000));
  EXPECT_TRUE(peer.engine().wants_input());
  peer.receive(std::string(100'000, '\xFF'));  // read and discarded
  EXPECT_EQ(peer.unread(), 0u);
  EXPECT_FALSE(peer.dead());
  peer.receive_eof();
  EXPECT_TRUE(peer.dead());
  EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true, .by_peer = true}));
}

TEST(EngineClosing, Rfc6455_7_1_7_AFaultAfterOurCloseIs1006) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.engine().close(CloseCode::normal);
    peer.receive(Frame{3, ""});
    peer.receive_eof();
    EXPECT_EQ(peer.frames(), Strings{"close 1000"}) << "an endpoint sends only one Close frame";
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::frame_reserved_opcode}));
  }
}

// For example, a timer of the application throws while the connection is idle.
TEST(EngineClosing, Rfc6455_7_1_7_AFailureAtRestSendsAClose) {
  for (const Role role : roles) {
    Peer peer(role);
    ASSERT_TRUE(peer.engine().rests());
    peer.engine().fail(Errc::handler_threw);
    peer.turn();
    EXPECT_EQ(peer.frames(), Strings{failure(Errc::handler_threw)});
    const std::string reason = "an exception left a handler of the application";
    EXPECT_EQ(peer.ending(),
              (Ending{.code = 1011, .reason = reason, .error = Errc::handler_threw}));
  }
}

TEST(EngineClosing, TerminateEndsAtOnce) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.writable = 0;
    peer.engine().send(std::string_view("never written"));
    peer.engine().terminate(Errc::terminated);
    peer.engine().terminate(Errc::closed);
    peer.turn();
    ASSERT_TRUE(peer.dead());
    EXPECT_EQ(peer.events(), Strings{"closed"});
    EXPECT_EQ(peer.ending(), (Ending{.code = 1006, .error = Errc::terminated}));
    EXPECT_EQ(peer.engine().queued_bytes(), 0u);
    EXPECT_EQ(peer.engine().send(std::string_view("late")), SendStatus::closed);
  }
}

TEST(EngineClosing, CloseInfoIsEmptyBeforeTheEnd) {
  for (const Role role : roles) {
    Peer peer(role);  // the engine is at rest, so it has no block
    const CloseInfo& idle = peer.engine().close_info();
    EXPECT_EQ(idle.code, CloseInfo{}.code);
    EXPECT_EQ(idle.error, std::error_code());
    EXPECT_FALSE(idle.clean || idle.by_peer || idle.opened);
    peer.receive(text("begun", false));
    EXPECT_EQ(peer.engine().close_info().error, std::error_code());
  }
}

// After the end, no call has an effect.
TEST(EngineClosing, NothingHappensAfterTheEnd) {
  for (const Role role : roles) {
    Peer peer(role);
    peer.receive(closing(1000, "bye"));
    peer.receive_eof();
    ASSERT_TRUE(peer.dead());
    Engine& engine = peer.engine();
    const Ending ending = peer.ending();
    engine.close(CloseCode::going_away);
    engine.ping();
    engine.terminate(Errc::terminated);
    engine.feed_error(std::make_error_code(std::errc::connection_reset));
    engine.feed_eof();
    engine.stash();
    engine.settle();
    engine.reading(false);
    engine.tick(peer.now() + 1h);
    EXPECT_FALSE(engine.next());
    EXPECT_TRUE(engine.finished());
    EXPECT_TRUE(engine.output().empty());
    EXPECT_EQ(engine.accept(), Errc::closed);
    EXPECT_EQ(engine.respond(Response::text("x")), Errc::closed);
    EXPECT_EQ(engine.deadline(), Engine::TimePoint::max());
    EXPECT_EQ(peer.ending(), ending);
  }
}

TEST(EngineClosing, AMovedEngineKeepsItsState) {
  for (const Role role : roles) {
    EngineOptions options;
    Workspace workspace;
    auto made = Engine::established(role, {}, options, workspace);
    ASSERT_TRUE(made);
    Engine first = *std::move(made);
    first.tick(Engine::TimePoint() + 1h);
    ASSERT_EQ(first.next().kind(), Event::Kind::open);
    first.send(std::string_view("moved"));
    Engine second = std::move(first);
    EXPECT_GT(second.queued_bytes(), 0u);
    Engine third = std::move(*Engine::established(role, {}, options, workspace));
    third = std::move(second);
    EXPECT_TRUE(third.is_open());
    EXPECT_GT(third.queued_bytes(), 0u);
  }
}

}  // namespace
}  // namespace tern::test
