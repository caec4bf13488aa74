// listen() refuses options and routes that can never work.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// Returns the error of both listen() and run(); empty if the server listens.
std::string error_of(Server& server) {
  const auto listening = server.listen();
  if (listening) return {};
  EXPECT_EQ(listening.error().code(), Errc::options_invalid);
  const auto ran = server.run();
  EXPECT_FALSE(ran);
  if (!ran) {
    EXPECT_EQ(ran.error().message(), listening.error().message());
  }
  EXPECT_EQ(server.port(), 0);
  return listening.error().message();
}

struct Case {
  std::function<void(ServerOptions&)> change;
  std::string reported;
};

TEST(ServerValidate, RefusesOptionsThatCanNeverWork) {
  const Case cases[] = {
      {[](auto& o) { o.host = "example org"; },
       "host must be an address, a name or \"unix:\" and a path, and \"example org\" is none of "
       "them"},
      {[](auto& o) { o.host = "300.0.0.1"; }, "host must be an address"},
      {[](auto& o) { o.host = "127.0.0.1:80"; }, "host must be an address"},
      {[](auto& o) { o.host = "unix:"; }, "host: the path of the Unix socket \"unix:\" is empty"},
      {[](auto& o) { o.host = "unix:@"; }, "host: the path of the Unix socket \"unix:@\" is empty"},
      {[](auto& o) { o.host = "unix:" + std::string(108, 'a'); },
       "host: the path of the Unix socket"},
      {[](auto& o) { o.host = std::string("unix:a\0b", 8); }, "host: the path of the Unix socket"},
      {[](auto& o) {
         o.listeners = {{.host = "127.0.0.1"}, {.host = ""}};
       },
       "listeners[1].host is empty"},
      {[](auto& o) { o.unix_mode = 01000; }, "unix_mode is above 0777"},
      {[](auto& o) { o.host = ""; }, "host is empty"},
      {[](auto& o) {
         o.stop_on = {SIGTERM, SIGKILL};
       },
       "stop_on: signal 9 cannot be waited for"},
      {[](auto& o) { o.stop_on = {0}; }, "stop_on: signal 0 cannot be waited for"},
      {[](auto& o) { o.stop_on = {32}; }, "stop_on: signal 32 cannot be waited for"},
      {[](auto& o) {
         o.stop_on = {SIGTERM};
         o.drain_on_stop = Drain{.spread = 2s, .deadline = 1s};
       },
       "drain_on_stop.spread is above drain_on_stop.deadline"},
      {[](auto& o) { o.spin = -1ns; }, "spin is negative"},
      {[](auto& o) { o.stop_deadline = -1s; }, "stop_deadline is negative"},
      {[](auto& o) { o.limits.low_water_bytes = o.limits.high_water_bytes + 1; },
       "limits.low_water_bytes (262145) is above"},
      {[](auto& o) { o.limits.max_queued_bytes = 1000; },
       "limits.high_water_bytes (262144) is above limits.max_queued_bytes (1000)"},
      {[](auto& o) { o.limits.max_message_bytes = 0; }, "limits.max_message_bytes is 0"},
      {[](auto& o) { o.limits.max_head_bytes = 64; }, "limits.max_head_bytes (64) is below 256"},
      {[](auto& o) { o.timeouts.handshake = 0s; }, "timeouts.handshake is 0"},
      {[](auto& o) { o.timeouts.close = -1s; }, "timeouts.close is negative"},
      {[](auto& o) { o.allowed_origins = {"https://a.example/"}; },
       "allowed_origins: \"https://a.example/\" has text after the host"},
      {[](auto& o) { o.max_unfinished_handshakes = 0; }, "max_unfinished_handshakes is 0"},
      {[](auto& o) { o.max_posted = 0; }, "max_posted is 0"},
      {[](auto& o) { o.max_posted_bytes = 0; }, "max_posted_bytes is 0"},
  };
  for (const Case& given : cases) {
    ServerOptions options{.host = "127.0.0.1"};
    given.change(options);
    Server server(options);
    server.route("/echo", echo());
    const std::string reported = error_of(server);
    EXPECT_TRUE(reported.starts_with("listen: " + given.reported)) << reported;
  }
}

TEST(ServerValidate, RefusesPathsThatNoRequestHas) {
  const std::pair<std::string, std::string> cases[] = {
      {"echo", "a path begins with '/': \"/echo\""},
      {"", "a path begins with '/': \"/\""},
      {"http://a/echo", "a path begins with '/'"},
      {"/echo?room=7", "query and fragment are not part of a path: \"/echo\""},
      {"/echo#a", "query and fragment are not part of a path: \"/echo\""},
      {"/e cho", "no request has such characters; clients encode them: \"/e%20cho\""},
      {"/caf\xC3\xA9", "no request has such characters; clients encode them: \"/caf%C3%A9\""},
      {"/a\n", "no request has such characters; clients encode them: \"/a%0A\""},
  };
  for (const auto& [path, why] : cases) {
    Server routing({.host = "127.0.0.1"});
    routing.route("/fine", echo()).route(path, echo()).route("also bad", echo());
    std::string reported = error_of(routing);
    EXPECT_TRUE(reported.starts_with("listen: route \"" + path + "\": " + why)) << reported;
    Server deciding({.host = "127.0.0.1"});
    deciding.route(path, [](Upgrade) {});
    reported = error_of(deciding);
    EXPECT_TRUE(reported.starts_with("listen: route \"" + path + "\": " + why)) << reported;
    Server getting({.host = "127.0.0.1"});
    getting.get(path, [](const Request&) { return Response::text(""); });
    reported = error_of(getting);
    EXPECT_TRUE(reported.starts_with("listen: get \"" + path + "\": " + why)) << reported;
  }
}

TEST(ServerValidate, RefusesRoutesThatCanNeverWork) {
  const std::pair<std::function<void(Server&)>, std::string> cases[] = {
      {[](Server& s) { s.route("/a", echo()).route("/b", echo()).route("/a", echo()); },
       "listen: route \"/a\": this path was given before"},
      {[](Server& s) { s.route("/a", echo()).route("/a", [](Upgrade) {}); },
       "listen: route \"/a\": this path was given before"},
      {[](Server& s) {
         const auto page = [](const Request&) { return Response::text(""); };
         s.get("/", page).get("/", page);
       },
       "listen: get \"/\": this path was given before"},
      {[](Server& s) { s.route("/a", Handlers{}); }, "listen: route \"/a\": on_message is missing"},
      {[](Server& s) { s.route("/a", UniqueFunction<void(Upgrade)>()); },
       "listen: route \"/a\": the function is empty"},
      {[](Server& s) { s.get("/a", nullptr); }, "listen: get \"/a\": the function is empty"},
      {[](Server& s) { s.route("/a", echo(), {.protocols = {"a b"}}); },
       "listen: route \"/a\": protocols: subprotocol \"a b\": it is no token (RFC 9110 §5.6.2)"},
      {[](Server& s) {
         s.route("/a", echo(), {.headers = {{"Upgrade", "x"}}});
       },
       "listen: route \"/a\": headers: header field \"Upgrade\": tern writes this field itself"},
      {[](Server& s) { s.route("/a", echo(), {.limits = Limits{.max_queued_bytes = 1}}); },
       "listen: route \"/a\": limits.high_water_bytes (262144) is above limits.max_queued_bytes "
       "(1)"},
  };
  for (const auto& [add, why] : cases) {
    Server server({.host = "127.0.0.1"});
    add(server);
    const std::string reported = error_of(server);
    EXPECT_TRUE(reported.starts_with(why)) << reported;
  }
  Server both({.host = "localhost"});  // a path may have a page and a WebSocket
  both.route("/", echo()).get("/", [](const Request&) { return Response::text(""); });
  both.route("/caf%C3%A9", echo());
  EXPECT_EQ(error_of(both), "");
}

TEST(ServerValidate, LocalhostIsTheLoopbackAddress) {
  Server server({.host = "LocalHost"});
  server.route("/echo", echo());
  ASSERT_EQ(error_of(server), "");
  std::jthread running([&] { EXPECT_TRUE(server.run()); });
  RawClient client(server.port());
  EXPECT_TRUE(client.upgrade());
  server.stop(0s);
}

// The workers read the routes while they run, so no route may be added then.
TEST(ServerValidate, IgnoresAndReportsARouteAddedWhileItRuns) {
  Inbox<std::string> logged;
  RunningServer running({.log = [&](const LogRecord& record) {
    if (record.level == LogLevel::error) logged.put(std::string(record.message));
  }});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient client(port);
  ASSERT_TRUE(client.upgrade());  // run() runs
  running.server.route("/late", echo()).get("/later", [](const Request&) {
    return Response::text("");
  });
  EXPECT_EQ(logged.take(), "route \"/late\" is ignored: routes are added before run()");
  EXPECT_EQ(logged.take(), "route \"/later\" is ignored: routes are added before run()");
  for (const std::string path : {"/late", "/later"}) {
    RawClient late(port);
    EXPECT_TRUE(late.ask(page_request(path)).starts_with("HTTP/1.1 404 "));
  }
  running.stop(0s);
  const auto again = running.server.listen();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::options_invalid);
  EXPECT_NE(again.error().message().find("\"/later\" is ignored"), std::string::npos);
  EXPECT_TRUE(running.server.listen()) << "it is reported once";
}

}  // namespace
}  // namespace tern::test
