// The ten-line server as a process. Its port is fixed, so that somebody else may hold it: then
// there is only its refusal to be seen.

#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_socket.h"

#include <csignal>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>

namespace tern::test {
namespace {

constexpr std::uint16_t port = 9001;

TEST(ProgramEcho, EchoesOrTellsThatItsPortIsInUse) {
  const bool free = static_cast<bool>(RawSocket::bound(port));
  Process server({program("echo")});
  if (free) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!RawSocket::connect(port) && std::chrono::steady_clock::now() < deadline) {
      ::poll(nullptr, 0, 5);  // it prints nothing when it listens
    }
    auto client = dial("ws://127.0.0.1:9001/echo");
    ASSERT_TRUE(client) << client.error().message();
    std::string answer;
    ASSERT_TRUE(client->send(Message("ten lines")));
    ASSERT_TRUE(client->receive(answer, patience));
    EXPECT_EQ(answer, "ten lines");
  }
  Process second({program("echo")});
  EXPECT_EQ(second.exit_code(), 1);
  EXPECT_NE(second.err().find("9001"), std::string::npos) << second.err();
  EXPECT_NE(second.err().find("in use"), std::string::npos) << second.err();
  if (free) {
    server.signal(SIGTERM);
    EXPECT_EQ(server.exit_code(), 0) << server.err();
  }
}

}  // namespace
}  // namespace tern::test
