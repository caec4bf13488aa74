// The program hub with a broker that is not there: its flags, its health, and
// the topics that stay on it. tests/interop has the rows with real brokers.

#include "support/hub.h"
#include "support/process.h"
#include "support/raw_socket.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

#ifdef HUB_NATS
constexpr bool has_nats = true;
#else
constexpr bool has_nats = false;
#endif
#ifdef HUB_REDIS
constexpr bool has_redis = true;
#else
constexpr bool has_redis = false;
#endif

void expect_refused(std::vector<std::string> flags, const std::string& why) {
  flags.insert(flags.begin(), program("hub"));
  Process hub(flags);
  EXPECT_EQ(hub.exit_code(), 2) << flags.back();
  EXPECT_NE(hub.err().find(why), std::string::npos) << hub.err();
}

TEST(ProgramHubBrokers, RefusesFlagsWithoutTheirBroker) {
  expect_refused({"--durable"}, "--redis");
  expect_refused({"--bridge", "room.*"}, "--nats and --redis");
  expect_refused({"--prefix", "chat."}, "--nats and --redis");
}

TEST(ProgramHubBrokers, ABuildWithoutAClientLibraryNamesIt) {
  if (!has_nats) expect_refused({"--nats", "nats://127.0.0.1"}, "libnats-dev");
  if (!has_redis) expect_refused({"--redis", "redis://127.0.0.1"}, "libhiredis-dev");
  if (!has_nats || !has_redis) return;
  expect_refused({"--nats", "nats://127.0.0.1", "--redis", "redis://127.0.0.1"}, "--nats");
}

// Nothing listens on the port while the socket is bound.
void expect_serves_on(const std::string& flag, const std::string& scheme,
                      const std::string& password) {
  const RawSocket nothing = RawSocket::bound();
  const std::string where = "127.0.0.1:" + std::to_string(nothing.port());
  Hub hub({flag, scheme + "://user:" + password + "@" + where, "--bridge", "room.*"});
  std::string line = hub.error_line();
  while (line.find(where) == line.npos) line = hub.error_line();
  EXPECT_NE(line.find("no broker"), line.npos) << line;
  const std::string health = get(hub.port(), "/healthz");
  EXPECT_TRUE(health.starts_with("HTTP/1.1 503 ")) << health;
  EXPECT_NE(health.find("the bridge of room.* to its broker is connecting"), health.npos) << health;
  EXPECT_EQ(health.find(where), health.npos) << "anybody may read it";
  EXPECT_TRUE(get(hub.port(), "/livez").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(health.find(password), health.npos);
  EXPECT_EQ(hub.err().find(password), std::string::npos);

  HubClient ann(hub);  // this topic is not shared
  ann.subscribe("other");
  ann.publish("other", "here");
  EXPECT_EQ(ann.hear()["data"], "here");
  EXPECT_EQ(ann.subscribe("room.7")["op"], "subscribed");
}

TEST(ProgramHubBrokers, WithoutItsBrokerItServesOn) {
  if (has_nats) expect_serves_on("--nats", "nats", "k4x9");
  if (has_redis) expect_serves_on("--redis", "redis", "k4x9");
}

TEST(ProgramHubBrokers, TheTickerStaysOnEachHub) {
  const RawSocket nothing = RawSocket::bound();
  const std::string where = "127.0.0.1:" + std::to_string(nothing.port());
  for (const std::string broker : {"nats", "redis"}) {
    if (broker == "nats" ? !has_nats : !has_redis) continue;
    Hub hub({"--" + broker, broker + "://" + where});
    HubClient ann(hub);
    ann.subscribe("ticker");
    EXPECT_EQ(ann.hear()["topic"], "ticker");
  }
}

}  // namespace
}  // namespace tern::test
