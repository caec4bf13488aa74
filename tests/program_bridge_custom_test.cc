// The example of a bridge of one's own: two processes, each with a port, share a chat.
#include "tern/dial.h"

#include "support/process.h"

#include <csignal>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

struct TwoProcesses : Process {
  TwoProcesses() : Process({program("bridge_custom")}) {}
  BlockingClient next_client() { return dial(line()).value(); }
};

std::string heard(BlockingClient& client) {
  std::string text;
  const auto received = client.receive(text, patience);
  EXPECT_TRUE(received) << received.error().message();
  return text;
}

TEST(ProgramBridgeCustom, ClientsOfBothProcessesChat) {
  TwoProcesses both;
  BlockingClient ann = both.next_client();
  BlockingClient bob = both.next_client();
  ASSERT_TRUE(ann.send("Hello"));
  EXPECT_EQ(heard(bob), "Hello");
  ASSERT_TRUE(bob.send("Grüße"));
  EXPECT_EQ(heard(ann), "Grüße");  // and not its own message before it
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(ann.send(std::to_string(i)));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(heard(bob), std::to_string(i));
  const std::string large(60'000, 'x');
  ASSERT_TRUE(bob.send(large));
  EXPECT_TRUE(heard(ann) == large);
}

TEST(ProgramBridgeCustom, TheSecondProcessEndsWithTheFirst) {
  TwoProcesses both;
  BlockingClient ann = both.next_client();
  BlockingClient bob = both.next_client();
  both.signal(SIGTERM);
  std::string ignored;
  EXPECT_FALSE(ann.receive(ignored, patience));
  EXPECT_FALSE(bob.receive(ignored, patience));
  EXPECT_EQ(both.exit_code(), 0);  // waits for the output of both
}

}  // namespace
}  // namespace tern::test
