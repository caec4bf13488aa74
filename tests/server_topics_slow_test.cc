// Subscribers that do not read: they neither slow the others nor cost memory without a bound. The
// kernel decides how much a socket takes, so the tests publish more than it can take.
#include "tern/server.h"

#include "faults/support/memory.h"
#include "support/topic_server.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t large = std::size_t{64} << 10;
constexpr int many = 400;  // 25 MiB

std::string numbered(int number, std::size_t size = large) {
  std::string text = std::to_string(number) + ' ';
  text.resize(size, '.');
  return text;
}

int number_of(const std::string& text) { return std::stoi(text); }

void expect_numbers(TopicClient& client, int first, int last) {
  for (int i = first; i <= last; ++i) ASSERT_EQ(number_of(client.receive()), i);
}

// Publishes as fast as one subscriber receives.
void publish_many(Server& server, TopicClient& fast, const std::string& topic, int count) {
  for (int i = 1; i <= count; ++i) {
    ASSERT_TRUE(server.publish(topic, numbered(i)));
    ASSERT_EQ(number_of(fast.receive()), i);
  }
}

void keep_many(Server& server, const std::string& topic, int count) {
  for (int i = 1; i <= count; ++i) ASSERT_TRUE(server.publish(topic, numbered(i)));
}

/// A subscriber of "t" that did not read, and one that received all.
struct SlowAndFast : TopicServer {
  explicit SlowAndFast(const std::string& slow_begins, ServerOptions options = {})
      : TopicServer(std::move(options)), slow(start()), fast(server.port()) {
    slow.subscribe(slow_begins + " t");
    fast.subscribe("now t");
    publish_many(server, fast, "t", many);
  }

  TopicClient slow;
  TopicClient fast;
};

/// A server whose topic "t" has a history of `many` messages. That is more than the queue of a
/// connection may hold.
struct LongHistory : TopicServer {
  explicit LongHistory(Overflow overflow = Overflow::close) : TopicServer(small_queue(overflow)) {
    server.topics({.history = many, .history_bytes = std::size_t{64} << 20});
    port = start();
    keep_many(server, "t", many);
  }
  static ServerOptions small_queue(Overflow overflow) {
    ServerOptions options;
    options.limits.max_queued_bytes = std::size_t{400} << 10;
    options.limits.overflow = overflow;
    return options;
  }

  std::uint16_t port = 0;
};

TEST(ServerTopicsSlow, LatestGivesASlowSubscriberOnlyTheNewest) {
  SlowAndFast house("latest");
  TopicClient& slow = house.slow;
  int seen = 0;
  int received = 0;
  while (seen < many) {
    const int next = number_of(slow.receive());
    ASSERT_GT(next, seen);
    seen = next;
    ++received;
  }
  EXPECT_LT(received, many);
  const Counters counters = house.server.counters();
  EXPECT_EQ(counters.topic_conflated, static_cast<std::uint64_t>(many - received));
  EXPECT_EQ(counters.topic_skipped, 0u);
  house.server.publish("t", "it is fast again");
  EXPECT_EQ(slow.receive(), "it is fast again");
}

TEST(ServerTopicsSlow, ManyTopicsOfOneSlowSubscriberKeepTheirNewest) {
  TopicServer house;
  const std::uint16_t port = house.start();
  TopicClient slow(port);
  TopicClient fast(port);
  constexpr int topics = 20;
  for (int t = 0; t < topics; ++t) slow.subscribe("latest t" + std::to_string(t));
  for (int t = 0; t < topics; ++t) fast.subscribe("now t" + std::to_string(t));
  for (int i = 1; i <= many; ++i) {
    ASSERT_TRUE(house.server.publish("t" + std::to_string(i % topics), numbered(i)));
    expect_numbers(fast, i, i);
  }
  EXPECT_EQ(fast.ask("leave t3"), "left");
  std::vector<int> last(topics, 0);
  for (int left = topics; left > 0;) {
    const int next = number_of(slow.receive());
    int& seen = last[static_cast<std::size_t>(next % topics)];
    ASSERT_GT(next, seen);
    seen = next;
    if (next > many - topics) --left;
  }
}

// All topics are stale each time that the socket takes a message.
TEST(ServerTopicsSlow, HotTopicsOfOneSlowSubscriberTakeTurns) {
  constexpr std::size_t topics = 24;
  constexpr std::size_t size = std::size_t{512} << 10;  // all of them exceed the kernel's buffers
  TopicServer house;
  const std::uint16_t port = house.start();
  TopicClient slow(port);
  TopicClient fast(port);
  for (std::size_t t = 0; t < topics; ++t) slow.subscribe("latest t" + std::to_string(t));
  fast.subscribe("now tick");
  std::vector<int> seen(topics, 0);
  for (std::size_t round = 0; round < 4 * topics; ++round) {
    for (std::size_t t = 0; t < topics; ++t) {
      ASSERT_TRUE(
          house.server.publish("t" + std::to_string(t), numbered(static_cast<int>(t), size)));
    }
    ASSERT_TRUE(house.server.publish("tick", "x"));
    ASSERT_EQ(fast.receive(), "x");
    const int topic = number_of(slow.receive());
    if (round >= 2 * topics) ++seen[static_cast<std::size_t>(topic)];
  }
  for (std::size_t t = 0; t < topics; ++t) EXPECT_GT(seen[t], 0) << t;
}

TEST(ServerTopicsSlow, AStaleSubscriptionReceivesEveryoneAfterItAsksForThem) {
  SlowAndFast house("latest");
  TopicClient& slow = house.slow;
  TopicClient& fast = house.fast;
  fast.subscribe("now done");
  slow.send("now t");
  slow.send("shout done x");
  ASSERT_EQ(fast.receive(), "x") << "the server has the command";
  for (const std::string text : {"n0", "n1", "n2"}) {
    ASSERT_TRUE(house.server.publish("t", text));
    ASSERT_EQ(fast.receive(), text);
  }
  std::string next;
  int seen = 0;
  while ((next = slow.receive()).size() == large || next.starts_with("from")) {
    if (next.size() == large) seen = number_of(next);
  }
  EXPECT_EQ(seen, many) << "the newest value before the call";
  for (const std::string text : {"n0", "n1", "n2"}) {
    ASSERT_EQ(next, text);
    if (text != "n2") next = slow.receive();
  }
}

TEST(ServerTopicsSlow, ASlowSubscriberIsClosedAndTheOthersReceiveAll) {
  SlowAndFast house("now");
  TopicClient& slow = house.slow;
  std::string last = slow.receive();
  int seen = 0;
  while (last.size() == large) {
    ASSERT_EQ(number_of(last), ++seen);
    last = slow.receive();
  }
  EXPECT_LT(seen, many);
  EXPECT_EQ(static_cast<int>(slow.client().close_info().code), 1008);
}

TEST(ServerTopicsSlow, RejectReportsTheGap) {
  SlowAndFast house("now", {.limits = {.overflow = Overflow::reject}});
  TopicClient& slow = house.slow;
  int received = 0;
  int seen = 0;
  int lost = 0;
  slow.send("say end");
  for (std::string next; (next = slow.receive()) != "end";) {
    lost += number_of(next) - seen - 1;
    seen = number_of(next);
    ++received;
  }
  lost += many - seen;
  EXPECT_GT(lost, 0);
  EXPECT_EQ(house.gaps.take(), "t " + std::to_string(lost));
  EXPECT_EQ(house.server.counters().topic_skipped, static_cast<std::uint64_t>(lost));
  EXPECT_EQ(received + lost, many);
}

// Its on_gap publishes to its own topic, and sends: new gaps.
class Flooding {
 public:
  Flooding(std::atomic<int>& gaps, std::atomic<int>& most_of_a_turn, Server& server)
      : gaps_(gaps), most_(most_of_a_turn), server_(server) {}

  void on_message(Connection& conn, Message) {
    conn.subscribe("t").value();
    conn.send("subscribed");
  }
  void on_gap(Connection& conn, std::string_view, std::uint64_t) {
    const auto now = conn.loop().now().time_since_epoch();
    of_turn_ = now == turn_ ? of_turn_ + 1 : 1;
    turn_ = now;
    most_ = std::max(most_.load(), of_turn_);
    ++gaps_;
    for (int i = 0; i < 100; ++i) server_.publish("t", numbered(i));
    conn.send("gap");
  }

 private:
  std::atomic<int>& gaps_;
  std::atomic<int>& most_;
  Server& server_;
  Loop::Duration turn_{};
  int of_turn_ = 0;
};

TEST(ServerTopicsSlow, OnGapThatMakesNewGapsIsCalledOnceInATurn) {
  RunningServer house(
      {.limits = {.max_queued_bytes = std::size_t{400} << 10, .overflow = Overflow::reject}});
  std::atomic<int> gaps = 0;
  std::atomic<int> most = 0;
  house.server.route<Flooding>("/", std::ref(gaps), std::ref(most), std::ref(house.server));
  TopicClient client(house.start());
  EXPECT_EQ(client.ask("subscribe"), "subscribed");
  for (int i = 0; i < many; ++i) {
    while (!house.server.publish("t", numbered(i))) std::this_thread::yield();
  }
  while (gaps == 0) client.receive();
  std::promise<void> turned;  // the turn of on_gap is over
  ASSERT_TRUE(house.server.post_all([&] { turned.set_value(); }));
  turned.get_future().get();
  EXPECT_EQ(most, 1);
  house.stop(std::chrono::nanoseconds(0));
}

// It has paused: it reads no messages of its peer, and its subscriptions go on.
TEST(ServerTopicsSlow, APausedSubscriberReceivesAll) {
  RunningServer house;
  Inbox<Handle> handles;
  Inbox<int> ends;
  house.server.route("/", Handlers{.on_message =
                                       [&](Connection& conn, Message message) {
                                         conn.send(message);
                                         if (message.text() != "pause") return;
                                         conn.subscribe("t").value();
                                         conn.pause();
                                         handles.put(conn.handle());
                                       },
                                   .on_close =
                                       [&](Connection&, const CloseInfo& info) {
                                         ends.put(static_cast<int>(info.code));
                                       }});
  TopicClient client(house.start());
  EXPECT_EQ(client.ask("pause"), "pause");
  client.send("later");
  const Handle handle = handles.take().value();
  for (int i = 1; i <= 50; ++i) {
    ASSERT_TRUE(house.server.publish("t", numbered(i)));
    ASSERT_TRUE(house.server.publish("t", numbered(i, 10)));
    ASSERT_EQ(number_of(client.receive()), i);
    ASSERT_EQ(number_of(client.receive()), i);
  }
  ASSERT_TRUE(handle.post([](Connection& conn) { conn.resume(); }));
  EXPECT_EQ(client.receive(), "later");
  EXPECT_EQ(client.ask("pause"), "pause");
  client.client().terminate();
  while (house.server.subscribers("t") > 0) house.server.publish("t", "x");
  EXPECT_EQ(ends.take(), 1006);
  house.stop(std::chrono::nanoseconds(0));
  EXPECT_TRUE(ends.empty());
}

// A history that is larger than the queue goes out in parts, and what is published meanwhile
// follows.
TEST(ServerTopicsSlow, ALargeHistoryPassesASmallQueue) {
  LongHistory house;
  TopicClient client(house.port);
  EXPECT_EQ(client.subscribe("last " + std::to_string(many) + " t").offset,
            static_cast<std::uint64_t>(many));
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(house.server.publish("t", numbered(many + i)));
  expect_numbers(client, 1, many + 4);
  house.server.publish("t", "live");
  EXPECT_EQ(client.receive(), "live");
}

TEST(ServerTopicsSlow, ABacklogThatGrowsTooMuchEndsTheConnection) {
  LongHistory house;
  TopicClient client(house.port);
  TopicClient fast(house.port);
  fast.subscribe("now t");
  client.subscribe("last " + std::to_string(many) + " t");
  publish_many(house.server, fast, "t", 20);
  std::string last;
  do {
    last = client.receive();
  } while (last.size() == large);
  EXPECT_EQ(static_cast<int>(client.client().close_info().code), 1008) << last;
}

// The history forgets what the subscriber has not read, although the subscription began there.
TEST(ServerTopicsSlow, AHistoryIsNotKeptForASubscriberThatDoesNotRead) {
  LongHistory house(Overflow::reject);
  TopicClient slow(house.port);
  TopicClient fast(house.port);
  fast.subscribe("now t");
  fast.subscribe("now done");
  const std::size_t before = heap_in_use();
  slow.send("last " + std::to_string(many) + " t");
  slow.send("shout done x");
  ASSERT_EQ(fast.receive(), "x") << "the server has the command";
  for (int i = many + 1; i <= 2 * many; ++i) {
    ASSERT_TRUE(house.server.publish("t", numbered(i)));
    ASSERT_EQ(number_of(fast.receive()), i);
  }
  EXPECT_LE(heap_in_use(), before + (std::size_t{8} << 20)) << "a history has 25 MiB";
  EXPECT_TRUE(slow.receive().starts_with("from"));
  const auto skipped = [&] { return static_cast<int>(house.server.counters().topic_skipped); };
  int seen = 0;
  for (int received = 0; received + skipped() < 2 * many; ++received) {
    const int next = number_of(slow.receive());
    ASSERT_GT(next, seen);
    seen = next;
  }
  EXPECT_GT(skipped(), many) << "of the history as well";
  int reported = 0;
  while (reported < skipped()) reported += number_of(house.gaps.take().value().substr(2));
  EXPECT_EQ(reported, skipped());
}

TEST(ServerTopicsSlow, ASubscriberThatReadsLaterThanTheHistoryForgetsIsClosed) {
  LongHistory house;
  TopicClient slow(house.port);
  TopicClient fast(house.port);
  fast.subscribe("now done");
  slow.send("last " + std::to_string(many) + " t");
  slow.send("shout done x");
  ASSERT_EQ(fast.receive(), "x");
  // The subscriber itself receives none of these.
  const Topic topic = house.server.topic("t");
  for (int i = 0; i < many; ++i) ASSERT_EQ(topic.publish("new"), PublishStatus::queued);
  std::string last = slow.receive();
  EXPECT_TRUE(last.starts_with("from"));
  int seen = 0;
  while ((last = slow.receive()).size() == large) ASSERT_EQ(number_of(last), ++seen);
  EXPECT_LT(seen, many);
  EXPECT_EQ(static_cast<int>(slow.client().close_info().code), 1008) << last;
}

}  // namespace
}  // namespace tern::test
