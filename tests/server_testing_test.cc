// tern/testing.h: a server in steps against scripted peers, with a time that the test tells. The
// snippets of docs/guides/testing.md and authentication.md stand here, and a test compares them.
#include "tern/testing.h"

#include "support/markdown.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace {

using namespace std::chrono_literals;

// The application under test in the guide.
class Chat {
 public:
  explicit Chat(const tern::Request& request)
      : room_("room." + request.parameter("room")), name_(request.cookie("name")) {}

  void on_open(tern::Connection& conn) {
    conn.subscribe(room_);
    conn.after(10min, [](tern::Connection& self) { self.close(tern::CloseCode::normal, "late"); });
  }
  void on_message(tern::Connection& conn, tern::Message msg) {
    conn.publish(room_, name_ + ": " + std::string(msg.text()));
  }

 private:
  std::string room_;
  std::string name_;
};

void add_routes(tern::Server& server) {
  server.route<Chat>("/chat/{room}");
  server.get("/health", [](const tern::Request&) { return tern::Response::text("fine"); });
}

// ---- the guide

TEST(Chat, TellsTheOthersInTheRoom) {
  tern::TestServer test;
  add_routes(test.server());
  auto ada = test.connect("/chat/7", {{"Cookie", "name=ada"}});
  auto bob = test.connect("/chat/7", {{"Cookie", "name=bob"}});
  ada.send("hello");
  EXPECT_EQ(bob.take(), "text ada: hello");
  EXPECT_EQ(ada.take(), "");  // a publisher does not receive its own message
  test.advance(10min);
  EXPECT_EQ(bob.take_all().back(), "close 1000 late");
}

TEST(Chat, HasAHealthPage) {
  tern::TestServer test;
  add_routes(test.server());
  auto page = test.get("/health");
  EXPECT_EQ(page.status(), 200);
  EXPECT_EQ(page.body(), "fine");
}

// ---- docs/guides/authentication.md

// The threads of an application. Here a test runs the work when it wants, in another thread.
class Jobs {
 public:
  void run(std::function<void()> job) { waiting_.push_back(std::move(job)); }
  std::size_t finish() {
    const auto jobs = std::exchange(waiting_, {});
    for (const auto& job : jobs) std::thread(job).join();
    return jobs.size();
  }

 private:
  std::vector<std::function<void()>> waiting_{};
};

std::optional<std::string> user_of(std::string_view token) {
  if (token == "secret") return "ada";
  return {};
}

class Member {
 public:
  explicit Member(std::string user) : user_(std::move(user)) {}
  void on_open(tern::Connection& conn) { conn.send("hello " + user_); }
  void on_message(tern::Connection&, tern::Message) {}

 private:
  std::string user_;
};

// Whether a browser sent the request for a page of this server, or a program sent it.
bool is_own_page(const tern::Request& request) {
  const std::string_view origin = request.header("Origin");
  if (origin.empty()) return true;
  const std::size_t slashes = origin.find("//");  // "null" has none
  return slashes != origin.npos && origin.substr(slashes + 2) == request.host();
}

// The token of a program or, if there is none, of a page.
std::string token_of(const tern::Request& request) {
  constexpr std::string_view scheme = "Bearer ";
  const std::string_view field = request.header("Authorization");
  if (field.starts_with(scheme)) return std::string(field.substr(scheme.size()));
  return std::string(request.cookie("session"));
}

void add_members(tern::Server& server, Jobs& jobs) {
  server.route("/members", [&jobs](tern::Upgrade upgrade) {
    jobs.run([upgrade, token = token_of(upgrade.request())] {  // in another thread
      if (const std::optional<std::string> user = user_of(token)) {
        upgrade.accept<Member>({}, *user);
      } else {
        upgrade.respond(tern::Response::status(401).header("WWW-Authenticate", "Bearer"));
      }
    });
  });
}

class Guest {
 public:
  explicit Guest(Jobs& jobs) : jobs_(jobs) {}

  void on_open(tern::Connection& conn) {
    deadline_ = conn.after(5s, [](tern::Connection& self) {
      self.close(tern::CloseCode::policy_violation, "no token came");
    });
  }
  void on_message(tern::Connection& conn, tern::Message msg) {
    if (!user_.empty()) {
      conn.send(user_ + ": " + std::string(msg.text()));
      return;
    }
    conn.pause();  // until the token is looked up
    jobs_.run([handle = conn.handle(), token = std::string(msg.text())] {
      handle.post([user = user_of(token)](tern::Connection& self) {
        self.session<Guest>().on_user(self, user);
      });
    });
  }

 private:
  void on_user(tern::Connection& conn, const std::optional<std::string>& user) {
    if (!user) return conn.close(tern::CloseCode::policy_violation, "the token is wrong");
    conn.cancel(deadline_);
    user_ = *user;
    conn.resume();
  }

  Jobs& jobs_;
  tern::TimerId deadline_{};
  std::string user_{};  // empty until the token is known
};

class Tickets {
 public:
  // Thread: any.
  void add(const std::string& ticket, const std::string& user) {
    const std::lock_guard lock(mutex_);
    users_[ticket] = user;
  }
  std::optional<std::string> take(const std::string& ticket) {
    const std::lock_guard lock(mutex_);
    const auto found = users_.extract(ticket);
    if (found.empty()) return {};
    return found.mapped();
  }

 private:
  std::mutex mutex_{};
  std::map<std::string, std::string> users_{};
};

void add_tickets(tern::Server& server, Tickets& tickets, std::function<std::string()> random) {
  server.post("/ticket", [&tickets, random](const tern::Request& request) {
    const std::optional<std::string> user = user_of(request.cookie("session"));
    if (!user || !is_own_page(request)) return tern::Response::status(403);
    const std::string ticket = random();  // 128 random bits in hexadecimal
    tickets.add(ticket, *user);
    return tern::Response::text(ticket).header("Cache-Control", "no-store");
  });
  server.route("/live", [&tickets](tern::Upgrade upgrade) {
    if (auto user = tickets.take(upgrade.request().query("ticket"))) {
      return upgrade.accept<Member>({}, *user);
    }
    upgrade.respond(tern::Response::status(403));
  });
}

TEST(Authentication, ByCookieOrBearerAtTheUpgradeAnsweredLater) {
  Jobs jobs;
  tern::TestServer test;
  add_members(test.server(), jobs);
  const std::tuple<std::string, std::string, int> cases[] = {
      {"Authorization", "Bearer secret", 101}, {"Authorization", "Bearer wrong", 401},
      {"Authorization", "Basic secret", 401},  {"Cookie", "a=b; session=secret", 101},
      {"Cookie", "session=wrong", 401},        {"X", "", 401},
  };
  for (const auto& [name, value, status] : cases) {
    auto peer = test.connect("/members", {{name, value}});
    EXPECT_EQ(peer.status(), 0) << "the answer comes later";
    EXPECT_EQ(jobs.finish(), 1u);
    EXPECT_EQ(peer.status(), status) << name << value;
    EXPECT_EQ(peer.take(), status == 101 ? "text hello ada" : "");
    EXPECT_EQ(peer.header("WWW-Authenticate"), status == 101 ? "" : "Bearer");
  }
  auto foreign =
      test.connect("/members", {{"Cookie", "session=secret"}, {"Origin", "http://evil.example"}});
  EXPECT_EQ(foreign.status(), 403);
  auto own = test.connect("/members", {{"Cookie", "session=secret"}, {"Origin", "http://test"}});
  EXPECT_EQ(jobs.finish(), 1u) << "the function is not asked about the foreign page";
  EXPECT_EQ(own.status(), 101);
}

TEST(Authentication, ByATokenInTheFirstMessage) {
  Jobs jobs;
  tern::TestServer test;
  test.server().route<Guest>("/", std::ref(jobs));
  auto ada = test.connect("/");
  ada.send("secret");
  ada.send("hi");
  EXPECT_EQ(ada.take(), "") << "nothing is read before the answer";
  EXPECT_EQ(jobs.finish(), 1u);
  EXPECT_EQ(ada.take(), "text ada: hi");
  auto eve = test.connect("/");
  eve.send("guess");
  EXPECT_EQ(jobs.finish(), 1u);
  EXPECT_EQ(eve.take(), "close 1008 the token is wrong");
  auto silent = test.connect("/");
  auto gone = test.connect("/");
  gone.send("secret");
  gone.drop();
  EXPECT_EQ(jobs.finish(), 1u);
  test.advance(5s);
  EXPECT_EQ(silent.take(), "close 1008 no token came");
  EXPECT_EQ(ada.take(), "") << "its deadline is cancelled";
  EXPECT_FALSE(ada.ended());
}

TEST(Authentication, ByATicketThatWorksOnce) {
  Tickets tickets;
  tern::TestServer test;
  int number = 0;
  add_tickets(test.server(), tickets, [&] { return "ticket" + std::to_string(++number); });
  const auto ask = [&](std::vector<std::pair<std::string, std::string>> headers) {
    return test.request({.method = "POST", .target = "/ticket", .headers = std::move(headers)});
  };
  EXPECT_EQ(ask({}).status(), 403);
  EXPECT_EQ(ask({{"Cookie", "session=secret"}, {"Origin", "http://evil.example"}}).status(), 403);
  EXPECT_EQ(ask({{"Cookie", "session=secret"}, {"Origin", "http://test"}}).body(), "ticket1");
  EXPECT_EQ(test.connect("/live?ticket=ticket2").status(), 403);
  auto first = test.connect("/live?ticket=ticket1");
  EXPECT_EQ(first.take(), "text hello ada");
  EXPECT_EQ(test.connect("/live?ticket=ticket1").status(), 403) << "it works once";
}

}  // namespace

namespace tern::test {
namespace {

Handlers echo() {
  return {.on_message = [](Connection& conn, Message message) { conn.send(message); }};
}

TEST(ServerTesting, TheSnippetsOfTheGuidesStandHere) {
  namespace fs = std::filesystem;
  const std::string here = file_text(fs::path(TERN_SOURCE_DIR) / "tests/server_testing_test.cc");
  const std::pair<std::string, int> guides[] = {{"testing.md", 2}, {"authentication.md", 4}};
  for (const auto& [guide, count] : guides) {
    int found = 0;
    for (const auto& block :
         code_blocks(file_text(fs::path(TERN_SOURCE_DIR) / "docs/guides" / guide))) {
      if (block.language != "c++") continue;
      ++found;
      EXPECT_NE(here.find(block.text), here.npos) << block.text;
    }
    EXPECT_EQ(found, count);
  }
}

TEST(ServerTesting, ShowsWhatWasSentInOrder) {
  TestServer test;
  test.server().route("/",
                      {.on_open =
                           [](Connection& conn) {
                             conn.send("one");
                             conn.send(Message(MessageType::binary, std::string_view("\x01\x02")));
                             conn.ping(std::as_bytes(std::span("x", 1)));
                           },
                       .on_message =
                           [](Connection& conn, Message message) {
                             conn.send(message);
                             conn.close(CloseCode::going_away, "bye");
                           }});
  TestPeer peer = test.connect("/");
  EXPECT_EQ(peer.status(), 101);
  EXPECT_EQ(peer.take(), "ping x") << "a ping goes ahead of queued messages";
  EXPECT_EQ(peer.take(), "text one");
  EXPECT_EQ(peer.take(), "binary \x01\x02");
  EXPECT_EQ(peer.take(), "");
  peer.send("two");
  EXPECT_EQ(peer.take_all(), (std::vector<std::string>{"text two", "close 1001 bye"}));
  EXPECT_TRUE(peer.ended());
}

TEST(ServerTesting, TellsTheSessionHowThePeerEnds) {
  std::vector<std::string> ends;
  TestServer test;
  Handlers handlers = echo();
  handlers.on_close = [&](Connection&, const CloseInfo& info) {
    ends.push_back(std::to_string(static_cast<int>(info.code)) + ' ' + info.reason +
                   (info.clean ? "clean" : "not clean"));
  };
  test.server().route("/", std::move(handlers));
  TestPeer polite = test.connect("/");
  polite.close(CloseCode::normal, "done ");
  EXPECT_EQ(polite.take(), "close 1000");
  TestPeer rude = test.connect("/");
  rude.drop();
  TestPeer wrong = test.connect("/");
  wrong.send_bytes(std::string("\x81\x01x", 3));  // a client must mask
  EXPECT_EQ(wrong.take().substr(0, 10), "close 1002");
  { TestPeer left = test.connect("/"); }
  test.run();
  ASSERT_EQ(ends.size(), 4u);
  EXPECT_EQ(ends[0], "1000 done clean");
  EXPECT_EQ(ends[1], "1006 not clean");
  EXPECT_TRUE(ends[2].starts_with("1002 ")) << ends[2];
  EXPECT_EQ(ends[3], "1006 not clean");
  EXPECT_EQ(test.server().counters().upgrades, 4u);
}

// Twenty seconds of silence, twenty for the pong; no second of real time.
TEST(ServerTesting, TimePassesOnlyWhenTold) {
  TestServer test;
  std::vector<int> ticks;
  test.server().route("/", {.on_open =
                                [&](Connection& conn) {
                                  conn.every(7s, [&](Connection&) {
                                    ticks.push_back(static_cast<int>(ticks.size()));
                                  });
                                },
                            .on_message = [](Connection&, Message) {}});
  TestPeer peer = test.connect("/");
  TestPeer frozen = test.connect("/");
  frozen.stall();
  test.advance(20s - 1ms);
  EXPECT_EQ(peer.take(), "");
  test.advance(1ms);
  EXPECT_EQ(peer.take(), "ping tern-1");
  test.advance(19s);
  EXPECT_EQ(test.server().counters().connections_open, 2u);
  test.advance(6s);
  EXPECT_EQ(test.server().counters().connections_open, 1u) << "its pong is missing";
  EXPECT_EQ(peer.take(), "ping tern-2");
  EXPECT_EQ(ticks.size(), 12u) << "every 7 s on both; one of them ended after 42 s";
  frozen.resume();
  EXPECT_EQ(frozen.take_all().back(), "end");
}

TEST(ServerTesting, APeerThatReadsNothingFillsTheQueue) {
  TestServer test({.limits = {.max_queued_bytes = 2 << 20}});
  std::vector<SendStatus> sent;
  int drained = 0;
  test.server().route(
      "/", {.on_message = [&](Connection& conn,
                              Message) { sent.push_back(conn.send(std::string(700'000, 'x'))); },
            .on_drain = [&](Connection&) { ++drained; }});
  TestPeer peer = test.connect("/");
  peer.stall();
  peer.send("more");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0], SendStatus::congested);
  EXPECT_EQ(drained, 0);
  EXPECT_EQ(peer.take(), "");
  peer.resume();
  EXPECT_EQ(peer.take().size(), 700'005u);
  EXPECT_EQ(drained, 1);
  peer.stall();
  peer.send("more");
  test.advance(40s);  // Timeouts::stall is 30 s, and the peer took a part at first
  EXPECT_EQ(test.server().counters().connections_open, 0u);
}

TEST(ServerTesting, AnUpgradeIsAnsweredNowOrLater) {
  TestServer test;
  std::vector<Upgrade> waiting;
  test.server().route("/later/{name}", [&](Upgrade upgrade) { waiting.push_back(upgrade); });
  test.server().route("/never", [](Upgrade upgrade) {
    upgrade.respond(Response::status(401, "who are you?").header("WWW-Authenticate", "Bearer"));
  });
  TestPeer refused = test.connect("/never");
  EXPECT_EQ(refused.status(), 401);
  EXPECT_EQ(refused.header("www-authenticate"), "Bearer");
  EXPECT_EQ(refused.body(), "who are you?");
  EXPECT_TRUE(refused.ended());
  EXPECT_THROW(refused.send("x"), std::runtime_error);

  TestPeer peer = test.connect("/later/a%20b", {{"Sec-WebSocket-Protocol", "v1, v2"}});
  EXPECT_EQ(peer.status(), 0);
  ASSERT_EQ(waiting.size(), 1u);
  std::thread([upgrade = std::exchange(waiting, {}).front()] {
    upgrade.accept({.on_open = [name = upgrade.request().parameter("name")](
                                   Connection& conn) { conn.send(name); },
                    .on_message = [](Connection&, Message) {}},
                   {.protocols = {"v2"}});
  }).join();
  EXPECT_EQ(peer.status(), 101);
  EXPECT_EQ(peer.header("Sec-WebSocket-Protocol"), "v2");
  EXPECT_EQ(peer.take(), "text a b");

  TestPeer patient = test.connect("/later/x");
  test.advance(10s);  // Timeouts::handshake
  EXPECT_EQ(patient.status(), 503);
}

TEST(ServerTesting, PagesAreAskedByRequests) {
  TestServer test;
  test.server()
      .get("/rooms/{room}",
           [](const Request& request) {
             return Response::json('"' + request.parameter("room") + request.query("q") + '"');
           })
      .get("/long", [](const Request&) {
        return Response::stream("text/plain", [i = 0]() mutable -> std::optional<std::string> {
          if (i == 20) return {};
          return std::string(50'000, static_cast<char>('a' + i++));
        });
      });
  TestPeer page = test.get("/rooms/a%20b?q=1");
  EXPECT_EQ(page.status(), 200);
  EXPECT_EQ(page.header("content-type"), "application/json");
  EXPECT_EQ(page.body(), "\"a b1\"");
  EXPECT_EQ(test.request({.method = "HEAD", .target = "/rooms/7"}).body(), "");
  EXPECT_EQ(test.request({.method = "DELETE", .target = "/rooms/7"}).status(), 405);
  EXPECT_EQ(test.get("/nowhere").status(), 404);
  EXPECT_EQ(test.request({.headers = {{"Host", ""}, {"Host", "b"}}}).status(), 400);
  EXPECT_THROW(std::ignore = test.request({.headers = {{"A", "b\r\nC: d"}}}), std::runtime_error);
  TestPeer streamed = test.get("/long");
  EXPECT_EQ(streamed.body().size(), 1'000'000u);
  EXPECT_EQ(streamed.body().back(), 't');
}

TEST(ServerTesting, AnExchangeIsAnsweredLater) {
  TestServer test;
  std::vector<Exchange> waiting;
  test.server().post("/upper/{name}", [&](Exchange exchange) { waiting.push_back(exchange); });
  TestPeer peer = test.request({.method = "POST", .target = "/upper/a%20b", .body = "hello"});
  EXPECT_EQ(peer.status(), 0);
  ASSERT_EQ(waiting.size(), 1u);
  std::thread([exchange = std::exchange(waiting, {}).front()] {
    const Request& request = exchange.request();
    exchange.respond(
        Response::text(request.parameter("name") + ": " + std::string(request.body())));
  }).join();
  EXPECT_EQ(peer.status(), 200);
  EXPECT_EQ(peer.body(), "a b: hello");
}

TEST(ServerTesting, RoutesThatCannotWorkAreReported) {
  TestServer test;
  test.server().route("/{}", echo());
  try {
    const TestPeer peer = test.connect("/");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string_view(error.what()),
              "listen: route \"/{}\": \"{}\": a parameter has a name");
  }
}

// A running server ignores and logs it, and a test could miss the line.
TEST(ServerTesting, WhatComesAfterTheFirstRequestThrows) {
  TestServer test;
  test.server().route("/", echo());
  EXPECT_EQ(test.connect("/").status(), 101);
  const std::function<void(Server&)> late[] = {
      [](Server& s) { s.route("/late", echo()); },
      [](Server& s) { s.get("/late", [](const Request&) { return Response::text(""); }); },
      [](Server& s) { s.files("/late", "."); },
      [](Server& s) { s.fallback([](const Request&) { return Response::text(""); }); },
      [](Server& s) { s.topics({}); },
      [](Server& s) { s.on_worker_start([](Loop&) {}); },
  };
  for (const auto& add : late) EXPECT_THROW(add(test.server()), std::runtime_error);
  try {
    test.server().get("/late", [](const Request&) { return Response::text(""); });
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(
        std::string_view(error.what()),
        "the TestServer has begun: route \"/late\" is ignored: routes are added before run()");
  }
  EXPECT_EQ(test.get("/late").status(), 404);
}

TEST(ServerTesting, WhatOtherThreadsPostRunsInTheNextCall) {
  TestServer test;
  Handle handle;
  test.server().route("/", {.on_open =
                                [&](Connection& conn) {
                                  handle = conn.handle();
                                  conn.subscribe("news");
                                },
                            .on_message = [](Connection&, Message) {}});
  TestPeer peer = test.connect("/");
  std::thread([&] {
    EXPECT_TRUE(handle.send("posted"));
    EXPECT_TRUE(test.server().publish("news", "published"));
    EXPECT_TRUE(test.server().for_each([](Connection& conn) { conn.send("each"); }));
  }).join();
  std::vector<std::string> all = peer.take_all();
  std::ranges::sort(all);
  EXPECT_EQ(all, (std::vector<std::string>{"text each", "text posted", "text published"}));
  test.server().stop();
  EXPECT_EQ(peer.take(), "close 1001");
  EXPECT_FALSE(handle.send("gone") && !peer.ended());
}

// A peer may outlive the server of its test, as in any order of local variables.
TEST(ServerTesting, TheServerEndsBeforeItsPeers) {
  bool closed = false;
  auto test = std::make_unique<TestServer>();
  Handlers handlers = echo();
  handlers.on_close = [&](Connection&, const CloseInfo&) { closed = true; };
  test->server().route("/", std::move(handlers));
  TestPeer peer = test->connect("/");
  test.reset();
  EXPECT_TRUE(closed);
  EXPECT_EQ(peer.take(), "end");
  EXPECT_TRUE(peer.ended());
}

}  // namespace
}  // namespace tern::test
