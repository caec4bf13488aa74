// examples/many as a process, with few connections, and with too many for the limit of descriptors.

#include "support/process.h"
#include "support/raw_socket.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

std::vector<std::string> many(const std::string& url, std::size_t connections) {
  return {program("many"), url, "--connections", std::to_string(connections)};
}

TEST(ProgramMany, OpensAndEchoesOnAll) {
  EchoServer server;
  Process client(many(server.url(), 300));
  EXPECT_EQ(client.exit_code(), 0);
  EXPECT_EQ(client.line(), "opened 300, failed 0, echoed 300");
  const std::string cost = client.line();
  EXPECT_TRUE(cost.starts_with("a connection: ")) << cost;
  EXPECT_EQ(client.err(), "") << "progress belongs on a terminal only";
}

TEST(ProgramMany, ATerminalShowsProgress) {
  EchoServer server;
  Process terminal(
      {"script", "-qec", program("many") + " --connections 3 " + server.url(), "/dev/null"});
  EXPECT_EQ(terminal.exit_code(), 0);
  EXPECT_NE(terminal.out().find("\r0 of 3 open, 0 failed, 0 echoes"), std::string::npos)
      << terminal.out();
  EXPECT_NE(terminal.out().find("\r\033[Kopened 3, failed 0, echoed 3\r\n"), std::string::npos)
      << terminal.out();
}

TEST(ProgramMany, OneConnection) {
  EchoServer server;
  Process client(many(server.url(), 1));
  EXPECT_EQ(client.exit_code(), 0);
  EXPECT_EQ(client.out(), "opened 1, failed 0, echoed 1\n");
}

TEST(ProgramMany, FailuresAreCounted) {
  const RawSocket closed_port = RawSocket::bound();
  const std::string url = "ws://127.0.0.1:" + std::to_string(closed_port.port()) + "/";
  Process client(many(url, 150));  // more than run at the same time
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_EQ(client.line(), "opened 0, failed 150, echoed 0");
  const std::string failure = client.line();
  EXPECT_NE(failure.find("Connection refused"), std::string::npos) << failure;
}

TEST(ProgramMany, AnInvalidUrlFailsEveryAttempt) {
  Process client(many("ws://", 3));
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_EQ(client.line(), "opened 0, failed 3, echoed 0");
}

TEST(ProgramMany, TooFewDescriptorsAreReported) {
  EchoServer server;
  Process client({"sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", program("many"), server.url(),
                  "--connections", "100"});
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_EQ(client.err(),
            "many: 100 connections need 132 descriptors, but the limit is 64 (ulimit -Hn)\n");
  EXPECT_EQ(client.out(), "");
}

TEST(ProgramMany, TheSoftLimitIsRaised) {
  EchoServer server;
  Process client({"sh", "-c", "ulimit -S -n 64; exec \"$@\"", "sh", program("many"), server.url(),
                  "--connections", "100"});
  EXPECT_EQ(client.exit_code(), 0) << client.err();
}

}  // namespace
}  // namespace tern::test
