// Memory of a fan-out: a delivery to a subscriber at rest allocates nothing, and a publication
// without memory reaches no subscriber. Everything runs in one thread, because the counter of
// allocations is for one thread: the clients are sockets that a timer of the worker reads.
#include "tern/server.h"

#include "support/counting_malloc.h"
#include "support/raw_client.h"
#include "support/upgrade_text.h"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t subscribers = 50;

/// Runs a server whose subscribers are all on one worker, and calls `step` in its loop, in turns
/// between which the publications are delivered, until `step` returns false.
class OneThread {
 public:
  explicit OneThread(std::function<bool(OneThread&)> step, std::size_t count = subscribers)
      : step_(std::move(step)), count_(count) {
    server.route("/", Handlers{.on_open =
                                   [this](Connection& conn) {
                                     conn.subscribe("t").value();
                                     last_ = &conn;
                                     ++joined_;
                                   },
                               .on_message = [](Connection&, Message) {},
                               .on_close =
                                   [this](Connection& conn, const CloseInfo& info) {
                                     if (&conn == last_) last_end = info.error;
                                     ++ended;
                                   }});
    server.topics("kept*", {.history = 4});
    server.topics("large", {.history = 40, .history_bytes = std::size_t{8} << 20});
    EXPECT_TRUE(server.listen());
    for (std::size_t i = 0; i < count_; ++i) {
      clients_.emplace_back(server.port());
      clients_.back().send(upgrade_request({}, "/"));
    }
    server.on_worker_start(
        [this](Loop& loop) { loop.every(std::chrono::microseconds(100), [this] { turn(); }); });
    EXPECT_TRUE(server.run());
  }

  /// The bytes that the subscribers have received since the last call.
  std::size_t received() {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (i != silent) sum += received_by(i);
    }
    return sum;
  }
  std::size_t received_by(std::size_t client) {
    std::size_t sum = 0;
    ssize_t got = 0;
    while ((got = ::recv(clients_[client].fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT)) >
           0) {
      sum += static_cast<std::size_t>(got);
    }
    return sum;
  }

  /// One of the subscribers.
  Connection& last() const { return *last_; }

  Server server{{.host = "127.0.0.1"}};
  std::size_t silent = none;   ///< a client that does not read
  std::size_t ended = 0;       ///< connections
  std::error_code last_end{};  ///< of last()

 private:
  void turn() {
    if (joined_ < count_ || stopped_) return;
    if (++turns_ < 10) {
      received();
    } else if (!step_(*this)) {
      stopped_ = true;  // the Close frames may come before the end of the loop
      server.stop(std::chrono::nanoseconds(0));
    }
  }

  std::function<bool(OneThread&)> step_;
  const std::size_t count_;
  std::vector<RawClient> clients_{};
  std::array<char, 65'536> buffer_{};
  std::size_t joined_ = 0;
  Connection* last_ = nullptr;
  int turns_ = 0;
  bool stopped_ = false;
};

TEST(AllocTopics, ADeliveryToAnIdleSubscriberAllocatesNothing) {
  constexpr int rounds = 200;
  constexpr int warm = 20;
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{8000}}) {
    const SharedMessage message(std::string(size, 'x'));
    const std::size_t header = size < 126 ? 2 : 4;
    int round = 0;
    std::size_t before = 0;
    std::size_t bytes = 0;
    std::size_t live = 0;
    OneThread house([&](OneThread& all) {
      if (round == warm) {
        before = allocations;
        live = live_bytes;
        peak_bytes = live_bytes;
      }
      if (round > warm) bytes += all.received();
      if (round <= warm) all.received();
      if (round == warm + rounds) return false;
      EXPECT_EQ(all.server.publish("t", message).workers(), 1u);
      ++round;
      if (round == warm + rounds) {
        EXPECT_EQ(allocations - before, static_cast<std::size_t>(rounds)) << "one for each of them";
        EXPECT_LE(peak_bytes - live, std::size_t{4096});
      }
      return true;
    });
    EXPECT_EQ(bytes, rounds * subscribers * (size + header));
  }
}

TEST(AllocTopics, WithoutMemoryAPublicationReachesNoSubscriber) {
  int round = 0;
  std::size_t bytes = 0;
  OneThread house([&](OneThread& all) {
    bytes += all.received();
    if (++round > 20) return false;
    if (round % 2 == 0) {
      EXPECT_TRUE(all.server.publish("t", "ok"));
      return true;
    }
    // The message and its way to the worker need one allocation each.
    fails_at = allocations + static_cast<std::size_t>(round / 2 % 2);
    const PublishStatus status = all.server.publish("t", "lost");
    fails_at = none;
    EXPECT_EQ(status.value(), PublishStatus::full);
    return true;
  });
  EXPECT_EQ(bytes, 10 * subscribers * 4);
  EXPECT_EQ(faults, 10u);
}

TEST(AllocTopics, WithoutMemoryTheFirstSubscriptionStays) {
  int round = 0;
  std::size_t bytes = 0;
  OneThread house([&](OneThread& all) {
    bytes += all.received();
    if (++round > 10) return false;
    if (round > 1) return true;
    EXPECT_TRUE(all.server.publish("kept", "old"));
    EXPECT_TRUE(all.last().subscribe("kept"));
    fails_at = allocations;
    const auto again = all.last().subscribe("kept", {.from = From::last(1)});
    fails_at = none;
    EXPECT_EQ(again.error().code(), Errc::no_memory);
    EXPECT_EQ(all.server.subscribers("kept"), 1u);
    EXPECT_TRUE(all.server.publish("kept", "new"));
    return true;
  });
  EXPECT_EQ(bytes, 2u + 3u);
}

// A publication makes a topic, its message, its history and its way to a worker.
TEST(AllocTopics, EachAllocationOfAPublicationMayFail) {
  std::size_t n = 0;
  std::size_t failed = 0;
  OneThread house([&](OneThread& all) {
    all.received();
    const std::string name = "kept" + std::to_string(n);
    const bool is_new = n % 2 == 0;  // else the last one subscribes
    if (!is_new) {
      EXPECT_TRUE(all.last().subscribe(name));
    }
    const Counters before = all.server.counters();
    const std::size_t fired = faults;
    fails_at = allocations + n / 2;
    const PublishStatus status = all.server.publish(name, "x");
    fails_at = none;
    const Counters after = all.server.counters();
    ++n;
    if (faults == fired) {
      EXPECT_TRUE(status);
      return n % 2 == 1;  // both ways have run out of allocations
    }
    ++failed;
    EXPECT_EQ(status.value(), PublishStatus::full);
    EXPECT_EQ(after.topic_history_bytes, before.topic_history_bytes);
    EXPECT_EQ(after.topics, before.topics);
    EXPECT_EQ(after.topic_waiting, before.topic_waiting);
    EXPECT_EQ(after.topic_published, before.topic_published);
    return true;
  });
  EXPECT_GE(failed, 5u);
}

/// Publishes to a few subscribers, of which one does not read, until its queue has 600 KiB. The
/// n-th allocation of a turn fails between two publications, where only that one needs memory.
/// Returns whether an allocation failed. If so, that connection has ended, and no other.
bool fail_for_a_slow_subscriber(std::size_t n, bool with_history) {
  constexpr std::size_t few = 4;
  const std::string large(std::size_t{60} << 10, 'x');
  constexpr std::size_t header = 4;
  const std::size_t fired = faults;
  std::size_t published = 0;
  std::size_t bytes = 0;
  int turn = 0;
  bool done = false;
  OneThread house(
      [&](OneThread& all) {
        fails_at = none;
        if (turn++ == 0) {
          for (int i = 0; i < 40; ++i) EXPECT_TRUE(all.server.publish("large", large));
          all.last().send("you");
          return true;
        }
        for (std::size_t i = 0; i < few && all.silent == none; ++i) {
          if (all.received_by(i) > 0) all.silent = i;
        }
        if (all.silent == none) return true;
        bytes += all.received();
        if (done) return turn < 1000 && bytes < published * (few - 1) * (large.size() + header);
        done = faults > fired || all.last().queued_bytes() > (std::size_t{600} << 10);
        if (done) return true;
        if (published == 0 && with_history) {
          EXPECT_TRUE(all.last().subscribe("large", {.from = From::last(40)}));
        }
        EXPECT_TRUE(all.server.publish("t", large));
        ++published;
        if (with_history) {
          EXPECT_TRUE(all.server.publish("large", large));
        }
        fails_at = allocations + n;
        return true;
      },
      few);
  fails_at = none;
  EXPECT_EQ(bytes, published * (few - 1) * (large.size() + header)) << n;
  if (faults == fired) return false;
  EXPECT_EQ(house.last_end, Errc::no_memory) << n << ": " << house.last_end.message();
  return true;
}

TEST(AllocTopics, EachAllocationOfAVisitMayFail) {
  std::size_t n = 0;
  while (fail_for_a_slow_subscriber(n, false)) ++n;
  EXPECT_GE(n, 2u);
}

TEST(AllocTopics, EachAllocationOfABacklogMayFail) {
  std::size_t n = 0;
  while (fail_for_a_slow_subscriber(n, true)) ++n;
  EXPECT_GE(n, 3u);
}

// Each subscription waits for the end of the turn in which it begins. A thousand of them need room
// for that only once.
TEST(AllocTopics, SubscriptionsOfOneTurnLeaveNoRoomBehind) {
  constexpr int topics = 1000;
  const auto name = [](int i) { return "many" + std::to_string(i); };
  int round = 0;
  std::size_t before = 0;
  OneThread house([&](OneThread& all) {
    if (++round == 1) {
      before = live_bytes;
      for (int i = 0; i < topics; ++i) EXPECT_TRUE(all.last().subscribe(name(i)));
    }
    if (round == 3) {
      for (int i = 0; i < topics; ++i) EXPECT_TRUE(all.last().unsubscribe(name(i)));
      EXPECT_LE(live_bytes - before, std::size_t{72 << 10}) << "the list of subscriptions stays";
    }
    return round < 3;
  });
}

}  // namespace
}  // namespace tern::test
