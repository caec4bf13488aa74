// echo_back as a process: it echoes the messages of a server until the connection ends, and its
// exit code depends on how the connection ended.

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/served.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

void expect_one_line(const std::string& text) {
  EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
}

TEST(ProgramEchoBack, EchoesEachMessageWithItsTypeAndEndsWithZero) {
  Served server;
  const std::vector<std::string> payloads = {"",
                                             "a",
                                             std::string(125, 'b'),
                                             std::string(126, 'c'),
                                             std::string(65535, 'd'),
                                             std::string(65536, 'e'),
                                             std::string(1 << 20, 'f')};
  server.expect_echoes("/ask", payloads);
  server.run();
  Process client({program("echo_back"), server.url("/ask")});
  EXPECT_EQ(client.exit_code(), 0) << client.err();
  EXPECT_EQ(client.err(), "");
  const CloseInfo close = server.close_info();
  EXPECT_TRUE(close.clean) << close.error.message();
  EXPECT_EQ(server.echoes(), 2 * payloads.size());  // each as text and as binary
  EXPECT_EQ(server.differences(), 0u);
}

TEST(ProgramEchoBack, LimitsOfTheCommandLineApply) {
  for (const auto& [flags, code] : std::vector<std::pair<std::vector<std::string>, int>>{
           {{"--max-message", "100"}, 1000}, {{"--max-message", "99"}, 1009}}) {
    Served server;
    server.expect_echoes("/ask", {std::string(100, 'x')});
    server.run();
    std::vector<std::string> words = {program("echo_back")};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(server.url("/ask"));
    Process client(words);
    EXPECT_EQ(static_cast<int>(server.close_info().code), code);
    EXPECT_EQ(client.exit_code(), code == 1000 ? 0 : 1) << client.err();
  }
}

// A server that completes the handshake, sends these bytes, and ends.
struct Bad {
  const char* name;
  std::vector<std::string> flags;
  std::string sent;
};

TEST(ProgramEchoBack, UncleanCloseExitsOneWithOneLine) {
  const std::vector<Bad> table = {
      {"connection lost", {}, ""},
      {"lost inside a frame", {}, wire(Role::server, text("cut")).substr(0, 3)},
      {"masked frame, RFC 6455 5.1", {}, wire(Role::client, text("masked"))},
      {"bad UTF-8, RFC 6455 8.1", {}, wire(Role::server, text("\xFF"))},
      {"too many fragments",
       {"--max-fragments", "2"},
       wire(Role::server, {text("", false), more("", false), more("")})},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.name);
    const RawSocket listener = RawSocket::bound();
    listener.listen();
    std::vector<std::string> words = {program("echo_back")};
    words.insert(words.end(), bad.flags.begin(), bad.flags.end());
    words.push_back("ws://127.0.0.1:" + std::to_string(listener.port()) + "/");
    Process client(words);
    {
      const RawSocket socket = listener.accept();
      const std::string request = socket.receive_until("\r\n\r\n");
      EXPECT_TRUE(socket.send(upgrade_answer(request) + bad.sent));
    }
    EXPECT_EQ(client.exit_code(), 1);
    expect_one_line(client.err());
  }
}

TEST(ProgramEchoBack, FailedHandshakesExitOneWithOneLine) {
  Served server;
  server.run();
  const RawSocket closed_port = RawSocket::bound();
  struct Case {
    std::string url;
    std::string contained;
  };
  for (const Case& each : std::vector<Case>{
           {server.url("/nowhere"), "404"},
           {"ws://127.0.0.1:" + std::to_string(closed_port.port()) + "/", "refused"},
           {"http://127.0.0.1/", "ws://"},
       }) {
    SCOPED_TRACE(each.url);
    Process client({program("echo_back"), each.url});
    EXPECT_EQ(client.exit_code(), 1);
    expect_one_line(client.err());
    EXPECT_NE(client.err().find(each.contained), std::string::npos) << client.err();
  }
}

}  // namespace
}  // namespace tern::test
