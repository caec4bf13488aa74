// X40: two publishers on two loops race for the last value of a topic.
//
// Pass: in every round, which is one publication of each publisher, all subscribers on all workers
// see the same last value, and a subscriber that begins with the retained value receives that one.
// CI has 5 000 rounds; the full size is 1 000 000.
#include "faults/support/attacked.h"
#include "support/topic_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t publishers = 2;
constexpr std::size_t readers = 8;
constexpr std::uint64_t window = 2'000;  // so far is a publisher ahead of the slowest reader

/// The values in the order in which one subscriber received them. "<offset> <publisher>"
class Order {
 public:
  /// Returns false if `text` is not the next publication.
  bool add(const std::string& text) {
    const std::size_t space = text.find(' ');
    if (text.substr(0, space) != std::to_string(values_.size() + 1)) return false;
    values_.push_back(text[space + 1]);
    count_.store(values_.size(), std::memory_order_release);
    return true;
  }
  std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
  const std::vector<char>& values() const { return values_; }

 private:
  std::vector<char> values_{};
  std::atomic<std::uint64_t> count_{0};
};

class Race {
 public:
  explicit Race(std::uint64_t rounds) : rounds_(rounds), house_(options()) {
    house_.server.topics({.history = 1, .format = [](const Publication& publication) {
                            return std::to_string(publication.position.offset) + ' ' +
                                   std::string(publication.message.text());
                          }});
    house_.server.on_worker_start([this](Loop& loop) { loops_.put(&loop); });
    port_ = house_.start();
    topic_ = house_.server.topic("t");
  }

  void run() {
    std::vector<TopicClient> clients;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < readers; ++i) clients.emplace_back(port_).subscribe("now t");
    for (std::size_t i = 0; i < readers; ++i) {
      threads.emplace_back([&, i] {
        while (orders_[i].count() < publishers * rounds_) {
          const std::string text = clients[i].receive();
          if (orders_[i].add(text)) continue;
          ADD_FAILURE() << "reader " << i << " after " << orders_[i].count() << ": " << text;
          failed_ = true;
          return;
        }
      });
    }
    for (std::size_t p = 0; p < publishers; ++p) {
      Loop* const loop = loops_.take().value();
      loop->post([this, loop, p] { publish(*loop, p, rounds_); });
    }
    std::vector<std::string> late;
    while (!failed_ && slowest() < publishers * rounds_) {
      TopicClient client(port_);
      const std::uint64_t last = client.subscribe("retained t").offset;
      if (last == 0) continue;
      late.push_back(client.receive());
      EXPECT_EQ(std::stoull(late.back()), last) << "not the retained value";
    }
    failed_ = true;  // the publishers end
    for (std::thread& thread : threads) thread.join();
    for (const Order& order : orders_) EXPECT_TRUE(order.values() == orders_[0].values());
    for (const std::string& text : late) {
      EXPECT_EQ(text.back(), orders_[0].values().at(std::stoull(text) - 1)) << text;
    }
    EXPECT_FALSE(late.empty());
    house_.stop(1s);
    expect_a_race();
  }

 private:
  static ServerOptions options() {
    ServerOptions options;
    options.threads = 4;
    return options;
  }
  std::uint64_t slowest() const {
    std::uint64_t least = ~std::uint64_t{0};
    for (const Order& order : orders_) least = std::min(least, order.count());
    return least;
  }
  // Publishes in the loop, a part in each turn.
  void publish(Loop& loop, std::size_t publisher, std::uint64_t left) {
    const std::string name(1, static_cast<char>('a' + publisher));
    for (int i = 0; i < 64 && left > 0; ++i) {
      if (topic_.position().offset > slowest() + window || !topic_.publish(name)) break;
      --left;
    }
    if (left == 0 || failed_) return;
    loop.post([this, &loop, publisher, left] { publish(loop, publisher, left); });
  }
  // Both published by turns, at least now and then.
  void expect_a_race() const {
    const std::vector<char>& values = orders_[0].values();
    std::size_t changes = 0;
    for (std::size_t i = 1; i < values.size(); ++i) changes += values[i] != values[i - 1] ? 1 : 0;
    EXPECT_GT(changes, 0u) << "the publishers did not race";
    EXPECT_EQ(std::ranges::count(values, 'a'), static_cast<std::ptrdiff_t>(rounds_));
  }

  const std::uint64_t rounds_;
  std::array<Order, readers> orders_{};
  std::atomic<bool> failed_ = false;
  Inbox<Loop*> loops_{};
  Topic topic_{};
  std::uint16_t port_ = 0;
  TopicServer house_;
};

TEST(Faults, X40_AllWorkersAgreeOnTheRetainedValue) { Race(5'000).run(); }
TEST(FaultsLong, X40_AllWorkersAgreeInAMillionRounds) { Race(1'000'000).run(); }

}  // namespace
}  // namespace tern::test
