// echo_client as a process, against echo_server and against other servers.

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/served.h"

#include <csignal>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace tern::test {
namespace {

std::string address(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

TEST(ProgramEchoClient, SendsTheTimeAndClosesOnInterrupt) {
  EchoServer server;
  Process client({program("echo_client"), "--addr", address(server.port())});
  EXPECT_EQ(client.line(), "connecting to ws://" + address(server.port()) + "/echo");
  const std::string first = client.line();
  EXPECT_TRUE(first.starts_with("recv: ")) << first;
  EXPECT_NE(first, "recv: ");
  const std::string second = client.line();
  EXPECT_TRUE(second.starts_with("recv: ")) << second;
  EXPECT_NE(first, second) << "both messages carry the same time";
  client.signal(SIGINT);
  EXPECT_EQ(client.line_with("interrupt"), "interrupt");
  EXPECT_EQ(client.exit_code(), 0);
}

TEST(ProgramEchoClient, InterruptClosesWith1000) {
  Served server;
  server.echo("/elsewhere");
  server.run();
  Process client(
      {program("echo_client"), "--addr", address(server.port()), "--path", "/elsewhere"});
  client.line_with("recv: ");
  client.signal(SIGINT);
  const CloseInfo close = server.close_info();
  EXPECT_EQ(static_cast<int>(close.code), 1000);
  EXPECT_TRUE(close.clean && close.by_peer);
  EXPECT_EQ(client.exit_code(), 0);
}

TEST(ProgramEchoClient, RefusedConnectionExitsOneWithTheReason) {
  const RawSocket closed_port = RawSocket::bound();
  Process client({program("echo_client"), "--addr", address(closed_port.port())});
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_TRUE(client.out().starts_with("connecting to ws://")) << client.out();
  EXPECT_NE((client.out() + client.err()).find("refused"), std::string::npos) << client.err();
}

TEST(ProgramEchoClient, RefusedUpgradeExitsOneWithTheStatus) {
  EchoServer server;
  Process client({program("echo_client"), "--addr", address(server.port()), "--path", "/nowhere"});
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_NE((client.out() + client.err()).find("404"), std::string::npos) << client.err();
}

// A path without a slash gets one. Otherwise the URL would be "localhost:18122nowhere".
TEST(ProgramEchoClient, PathMayLackItsSlashAndAddressMayHaveAPath) {
  const RawSocket closed_port = RawSocket::bound();
  const std::string at = address(closed_port.port());
  struct Row {
    std::vector<std::string> words;
    std::string url;
  };
  for (const Row& row : std::vector<Row>{
           {{"--addr", at, "--path", "nowhere"}, "ws://" + at + "/nowhere"},
           {{"--addr", at, "--path", "a/b?c=d"}, "ws://" + at + "/a/b?c=d"},
           {{"--addr", at, "--path", "?c=d"}, "ws://" + at + "/?c=d"},
           {{"--addr", "ws://" + at, "--path", "nowhere"}, "ws://" + at + "/nowhere"},
           {{"--addr", at + "/own"}, "ws://" + at + "/own"},
           {{"--addr", at + "/own", "--path", "nowhere"}, "ws://" + at + "/own"},
           {{at}, "ws://" + at + "/echo"},
           {{at + "/a?next=http://b/c"}, "ws://" + at + "/a?next=http://b/c"},
           {{at + "?next=http://b"}, "ws://" + at + "?next=http://b"},
           {{"ws://" + at + "/a?next=http://b/c"}, "ws://" + at + "/a?next=http://b/c"},
           {{"--addr", at, "--path", "a?next=http://b"}, "ws://" + at + "/a?next=http://b"},
           {{"ws://" + at + "/"}, "ws://" + at + "/"},
       }) {
    std::vector<std::string> words = {program("echo_client")};
    words.insert(words.end(), row.words.begin(), row.words.end());
    Process client(words);
    EXPECT_EQ(client.line(), "connecting to " + row.url);
    EXPECT_EQ(client.exit_code(), 1);
  }
}

}  // namespace
}  // namespace tern::test
