// How a client on a loop looks up names: a name that it gave up is not looked up later.
#include "tern/client.h"

#include "net/resolver.h"
#include "support/recorded_client.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <netdb.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Threads may still use these variables when the process ends, so they have no destructor.
std::atomic<bool> slow_ones_may_end = false;
std::atomic<int> slow_ones = 0;      // look-ups of slow*.invalid that have begun
std::atomic<int> unwanted_ones = 0;  // of unwanted.invalid

}  // namespace

extern "C" {
int __wrap_getaddrinfo(const char* host, const char*, const addrinfo*, addrinfo**) {  // NOLINT
  const std::string_view name = host;
  if (name.starts_with("slow")) {
    ++slow_ones;
    slow_ones.notify_all();
    slow_ones_may_end.wait(false);
  }
  if (name == "unwanted.invalid") ++unwanted_ones;
  return EAI_NONAME;
}
}

namespace tern::test {
namespace {

TEST(ClientLookup, ANameThatIsGivenUpInTheQueueIsNotLookedUp) {
  std::vector<net::Lookup> busy;
  for (int begun = 0; begun < 8; ++begun) {
    const std::string name = "slow" + std::to_string(begun) + ".invalid";
    busy.push_back(net::resolve_async(name, 80, [](const auto&) {}));
    slow_ones.wait(begun);
  }
  const auto connect = [](Client& client) {
    ASSERT_TRUE(client.connect({.on_message = [](Connection&, Message) {}}));
  };
  auto loop = std::make_unique<Loop>();
  std::optional<Client> destroyed(std::in_place, *loop, "ws://unwanted.invalid/");
  Client stopped(*loop, "ws://unwanted.invalid/");
  Client left(*loop, "ws://unwanted.invalid/");  // its loop ends first
  connect(*destroyed);
  connect(stopped);
  connect(left);
  // The attempts begin in a turn of the loop.
  loop->after(std::chrono::milliseconds(1), [&] {
    EXPECT_EQ(left.state(), ClientState::connecting);
    destroyed.reset();
    stopped.stop();
    loop->stop();
  });
  ASSERT_TRUE(loop->run());
  loop.reset();
  slow_ones_may_end = true;
  slow_ones_may_end.notify_all();
  // It comes after the others in the queue.
  EXPECT_FALSE(net::resolve("last.invalid", 80, std::chrono::steady_clock::time_point::max()));
  EXPECT_EQ(unwanted_ones, 0);
}

}  // namespace
}  // namespace tern::test
