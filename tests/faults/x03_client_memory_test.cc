// X03 for a client on a loop: an allocation fails while it connects, echoes and closes, on each
// way: plain, TLS, through an HTTP proxy, an https proxy and a SOCKS5 proxy, and with an answer of
// before_attempt.
//
// Pass: each allocation fails once, for every n until none is left (support/no_memory.h). It costs
// at most one attempt or one connection. The client tries again and gets its echo. There is no
// crash and no leak, and each session gets its on_close. CI has the full size.
#include "tern/client.h"

#include "faults/support/accepting_peer.h"
#include "faults/support/no_memory.h"
#include "faults/support/tls_attacked.h"
#include "support/recorded_client.h"

#include <gtest/gtest.h>
#include <iostream>
#include <new>
#include <optional>
#include <string>

namespace tern::test {
namespace {

struct Way {
  std::string url;
  DialOptions dial{};
  bool asks = false;  // whether there is a before_attempt
  // Whether certificates are loaded before allocations fail. OpenSSL does not report each failure
  // of an allocation then; it leaves out ciphers.
  bool loads_before = false;
};

// Counts the events of one client. Its functions allocate nothing of their own.
struct Story {
  int failures = 0;  // ends before the last one
  int last = 0;
  int constructed = 0;
  int closed = 0;
  bool echoed = false;
};

class EchoOnce {
 public:
  EchoOnce(Client*& client, Story& story) : client_(client), story_(story) { ++story_.constructed; }
  void on_open(Connection& conn) { conn.send("Hello"); }
  void on_message(Connection&, Message) {
    story_.echoed = true;
    client_->stop();
  }
  void on_close(Connection&, const CloseInfo&) { ++story_.closed; }

 private:
  Client*& client_;
  Story& story_;
};

bool begins(Client& client, Client*& pointer, Story& story) {
  try {
    return static_cast<bool>(client.connect<EchoOnce>(std::ref(pointer), std::ref(story)));
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// Runs one client with one failure. Returns whether the failure happened.
bool connect_with(std::uint64_t number, const Way& way, std::uint64_t& refusals) {
  SCOPED_TRACE("allocation " + std::to_string(number));
  Loop loop;
  Story story;
  Client* pointer = nullptr;
  ClientOptions options{.dial = way.dial, .retry = quick()};
  options.on_ended = [&](const Ended& ended) {
    if (ended.wait) {
      ++story.failures;
      pointer->reconnect();
    } else {
      ++story.last;
      loop.stop();
    }
  };
  if (way.asks) options.before_attempt = [](Attempt attempt) { attempt.go({}, {{"A", "b"}}); };
  Client client(loop, way.url, std::move(options));
  pointer = &client;
  bool happened = false;
  bool begun = way.loads_before && begins(client, pointer, story);
  {
    const NoMemory fault(number);
    begun = begun || begins(client, pointer, story) || begins(client, pointer, story);
    const bool ran = begun && loop.run();
    happened = memory_fault::fired > 0;
    memory_fault::armed = false;
    EXPECT_TRUE(ran);
  }
  const auto why = client.error();
  if (why && why->code() == Errc::tls_certificate_refused) {
    ++refusals;
  } else {
    EXPECT_TRUE(story.echoed) << "it gave up: " << (why ? why->message() : std::string());
  }
  EXPECT_LE(story.failures, 1);
  EXPECT_EQ(story.last, 1);
  EXPECT_EQ(story.constructed, story.closed);
  return happened;
}

void survive_each(const Way& way) {
  std::uint64_t refusals = 0;
  connect_with(1'000'000, way, refusals);  // fills what is allocated once for the process
  const std::size_t descriptors = open_descriptors();
  const std::int64_t blocks = live_blocks();
  std::uint64_t shots = 0;
  while (shots < 5'000 && connect_with(shots, way, refusals)) ++shots;
  std::cout << shots << " times\n";
  EXPECT_GE(shots, 20u) << "nothing is shown";
  EXPECT_TRUE(eventually([&] { return open_descriptors() <= descriptors; }));
  if (!way.loads_before) {  // OpenSSL itself loses blocks when memory is out
    EXPECT_LE(live_blocks(), blocks + 8) << "it grows";
  }
  // Without memory OpenSSL finds some good certificates bad and does not say why, which is fatal.
  EXPECT_LE(refusals, shots / 8);
}

std::string local(const char* scheme, std::uint16_t port) {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(port);
}

TEST(Faults, X03_AClientOnALoopTriesAgain) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  survive_each({.url = house.url()});
  survive_each({.url = house.url(), .asks = true});
}

TEST(Faults, X03_AClientOnALoopTriesAgainThroughProxies) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const AcceptingPeer http(http_proxy_to(house.port()));
  const AcceptingPeer socks(socks_proxy_to(house.port()));
  survive_each({.url = house.url(), .dial = {.proxy = *Proxy::parse(local("http", http.port()))}});
  survive_each(
      {.url = house.url(), .dial = {.proxy = *Proxy::parse(local("socks5", socks.port()))}});
}

TEST(FaultsLong, X03_AClientOnALoopTriesAgainWithTls) {
  House house(over_tls(), Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const std::string url = local("wss", house.port()) + "/echo";
  survive_each({.url = url, .dial = trusting(), .loads_before = true});
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  authority().leaf.use_in(context);
  {
    const AcceptingPeer proxy(http_proxy_to(house.port(), context));
    DialOptions dial = trusting();
    dial.proxy = *Proxy::parse(local("https", proxy.port()));
    dial.proxy.tls(dial.tls);
    survive_each({.url = url, .dial = dial, .loads_before = true});
  }
  SSL_CTX_free(context);
}

}  // namespace
}  // namespace tern::test
