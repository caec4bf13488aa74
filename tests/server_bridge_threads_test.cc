// Bridged topics with threads: two servers of two workers each, on a broker of the test. Each
// server has a driver with its thread, and clients that subscribe, publish and leave.
#include "tern/bridge.h"

#include "bridge/driver.h"
#include "support/topic_server.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <set>
#include <string>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

class MemoryLink;

// A broker that numbers publications and keeps them. Thread: any.
class MemoryBroker {
 public:
  struct Entry {
    std::string topic;
    std::string payload;
    Origin origin;
    std::uint64_t offset;
  };
  explicit MemoryBroker(bool numbers) : durable(numbers) {}

  void publish(std::string_view topic, std::string_view payload, const Origin& origin);
  void add(MemoryLink& link) {
    const std::lock_guard lock(mutex_);
    links_.insert(&link);
  }
  void remove(MemoryLink& link) {
    const std::lock_guard lock(mutex_);
    links_.erase(&link);
  }
  std::vector<Entry> all(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return history_[topic];
  }
  // Ends all connections.
  void cut() { ++cuts; }

  const bool durable;
  std::atomic<int> cuts{0};
  static constexpr std::uint64_t epoch = 77;

 private:
  std::mutex mutex_{};
  std::map<std::string, std::vector<Entry>> history_{};
  std::set<MemoryLink*> links_{};
};

class MemoryLink final : public bridge::Link {
 public:
  explicit MemoryLink(MemoryBroker& broker) : broker_(broker), event_(::eventfd(0, EFD_NONBLOCK)) {}
  ~MemoryLink() override { ::close(event_); }

  bool is_durable() const noexcept override { return broker_.durable; }
  std::size_t servers() const noexcept override { return 1; }
  std::string server_name(std::size_t) const override { return "memory"; }
  Result<void> connect(std::size_t, bridge::LinkEvents& events) override {
    events_ = &events;
    cuts_ = broker_.cuts;
    broker_.add(*this);
    return {};
  }
  Result<void> subscribe(std::span<const std::string_view> topics) override {
    const std::lock_guard lock(mutex_);
    for (const auto topic : topics) subscribed_.emplace(topic);
    return {};
  }
  Result<void> unsubscribe(std::span<const std::string_view> topics) override {
    const std::lock_guard lock(mutex_);
    for (const auto topic : topics) subscribed_.erase(std::string(topic));
    return {};
  }
  Result<void> publish(std::string_view topic, const SharedMessage& message,
                       const Origin& origin) override {
    broker_.publish(topic, message.message().text(), origin);
    return {};
  }
  Result<void> history(std::string_view topic, Position after, std::size_t count) override {
    deliver();
    const auto all = broker_.all(std::string(topic));
    std::vector<BridgedPublication> found;
    for (const auto& each : all) {
      if (after.epoch == MemoryBroker::epoch && each.offset <= after.offset) continue;
      if (each.offset + count <= all.size()) continue;
      found.push_back({Message(each.payload), each.origin});
    }
    deliver();
    events_->on_history(
        topic, {.known = true, .last = {MemoryBroker::epoch, all.size()}, .publications = found});
    return {};
  }
  Result<void> flush() override { return {}; }
  Result<void> probe() override {
    events_->on_probe();
    return {};
  }
  Result<void> poll(int wake, std::chrono::milliseconds timeout) override {
    pollfd wanted[] = {{wake, POLLIN, 0}, {event_, POLLIN, 0}};
    ::poll(wanted, 2, static_cast<int>(std::min(timeout, 5ms).count()));
    if (cuts_ != broker_.cuts) return Error::described(Errc::closed, "cut");
    deliver();
    return {};
  }
  void close() noexcept override {
    broker_.remove(*this);
    const std::lock_guard lock(mutex_);
    arrived_.clear();
    subscribed_.clear();
  }

  // The broker calls it.
  void put(const MemoryBroker::Entry& entry) {
    const std::lock_guard lock(mutex_);
    if (!subscribed_.contains(entry.topic)) return;
    arrived_.push_back(entry);
    ::eventfd_write(event_, 1);
  }

 private:
  void deliver() {
    std::deque<MemoryBroker::Entry> all;
    eventfd_t value = 0;
    ::eventfd_read(event_, &value);
    {
      const std::lock_guard lock(mutex_);
      all.swap(arrived_);
    }
    for (const auto& each : all) {
      std::optional<Position> at;
      if (broker_.durable) at = Position{MemoryBroker::epoch, each.offset};
      events_->on_publication(each.topic, Message(each.payload), each.origin, at);
    }
  }

  MemoryBroker& broker_;
  const int event_;
  bridge::LinkEvents* events_ = nullptr;
  int cuts_ = 0;
  std::mutex mutex_{};
  std::deque<MemoryBroker::Entry> arrived_{};
  std::set<std::string> subscribed_{};
};

void MemoryBroker::publish(std::string_view topic, std::string_view payload, const Origin& origin) {
  const std::lock_guard lock(mutex_);
  auto& all = history_[std::string(topic)];
  all.push_back({std::string(topic), std::string(payload), origin, all.size() + 1});
  for (MemoryLink* link : links_) link->put(all.back());
}

struct House {
  explicit House(MemoryBroker& broker, BridgeOptions options = {})
      : house([] {
          ServerOptions server;
          server.threads = 2;
          return server;
        }()) {
    if (broker.durable) house.server.topics("*", {.history = 10'000});
    house.server.bridge(std::make_unique<bridge::Driver>(std::make_unique<MemoryLink>(broker),
                                                         bridge::DriverOptions{.first_wait = 1ms}),
                        std::move(options));
    house.server.on_bridge_gap([this](std::string_view, GapCause) { ++gaps; });
    port = house.start();
  }
  std::atomic<int> gaps{0};
  TopicServer house;
  std::uint16_t port = 0;
};

// A subscriber of a topic that is told from the broker's history what it has missed loses nothing
// while connections are cut, and all subscribers have one order.
TEST(ServerBridgeThreads, NothingIsLostAndTheOrderIsOne) {
  constexpr int publications = 300;
  MemoryBroker broker(true);
  House a(broker);
  House b(broker);
  std::vector<TopicClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(i % 2 == 0 ? a.port : b.port).subscribe("now t");
  }
  a.house.server.publish("t", "first");
  for (TopicClient& client : clients) {
    std::string text = client.receive();
    EXPECT_EQ(text, "first");
  }
  std::vector<std::thread> publishers;
  for (House* house : {&a, &b}) {
    publishers.emplace_back([house] {
      for (int i = 0; i < publications; ++i) {
        while (!house->house.server.publish("t", std::to_string(i))) std::this_thread::yield();
      }
    });
  }
  std::thread cutter([&] {
    for (int i = 0; i < 5; ++i) {
      broker.cut();
      for (const std::size_t size = broker.all("t").size();
           broker.all("t").size() < size + 20 && broker.all("t").size() <= 2 * publications;) {
        std::this_thread::yield();
      }
    }
  });
  std::vector<std::string> order;
  for (int i = 0; i < 2 * publications; ++i) order.push_back(clients[0].receive());
  for (std::thread& publisher : publishers) publisher.join();
  cutter.join();
  for (std::size_t client = 1; client < clients.size(); ++client) {
    for (const std::string& each : order) ASSERT_EQ(clients[client].receive(), each);
  }
  EXPECT_EQ(a.gaps + b.gaps, 0);
}

TEST(ServerBridgeThreads, InterestComesAndGoesWhilePublicationsCome) {
  MemoryBroker broker(false);
  House a(broker, {.linger = 0s});
  std::atomic<bool> ends{false};
  std::thread other([&] {
    while (!ends) broker.publish("t", "x", {});
  });
  {
    std::vector<TopicClient> clients;
    for (int i = 0; i < 4; ++i) clients.emplace_back(a.port);
    for (int round = 0; round < 20; ++round) {
      for (TopicClient& client : clients) client.send("now t");
      for (TopicClient& client : clients) {
        client.send("leave t");
        while (client.receive() != "left") {
        }
      }
      if (round == 10) broker.cut();
    }
  }
  a.house.server.publish("t", "x");
  ends = true;
  other.join();
  EXPECT_EQ(a.house.server.counters().bridges.size(), 1u);
}

}  // namespace
}  // namespace tern::test
