// The limits for each address: the rules without I/O, and a server that keeps them.
#include "tern/tern.h"

#include "server/address_limits.h"
#include "support/raw_client.h"
#include "support/running_server.h"

#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using server::AddressLimits;
using server::ClientKey;
using server::key_of;

const auto start = std::chrono::steady_clock::time_point(1h);

TEST(ClientKey, IsAnIpv4AddressOrAnIpv6Prefix) {
  const std::vector<std::vector<std::string>> clients = {
      {"192.0.2.7", "::ffff:192.0.2.7"},
      {"192.0.2.8"},
      {"2001:db8:0:1::7", "2001:db8:0:1:ffff::", "2001:db8:0:1::9"},
      {"2001:db8:0:2::7"},
      {"::1"},
  };
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (const std::string& text : clients[i]) {
      ASSERT_TRUE(key_of(text)) << text;
      for (std::size_t k = 0; k < clients.size(); ++k) {
        EXPECT_EQ(key_of(text) == key_of(clients[k].front()), i == k) << text << ' ' << k;
      }
    }
  }
  for (const char* other :
       {"", "unix:", "unix:/run/a", "unknown", "_a1", "300.0.0.1", "192.0.2.7:80"}) {
    EXPECT_FALSE(key_of(other)) << other;
  }
}

TEST(AddressLimits, BoundsTheConnectionsOfAClient) {
  AddressLimits limits({.connections = 2});
  const ClientKey a{1};
  const ClientKey b{2};
  EXPECT_TRUE(limits.connect(a));
  EXPECT_TRUE(limits.connect(a));
  EXPECT_FALSE(limits.connect(a));
  EXPECT_TRUE(limits.connect(b));
  limits.disconnect(a);
  EXPECT_TRUE(limits.connect(a));
  EXPECT_FALSE(limits.connect(a));
  for (const ClientKey key : {a, a, b, b}) limits.disconnect(key);
  EXPECT_EQ(limits.size(), 0u);
}

TEST(AddressLimits, BoundsTheUpgradesInASecond) {
  AddressLimits limits({.upgrades_per_second = 4});
  const ClientKey a{1};
  const auto allowed = [&](std::chrono::nanoseconds at) {
    int count = 0;
    while (limits.upgrade(a, start + at)) ++count;
    return count;
  };
  EXPECT_EQ(allowed(0s), 4) << "all at once";
  EXPECT_EQ(allowed(249ms), 0);
  EXPECT_EQ(allowed(250ms), 1);
  EXPECT_EQ(allowed(1s), 3);
  EXPECT_EQ(allowed(10s), 4) << "a long silence does not save more";
  EXPECT_TRUE(limits.upgrade(ClientKey{2}, start + 10s)) << "another client";
}

TEST(AddressLimits, ForgetsClientsThatLeft) {
  AddressLimits limits({.connections = 5, .upgrades_per_second = 2}, 100);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    ASSERT_TRUE(limits.upgrade(ClientKey{i}, start));
    ASSERT_LE(limits.size(), 100u);
  }
  EXPECT_TRUE(limits.connect(ClientKey{5}));
  EXPECT_TRUE(limits.upgrade(ClientKey{1001}, start + 2s));
  EXPECT_EQ(limits.size(), 2u) << "one has a connection, and one has just upgraded";
  limits.disconnect(ClientKey{5});
  EXPECT_TRUE(limits.upgrade(ClientKey{1002}, start + 4s));
  EXPECT_EQ(limits.size(), 1u);
}

// ---- a server

TEST(ServerAddressLimits, AreOffByDefault) {
  RunningServer running;
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(clients.emplace_back(port).upgrade());
  const Counters counters = running.server.counters();
  EXPECT_EQ(counters.connections_limited, 0u);
  EXPECT_EQ(counters.upgrades_limited, 0u);
}

TEST(ServerAddressLimits, AConnectionBeyondTheLimitReceives429) {
  RunningServer running({.threads = 2, .per_address = {.connections = 2}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient first(port);
  RawClient second(port);
  ASSERT_TRUE(first.upgrade());
  ASSERT_TRUE(second.upgrade());
  RawClient third(port);
  const std::string head = third.head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n")) << head;
  EXPECT_NE(head.find("Retry-After: 1\r\n"), head.npos);
  EXPECT_NE(head.find("\r\nDate: "), head.npos);
  EXPECT_TRUE(third.ends());
  EXPECT_EQ(running.server.counters().connections_limited, 1u);
  first.reset();
  // The place is free as soon as the server has seen the end.
  while (!RawClient(port).upgrade()) std::this_thread::yield();
}

// Each client of a trusted proxy has its own limits, and the proxy has none.
TEST(ServerAddressLimits, BehindATrustedProxyTheClientCounts) {
  RunningServer running({.trusted_proxies = {"127.0.0.1"}, .per_address = {.connections = 1}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  const auto from = [](const std::string& client) { return "X-Forwarded-For: " + client + "\r\n"; };
  RawClient first(port);
  RawClient second(port);
  RawClient hidden(port);
  EXPECT_TRUE(first.upgrade("/echo", from("192.0.2.7")));
  EXPECT_TRUE(second.upgrade("/echo", from("192.0.2.8")));
  EXPECT_TRUE(hidden.upgrade("/echo", from("unknown"))) << "it has no address";
  RawClient third(port);
  EXPECT_FALSE(third.upgrade("/echo", from("192.0.2.7")));
  EXPECT_TRUE(third.answer_head().starts_with("HTTP/1.1 429")) << third.answer_head();
  EXPECT_EQ(running.server.counters().upgrades_limited, 1u);
  EXPECT_EQ(running.server.counters().connections_limited, 0u);
  first.reset();
  while (!RawClient(port).upgrade("/echo", from("192.0.2.7"))) std::this_thread::yield();
}

// All clients of such a proxy would share its limit.
TEST(ServerAddressLimits, AProxyThatTellsNoClientHasNoLimit) {
  RunningServer running({.trusted_proxies = {"127.0.0.1"},
                         .per_address = {.connections = 1, .upgrades_per_second = 1}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(clients.emplace_back(port).upgrade()) << i;
  EXPECT_EQ(running.server.counters().upgrades_limited, 0u);
}

TEST(ServerAddressLimits, UpgradesBeyondTheRateReceive429) {
  RunningServer running({.per_address = {.upgrades_per_second = 1}});
  running.server.route("/echo", echo());
  running.server.get("/page", [](const Request&) { return Response::text("page"); });
  const std::uint16_t port = running.start();
  RawClient first(port);
  ASSERT_TRUE(first.upgrade());
  RawClient second(port);
  EXPECT_TRUE(second.ask(page_request("/page")).starts_with("HTTP/1.1 200")) << "a page is free";
  second.body(4);
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    RawClient client(port);
    if (client.upgrade()) continue;
    ++refused;
    EXPECT_TRUE(client.answer_head().starts_with("HTTP/1.1 429")) << client.answer_head();
    EXPECT_NE(client.answer_head().find("Retry-After: 1"), std::string::npos);
  }
  EXPECT_GE(refused, 1);
  EXPECT_EQ(running.server.counters().upgrades_limited, static_cast<std::uint64_t>(refused));
}

}  // namespace
}  // namespace tern::test
