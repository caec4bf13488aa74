// The example that drives the engine on a poll loop of its own, against peers without tern's code
// and against tern's client.
#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_client.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

struct ForeignLoop : Process {
  ForeignLoop() : Process({program("foreign_loop"), "0"}) {
    const std::string listening = line();
    url = listening.substr(listening.find("ws://"));
    port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  std::string url{};
  std::uint16_t port = 0;
};

TEST(ProgramForeignLoop, EchoesMessagesOfEverySize) {
  ForeignLoop program;
  auto client = dial(program.url);
  ASSERT_TRUE(client) << client.error().message();
  std::string echoed;
  for (const std::size_t size : {0u, 1u, 125u, 126u, 65'535u, 65'536u, 1u << 20}) {
    const std::string message = noise(size);
    ASSERT_TRUE(client->send(Message(MessageType::binary, message)));
    ASSERT_TRUE(client->receive(echoed));
    EXPECT_TRUE(echoed == message) << size;
  }
  EXPECT_TRUE(client->close());
}

TEST(ProgramForeignLoop, EndsEachConnectionProperly) {
  ForeignLoop program;
  RawClient stays(program.port);
  ASSERT_TRUE(stays.upgrade());
  for (int i = 0; i < 20; ++i) {
    RawClient client(program.port);
    ASSERT_TRUE(client.upgrade());
    ASSERT_TRUE(client.send(text("one")));
    EXPECT_EQ(client.next(), "text one");
    if (i % 3 == 0) client.reset();
    if (i % 3 == 1) client.finish();
    if (i % 3 != 2) continue;
    ASSERT_TRUE(client.send(closing(1000)));
    EXPECT_EQ(client.next(), "close 1000");
    EXPECT_TRUE(client.ends());
  }
  ASSERT_TRUE(stays.send(ping("p")));
  EXPECT_EQ(stays.next(), "pong p");
  RawClient wrong(program.port);
  EXPECT_TRUE(wrong.ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(wrong.body(100'000).empty() || wrong.ends());
}

}  // namespace
}  // namespace tern::test
