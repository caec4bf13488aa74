// A fan-out to many subscribers: the loop turns between its slices, subscribers leave and the
// server stops in the middle, over TLS and with compression as well.
#include "tern/server.h"

#include "support/certificates.h"
#include "support/topic_server.h"

#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t slice = 256;

/// A server with many subscribers of "t", on one worker.
class Crowd : public TopicServer {
 public:
  explicit Crowd(std::size_t count, ServerOptions options = {}) : TopicServer(std::move(options)) {
    server.on_worker_start([this](Loop& of_worker) { loop = &of_worker; });
    const std::uint16_t port = start();
    for (std::size_t i = 0; i < count; ++i) clients.emplace_back(port).subscribe("now t");
  }

  std::vector<TopicClient> clients{};
  std::atomic<Loop*> loop = nullptr;
};

TEST(ServerTopicsFanout, TheLoopTurnsBetweenSlices) {
  Inbox<std::uint64_t> steps;
  std::atomic<bool> done = false;
  Crowd house(4 * slice);
  // Each turn of the loop notes the number of deliveries.
  ASSERT_TRUE(house.server.post_all([&] {
    house.server.publish("t", "x");
    house.loop.load()->every(std::chrono::nanoseconds(1), [&] {
      if (!done) steps.put(house.server.counters().topic_deliveries);
    });
  }));
  for (TopicClient& client : house.clients) EXPECT_EQ(client.receive(), "x");
  done = true;
  std::uint64_t before = 0;
  while (!steps.empty()) {
    const std::uint64_t now = steps.take().value();
    EXPECT_LE(now - before, slice);
    before = now;
  }
}

TEST(ServerTopicsFanout, PublicationsMeanwhileAreWrittenTogether) {
  constexpr int publications = 20;
  Crowd house(2 * slice + 50);
  for (int i = 0; i < publications; ++i) EXPECT_TRUE(house.server.publish("t", std::to_string(i)));
  for (TopicClient& client : house.clients) {
    for (int i = 0; i < publications; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
  }
  const Counters counters = house.server.counters();
  EXPECT_EQ(counters.topic_deliveries, publications * house.clients.size());
  EXPECT_EQ(counters.topic_published, static_cast<std::uint64_t>(publications));
}

// Subscribers that the lap has visited leave while others wait for their visit.
TEST(ServerTopicsFanout, AVisitedSubscriberLeavesAndNoOtherIsSkipped) {
  constexpr std::size_t leaving = 100;
  std::vector<Connection*> connections;  // of the loop
  bool left = false;
  RunningServer house;
  house.server.route("/", Handlers{.on_open =
                                       [&](Connection& conn) {
                                         conn.subscribe("t").value();
                                         conn.send("ready");
                                         connections.push_back(&conn);
                                       },
                                   .on_message = [](Connection&, Message) {}});
  house.server.on_worker_start([&](Loop& loop) {
    loop.every(std::chrono::nanoseconds(1), [&] {
      if (left || house.server.counters().topic_deliveries == 0) return;
      left = true;
      for (std::size_t i = 0; i < leaving; ++i) EXPECT_TRUE(connections[i]->unsubscribe("t"));
    });
  });
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (std::size_t i = 0; i < 2 * slice; ++i) {
    clients.emplace_back(port);
    ASSERT_EQ(clients.back().receive(), "ready");
  }
  EXPECT_TRUE(house.server.publish("t", "x"));
  for (TopicClient& client : clients) ASSERT_EQ(client.receive(), "x");
  house.stop(std::chrono::nanoseconds(0));
  EXPECT_TRUE(left);
}

TEST(ServerTopicsFanout, SubscribersLeaveAndEndBetweenSlices) {
  constexpr int publications = 60;
  Crowd house(2 * slice + 50);
  std::thread publisher([&] {
    for (int i = 0; i < publications; ++i)
      EXPECT_TRUE(house.server.publish("t", std::to_string(i)));
  });
  for (std::size_t i = 0; i < house.clients.size(); ++i) {
    if (i % 5 == 1) house.clients[i].send("leave t");
    if (i % 5 == 2) house.clients[i].client().terminate();
    if (i % 5 == 3) house.clients[i].send("end");
  }
  publisher.join();
  for (std::size_t i = 0; i < house.clients.size(); ++i) {
    if (i % 5 == 2) continue;
    if (i % 5 == 3) {  // its end is a whole one
      int next = 0;
      std::string text;
      while ((text = house.clients[i].receive()) == std::to_string(next)) ++next;
      EXPECT_EQ(static_cast<int>(house.clients[i].client().close_info().code), 1000) << text;
      continue;
    }
    int next = 0;
    std::string text;
    while (next < publications && (text = house.clients[i].receive()) == std::to_string(next)) {
      ++next;
    }
    if (i % 5 == 1 && next < publications) {
      EXPECT_EQ(text, "left") << i;
    } else {
      EXPECT_EQ(next, publications) << i << ": " << text;
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < house.clients.size(); ++i) kept += i % 5 == 0 || i % 5 == 4 ? 1 : 0;
  while (house.server.subscribers("t") > kept) std::this_thread::yield();
  EXPECT_EQ(house.server.subscribers("t"), kept);
}

// Publishes in on_drain as long as the peers take it.
class Stream {
 public:
  explicit Stream(std::atomic<int>& published) : published_(published) {}
  void on_open(Connection& conn) {
    conn.subscribe("t");
    conn.subscribe("u");
  }
  void on_message(Connection& conn, Message) { publish(conn); }
  void on_drain(Connection& conn) { publish(conn); }

 private:
  void publish(Connection& conn) {
    if (++published_ > 500) return;
    conn.publish("t", std::string(std::size_t{300} << 10, 'x'));
    conn.publish("u", "x");
  }
  std::atomic<int>& published_;
};

TEST(ServerTopicsFanout, APublisherThatNeverStopsLeavesTheLoopToOthers) {
  RunningServer house;
  std::atomic<int> published = 0;
  std::atomic<int> most = 0;
  house.server.route<Stream>("/", std::ref(published));
  house.server.on_worker_start([&](Loop& loop) {
    loop.every(std::chrono::nanoseconds(1), [&, before = 0]() mutable {
      most = std::max(most.load(), published - before);
      before = published;
    });
  });
  const std::uint16_t port = house.start();
  TopicClient clients[] = {TopicClient(port), TopicClient(port)};
  std::vector<std::thread> readers;
  for (TopicClient& client : clients) {
    readers.emplace_back([&client] {
      while (client.receive().front() == 'x') {
      }
    });
  }
  clients[0].send("begin");
  while (published < 500) std::this_thread::yield();
  house.stop(std::chrono::seconds(5));
  for (std::thread& reader : readers) reader.join();
  EXPECT_LE(most, 4);  // of each turn: a message or on_drain, of two connections
}

// Publications wait at each moment, so stop() comes in the middle of a lap. They are few, because
// each connection receives them before it ends.
TEST(ServerTopicsFanout, TheServerStopsInTheMiddle) {
  for (int round = 0; round < 3; ++round) {
    ServerOptions options;
    options.topics.max_waiting = 64;
    Crowd house(2 * slice, std::move(options));
    std::atomic<bool> stopped = false;
    std::thread publisher([&] {
      const Topic topic = house.server.topic("t");
      while (!stopped) topic.publish("x");
    });
    house.clients[0].receive();
    house.stop(std::chrono::milliseconds(round));
    stopped = true;
    publisher.join();
    EXPECT_EQ(house.server.counters().topic_subscriptions, 0u);
    EXPECT_EQ(house.server.publish("t", "x").value(), PublishStatus::nobody);
  }
}

TEST(ServerTopicsFanout, TheDeadlineOfAStopEndsDeliveries) {
  constexpr std::uint64_t publications = 10'000;
  Crowd house(64);
  Gate gate(house.server, 1);
  for (std::uint64_t i = 0; i < publications; ++i) EXPECT_TRUE(house.server.publish("t", "x"));
  house.server.stop(std::chrono::nanoseconds(0));
  gate.open();
  house.join();
  EXPECT_LT(house.server.counters().topic_deliveries, publications * house.clients.size());
  for (TopicClient& client : house.clients) {
    while (client.receive() == "x") {
    }
    EXPECT_EQ(client.client().close_info().code, CloseCode::going_away);
  }
}

// The publishers do not know that the workers come and go.
TEST(ServerTopicsFanout, PublishersGoOnWhileTheServerStartsAndStops) {
  ServerOptions options;
  options.threads = 2;
  options.topics.max_waiting = 1000;
  TopicServer house(options);
  house.server.topics({.history = 20, .format = [](const Publication& publication) {
                         return std::to_string(publication.position.offset);
                       }});
  const Topic topic = house.server.topic("t");
  std::atomic<bool> done = false;
  std::vector<std::thread> publishers;
  for (int p = 0; p < 2; ++p) {
    publishers.emplace_back([&, p] {
      while (!done) {
        p == 0 ? topic.publish("x") : house.server.publish("t", "x");
        std::this_thread::yield();
      }
    });
  }
  for (int round = 0; round < 4; ++round) {
    const std::uint16_t port = house.start();
    std::vector<TopicClient> clients;
    for (int i = 0; i < 4; ++i) {
      std::uint64_t last = clients.emplace_back(port).subscribe("retained t").offset - 1;
      for (int k = 0; k < 30; ++k) ASSERT_EQ(clients.back().receive(), std::to_string(++last));
    }
    house.stop(std::chrono::nanoseconds(0));
    EXPECT_EQ(topic.subscribers(), 0u);
  }
  done = true;
  for (std::thread& publisher : publishers) publisher.join();
  EXPECT_EQ(house.server.counters().topic_waiting, 0u);
  EXPECT_EQ(topic.publish("x").value(), PublishStatus::nobody);
}

// ---- TLS and compression

TEST(ServerTopicsFanout, OverTls) {
  const Authority authority;
  ServerOptions options;
  options.tls = TlsServer{.certificate_pem = authority.leaf.certificate(),
                          .private_key_pem = authority.leaf.key()};
  options.threads = 2;
  TopicServer house(std::move(options));
  house.server.topics({.history = 10});
  const std::string url = "wss://localhost:" + std::to_string(house.start()) + "/";
  std::vector<TopicClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(url, DialOptions{.tls = {.ca_pem = authority.ca.certificate()}})
        .subscribe(i % 2 == 0 ? "now t" : "latest u");
  }
  for (const std::size_t size : {std::size_t{1}, std::size_t{5000}, std::size_t{100'000}}) {
    const std::string text(size, 'x');
    EXPECT_TRUE(house.server.publish("t", text));
    EXPECT_TRUE(house.server.publish("u", text));
    for (TopicClient& client : clients) EXPECT_EQ(client.receive(), text);
  }
}

TEST(ServerTopicsFanout, WithCompression) {
  ServerOptions options;
  options.deflate = Deflate{.takeover = true};
  TopicServer house(std::move(options));
  const std::string url = "ws://127.0.0.1:" + std::to_string(house.start()) + "/";
  std::vector<TopicClient> clients;
  for (const std::optional<Deflate>& deflate :
       {std::optional<Deflate>(), std::optional<Deflate>(Deflate()),
        std::optional<Deflate>(Deflate{.peer_takeover = true})}) {
    clients.emplace_back(url, DialOptions{.deflate = deflate}).subscribe("now t");
  }
  const std::string text(20'000, 'x');
  const std::uint64_t before = house.server.counters().bytes_sent;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(house.server.publish("t", text));
  for (TopicClient& client : clients) {
    for (int i = 0; i < 3; ++i) ASSERT_EQ(client.receive(), text);
  }
  EXPECT_LT(house.server.counters().bytes_sent - before, 4 * text.size());
  EXPECT_TRUE(house.server.publish("t", text, {.compress = false}));
  for (TopicClient& client : clients) ASSERT_EQ(client.receive(), text);
  EXPECT_GT(house.server.counters().bytes_sent - before, 5 * text.size());
}

}  // namespace
}  // namespace tern::test
