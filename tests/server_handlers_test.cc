// Handlers close, terminate, send, throw, pause and stop the server, from every callback. Each
// connection receives exactly one on_close, and the server goes on.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <span>
#include <stdexcept>
#include <string>

namespace tern::test {
namespace {

enum class Callback { open, message, drain, pong, close, timer, posted };
enum class Deed { close, terminate, send_and_close, pause, fail, stop };

struct Cell {
  Callback callback;
  Deed deed;
};

std::string name_of(const testing::TestParamInfo<Cell>& info) {
  static const char* const callbacks[] = {"Open",  "Message", "Drain", "Pong",
                                          "Close", "Timer",   "Posted"};
  static const char* const deeds[] = {"Closes", "Terminates", "SendsAndCloses",
                                      "Pauses", "Throws",     "StopsTheServer"};
  return std::string(callbacks[static_cast<int>(info.param.callback)]) +
         deeds[static_cast<int>(info.param.deed)];
}

class HandlerMatrix : public testing::TestWithParam<Cell> {
 protected:
  void expect_failure(const CloseInfo& info);
  void act(Callback callback, Connection& conn) {
    if (callback != GetParam().callback) return;
    ++fired;
    switch (GetParam().deed) {
      case Deed::close:
        return conn.close(CloseCode::normal, "done");
      case Deed::terminate:
        return conn.terminate();
      case Deed::send_and_close:
        conn.send("last words");
        conn.close();
        conn.close(CloseCode::going_away);
        if (conn.send("too late") != SendStatus::closed) ADD_FAILURE();
        return;
      case Deed::pause:
        conn.pause();
        conn.pause();
        conn.resume();
        conn.resume();
        return conn.close();
      case Deed::fail:
        throw std::runtime_error("on purpose");
      case Deed::stop:
        return running.server.stop();
    }
  }

  // Sends more than the high-water mark, so that on_drain follows.
  static void flood(Connection& conn) {
    if (conn.send(std::string(400'000, 'x')) != SendStatus::congested) ADD_FAILURE();
  }

  std::atomic<int> fired{0};
  Inbox<CloseInfo> ends{};
  Inbox<std::string> logged{};
  RunningServer running{
      {.log = [this](const LogRecord& record) { logged.put(std::string(record.message)); }}};
};

void expect_an_echo(std::uint16_t port) {
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());
  client.send(text("alive"));
  EXPECT_EQ(client.next(), "text alive");
  client.reset();
}

void HandlerMatrix::expect_failure(const CloseInfo& info) {
  if (GetParam().callback != Callback::close) {
    EXPECT_EQ(info.code, CloseCode::internal_error);
    EXPECT_EQ(info.error, Errc::handler_threw);
  }
  const auto line = logged.take();
  ASSERT_TRUE(line);
  EXPECT_NE(line->find("threw: on purpose"), std::string::npos) << *line;
}

TEST_P(HandlerMatrix, EndsOneConnectionOnceAndNothingElse) {
  const Cell cell = GetParam();
  running.server.route(
      "/act",
      Handlers{.on_open =
                   [&](Connection& conn) {
                     act(Callback::open, conn);
                     if (cell.callback == Callback::timer) {
                       conn.after(std::chrono::milliseconds(1),
                                  [&](Connection& same) { act(Callback::timer, same); });
                     }
                     if (cell.callback == Callback::posted) {
                       conn.handle().post([&](Connection& same) { act(Callback::posted, same); });
                     }
                     if (cell.callback == Callback::drain) flood(conn);
                   },
               .on_message = [&](Connection& conn, Message) { act(Callback::message, conn); },
               .on_drain = [&](Connection& conn) { act(Callback::drain, conn); },
               .on_pong = [&](Connection& conn,
                              std::span<const std::byte>) { act(Callback::pong, conn); },
               .on_close =
                   [&](Connection& conn, const CloseInfo& info) {
                     ends.put(info);
                     act(Callback::close, conn);
                   }});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();

  RawClient client(port);
  const bool cut_off = cell.callback == Callback::open && cell.deed == Deed::terminate;
  EXPECT_EQ(client.upgrade("/act"), !cut_off) << "terminate() drops what is queued, the 101, too";
  if (cell.callback == Callback::message) client.send(text("go"));
  if (cell.callback == Callback::pong) client.send(pong("go"));
  if (cell.callback == Callback::close) client.send(closing(1000));
  for (auto frame = client.frame(); frame; frame = client.frame()) {
    if (frame->opcode == 8) client.send(wire(Role::client, closing(1000)));
  }
  client.finish();
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->opened);
  if (cell.deed == Deed::fail) expect_failure(*info);
  EXPECT_EQ(fired, 1);

  if (cell.deed == Deed::stop) {
    running.join();
  } else {
    expect_an_echo(port);
    running.stop();
  }
  EXPECT_TRUE(ends.empty()) << "on_close came twice";
  EXPECT_EQ(running.server.counters().connections_open, 0u);
}

std::vector<Cell> all_cells() {
  std::vector<Cell> cells;
  for (int callback = 0; callback <= static_cast<int>(Callback::posted); ++callback) {
    for (int deed = 0; deed <= static_cast<int>(Deed::stop); ++deed) {
      cells.push_back({static_cast<Callback>(callback), static_cast<Deed>(deed)});
    }
  }
  return cells;
}

INSTANTIATE_TEST_SUITE_P(Every, HandlerMatrix, testing::ValuesIn(all_cells()), name_of);

// ---- sessions

struct Life {
  std::atomic<int> constructed{0};
  std::atomic<int> destroyed{0};
  Inbox<std::string> steps{};
};

class Greeter {
 public:
  Greeter(const Request& request, std::reference_wrapper<Life> life, std::string greeting)
      : life_(life), text_(greeting + " " + request.query("name")) {
    ++life_.constructed;
  }
  Greeter(const Greeter&) = delete;
  Greeter& operator=(const Greeter&) = delete;
  ~Greeter() {
    ++life_.destroyed;
    life_.steps.put("destroyed");
  }
  void on_open(Connection& conn) {
    EXPECT_EQ(&conn.session<Greeter>(), this);
    EXPECT_EQ(conn.response(), nullptr) << "a server receives a request";
    conn.send(text_);
  }
  void on_message(Connection& conn, Message message) { conn.send(message); }
  void on_close(Connection&, const CloseInfo& info) {
    EXPECT_TRUE(info.opened);
    life_.steps.put("on_close");
  }

 private:
  Life& life_;
  std::string text_;
};

TEST(ServerSession, IsConstructedFromRequestAndArguments) {
  Life life;
  RunningServer running;
  running.server.route<Greeter>("/greet", std::ref(life), "hello");
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/greet?name=Ada%20L"));
  EXPECT_EQ(client.next(), "text hello Ada L");
  EXPECT_EQ(life.constructed, 1);
  client.send(closing(1000));
  EXPECT_EQ(client.next(), "close 1000");
  EXPECT_EQ(life.steps.take(), "on_close");
  EXPECT_EQ(life.steps.take(), "destroyed");
  EXPECT_EQ(life.destroyed, 1);
}

// The server has ended its direction and waits for the client's FIN. The session does not wait.
TEST(ServerSession, IsDestroyedRightAfterOnClose) {
  Life life;
  RunningServer running({.timeouts = {.close = std::chrono::minutes(5)}});
  running.server.route<Greeter>("/greet", std::ref(life), "hello");
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/greet?name=Ada"));
  EXPECT_EQ(client.next(), "text hello Ada");
  client.send(closing(1000));
  EXPECT_EQ(client.next(), "close 1000");
  ASSERT_TRUE(client.ends());
  EXPECT_EQ(life.destroyed, 1);
  EXPECT_EQ(running.server.counters().connections_open, 1u);
}

struct Asked {
  explicit Asked(const Request& request) : from(request.remote_address()) {}
  void on_message(Connection& conn, Message) { conn.send(from + ' ' + conn.remote_address()); }

  std::string from;
};

TEST(ServerSession, TheRequestHasThePeersAddress) {
  RunningServer running;
  running.server.route<Asked>("/who");
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/who"));
  client.send(text("?"));
  const auto answer = client.frame();
  ASSERT_TRUE(answer);
  const std::size_t half = answer->payload.size() / 2;
  EXPECT_TRUE(answer->payload.starts_with("127.0.0.1:")) << answer->payload;
  EXPECT_EQ(answer->payload.substr(0, half), answer->payload.substr(half + 1));
}

struct Refuses {
  explicit Refuses(const Request&) { throw std::runtime_error("no"); }
  void on_message(Connection&, Message) {}
};

TEST(ServerSession, AConstructorThatThrowsAnswers500) {
  RunningServer running;
  running.server.route<Refuses>("/echo");
  RawClient client(running.start());
  EXPECT_FALSE(client.upgrade());
  EXPECT_TRUE(client.answer_head().starts_with("HTTP/1.1 500 ")) << client.answer_head();
  EXPECT_EQ(field(client.answer_head(), "Connection"), "close");
}

struct Empty {
  void on_message(Connection& conn, Message message) { conn.send(message); }
};

TEST(ServerSessionDeathTest, RequestingAnotherTypeAborts) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        RunningServer running;
        running.server.route("/echo", Handlers{.on_message = [](Connection& conn, Message) {
                               conn.session<Empty>();
                             }});
        RawClient client(running.start());
        client.upgrade();
        client.send(text("x"));
        client.next();
      },
      "assertion failed");
}

// ---- pongs

std::string text_of(std::span<const std::byte> payload) {
  return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

struct HearsPongs {
  explicit HearsPongs(std::reference_wrapper<Inbox<std::string>> inbox) : heard(inbox) {}
  void on_message(Connection& conn, Message message) {
    heard.put("message " + std::string(message.text()));
    if (message.text() == "ping") conn.ping(std::as_bytes(std::span("asked", 5)));
    if (message.text() == "close") conn.close();
  }
  void on_pong(Connection& conn, std::span<const std::byte> payload) {
    heard.put("pong " + text_of(payload));
    if (!payload.empty()) return;
    conn.pause();
    conn.after(std::chrono::milliseconds(10), [this](Connection& same) {
      heard.put("resume");
      same.resume();
    });
  }
  void on_close(Connection&, const CloseInfo&) { heard.put("close"); }

  Inbox<std::string>& heard;
};

TEST(ServerPong, Rfc6455_5_5_3_EachPongIsReportedInOrder) {
  Inbox<std::string> heard;
  RunningServer running;
  running.server.route<HearsPongs>("/echo", std::ref(heard));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  const std::string longest(125, 'p');
  client.send(wire(Role::client, {text("ping"), pong("not asked for"), text("a"), pong(longest)}));
  EXPECT_EQ(client.next(), "ping asked");
  client.send(pong("asked"));
  for (const std::string& expected :
       {std::string("message ping"), std::string("pong not asked for"), std::string("message a"),
        "pong " + longest, std::string("pong asked")}) {
    EXPECT_EQ(heard.take(), expected);
  }
  // A pong between the fragments of a message, byte by byte (§5.4).
  for (const char byte : wire(Role::client, {text("he", false), pong("amid"), more("llo")})) {
    client.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(heard.take(), "pong amid");
  EXPECT_EQ(heard.take(), "message hello");
}

TEST(ServerPong, ArePausedLikeMessagesAndEndWithClose) {
  Inbox<std::string> heard;
  RunningServer running;
  running.server.route<HearsPongs>("/echo", std::ref(heard));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {pong(), pong("while paused")}));
  EXPECT_EQ(heard.take(), "pong ");
  EXPECT_EQ(heard.take(), "resume");
  EXPECT_EQ(heard.take(), "pong while paused");
  client.send(closing(1000));
  EXPECT_EQ(heard.take(), "close");

  RawClient other(running.server.port());
  ASSERT_TRUE(other.upgrade());
  other.send(wire(Role::client, {text("close"), pong("after close()"), closing(1000)}));
  EXPECT_EQ(heard.take(), "message close");
  EXPECT_EQ(heard.take(), "close");
  EXPECT_EQ(other.next(), "close 1000");
}

TEST(ServerPong, HandlersWithoutOnPongDropIt) {
  RunningServer running;
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {pong("x"), text("still here")}));
  EXPECT_EQ(client.next(), "text still here");
}

// The pong is the answer, whether the session looks at the ping or not.
TEST(ServerPing, Rfc6455_5_5_2_EachPingIsReportedInOrder) {
  Inbox<std::string> heard;
  RunningServer running;
  running.server.route("/echo", {.on_message =
                                     [&](Connection&, Message message) {
                                       heard.put("message " + std::string(message.text()));
                                     },
                                 .on_ping =
                                     [&](Connection&, std::span<const std::byte> payload) {
                                       heard.put("ping " + text_of(payload));
                                       if (text_of(payload) == "throw")
                                         throw std::runtime_error("on purpose");
                                     }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("a"), ping("1"), text("b"), ping("throw"), text("c")}));
  for (const char* expected : {"message a", "ping 1", "message b", "ping throw"}) {
    EXPECT_EQ(heard.take(), expected);
  }
  EXPECT_EQ(client.next(), "pong 1");
  EXPECT_EQ(client.next(), "pong throw");
  EXPECT_EQ(client.next().substr(0, 10), "close 1011");
  EXPECT_TRUE(heard.empty());
}

// Plain functions of an Upgrade have the same event.
TEST(ServerPong, ReachesTheFunctionsOfAnUpgrade) {
  Inbox<std::string> heard;
  RunningServer running;
  running.server.route("/echo", [&](Upgrade upgrade) {
    upgrade.accept(Handlers{
        .on_message = [](Connection&, Message) {},
        .on_pong = [&](Connection&,
                       std::span<const std::byte> payload) { heard.put(text_of(payload)); }});
  });
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(pong("hello"));
  EXPECT_EQ(heard.take(), "hello");
}

// ---- pausing

TEST(ServerPause, KeepsMessagesUntilResume) {
  Inbox<std::string> messages;
  Inbox<Handle> handles;
  RunningServer running;
  running.server.route("/echo", Handlers{.on_message = [&](Connection& conn, Message message) {
                         messages.put(std::string(message.text()));
                         if (message.text() == "pause") {
                           conn.pause();
                           handles.put(conn.handle());
                         }
                       }});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("pause"), text("a"), text("b")}));
  EXPECT_EQ(messages.take(), "pause");
  const auto handle = handles.take();
  ASSERT_TRUE(handle);
  client.send(text("c"));
  // A posted function has run on the loop since, and no message was delivered.
  Inbox<bool> turned;
  ASSERT_TRUE(handle->post([&](Connection&) { turned.put(true); }));
  ASSERT_TRUE(turned.take());
  EXPECT_TRUE(messages.empty());
  ASSERT_TRUE(handle->post([](Connection& conn) { conn.resume(); }));
  EXPECT_EQ(messages.take(), "a");
  EXPECT_EQ(messages.take(), "b");
  EXPECT_EQ(messages.take(), "c");
}

TEST(ServerPause, StopsTheSilenceClock) {
  Inbox<CloseInfo> ends;
  Inbox<Handle> handles;
  RunningServer running({.timeouts = {.silence = std::chrono::milliseconds(50),
                                      .pong = std::chrono::milliseconds(50)}});
  running.server.route(
      "/echo", Handlers{.on_open =
                            [&](Connection& conn) {
                              conn.pause();
                              handles.put(conn.handle());
                              conn.after(std::chrono::milliseconds(300),
                                         [](Connection& same) { same.resume(); });
                            },
                        .on_message = [](Connection&, Message) {},
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  const auto begun = std::chrono::steady_clock::now();
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  EXPECT_EQ(client.next(), "ping tern-1");  // only after resume()
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(300));
  EXPECT_TRUE(client.ends());
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::pong_timeout);
}

// One connection forwards a message to another one, and a third one sends meanwhile. All are read
// into one buffer, and the receiver is in the middle of a frame. The message must arrive unchanged.
TEST(ServerHandlers, AForwardedMessageKeepsItsBytes) {
  RunningServer running;
  Connection* target = nullptr;
  std::promise<void> held;
  std::promise<void> go_on;
  running.server.route("/forward", Handlers{.on_message = [&](Connection& conn, Message msg) {
                         if (msg.text() == "me") {
                           target = &conn;
                           conn.send("yes");
                         } else if (msg.text() == "hold") {
                           held.set_value();
                           go_on.get_future().wait();
                         } else if (msg.text().starts_with('a')) {
                           target->send(msg);
                         }
                       }});
  const std::uint16_t port = running.start();
  RawClient to(port);
  RawClient from(port);
  RawClient third(port);
  RawClient holder(port);
  for (RawClient* client : {&to, &from, &third, &holder}) ASSERT_TRUE(client->upgrade("/forward"));
  const std::string cut = wire(Role::client, Frame{.opcode = 2, .payload = std::string(100, 'b')});
  to.send(wire(Role::client, Frame{.opcode = 2, .payload = std::string(5'000, 'b')}) +
          wire(Role::client, Frame{.opcode = 1, .payload = "me"}) + cut.substr(0, 50));
  ASSERT_EQ(to.next(), "text yes");

  holder.send(Frame{.opcode = 1, .payload = "hold"});
  held.get_future().wait();
  from.send(Frame{.opcode = 2, .payload = std::string(5'000, 'a')});  // both in the next turn
  third.send(Frame{.opcode = 2, .payload = std::string(5'000, 'c')});
  go_on.set_value();
  const auto got = to.frame();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->payload, std::string(5'000, 'a'));
}

}  // namespace
}  // namespace tern::test
