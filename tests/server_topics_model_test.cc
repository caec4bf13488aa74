// Random calls on several workers and threads against a simple model: a subscriber receives exactly
// the publications between its calls, in the order of the topic. Each publication carries its
// offset, so a gap or a duplicate is seen at once.
#include "tern/server.h"

#include "support/topic_server.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

constexpr int topics = 3;
constexpr int steps = 400;  // of each reader
constexpr int publishers = 2;

std::string name_of(int topic) { return "t" + std::to_string(topic); }

// Messages are "topic offset text"; all else is an answer.
class Reader {
 public:
  explicit Reader(std::uint16_t port) : client_(port) {}

  /// Sends a command and returns its answer. Checks the publications before it.
  std::string ask(const std::string& command) {
    client_.send(command);
    return answer();
  }
  void subscribe(int topic, const std::string& how) {
    std::istringstream in(ask(how + " " + name_of(topic)));
    std::string from;
    std::string recovered;
    Position at;
    std::uint64_t missed = 0;
    in >> from >> at.epoch >> at.offset >> recovered >> missed;
    ASSERT_EQ(from, "from");
    auto& state = states_[topic];
    if (how.starts_with("at") && recovered == "yes") {
      // the publications behind the position are sent
    } else if (how.starts_with("last")) {
      state.seen = at.offset - std::min<std::uint64_t>(at.offset, 5 - missed);
    } else {
      state.seen = at.offset;
    }
    state.epoch = at.epoch;
    own_[topic].clear();  // a history has them, too
    state.subscribed = true;
  }
  void unsubscribe(int topic) {
    ASSERT_EQ(ask("leave " + name_of(topic)), "left");
    states_[topic].subscribed = false;
  }
  /// This client does not receive its own publication.
  void publish(int topic) {
    publishes_ = true;
    const std::string text = ask("tell " + name_of(topic) + " mine");
    publishes_ = false;
    const std::uint64_t offset = std::stoull(text.substr(text.find(' ')));
    if (states_[topic].holes.erase(offset) == 0) own_[topic].push_back(offset);
    EXPECT_TRUE(states_[topic].holes.empty());
  }
  void step(std::mt19937& random) {
    const int topic = static_cast<int>(random() % topics);
    const auto& state = states_[topic];
    if (state.subscribed) {
      switch (random() % 4) {
        case 0:
          return unsubscribe(topic);
        case 1:
          return publish(topic);
        default:
          ask("say hello");
          return;
      }
    }
    const bool was = state.epoch != 0;
    switch (random() % 3) {
      case 0:
        return subscribe(topic, "last 5");
      case 1:
        if (was) {
          return subscribe(topic,
                           "at " + std::to_string(state.epoch) + " " + std::to_string(state.seen));
        }
        [[fallthrough]];
      default:
        return subscribe(topic, "now");
    }
  }
  /// Receives until it has all up to `last` of the topics to which it is subscribed.
  void finish(const std::array<std::uint64_t, topics>& last) {
    for (int topic = 0; topic < topics; ++topic) {
      State& state = states_[topic];
      while (state.subscribed &&
             (skip_own(topic), state.seen < last[static_cast<std::size_t>(topic)])) {
        const std::string text = client_.receive();
        EXPECT_TRUE(take(text)) << text;  // else the connection has ended
        if (testing::Test::HasFailure()) return;
      }
    }
  }

 private:
  struct State {
    std::uint64_t seen = 0;
    std::uint64_t epoch = 0;
    bool subscribed = false;
    std::set<std::uint64_t> holes{};  // not received; must be its own
  };

  std::string answer() {
    for (;;) {
      std::string text = client_.receive();
      if (!take(text)) return text;
    }
  }
  void skip_own(int topic) {
    std::vector<std::uint64_t>& own = own_[topic];
    State& state = states_[topic];
    while (!own.empty() && own.front() <= state.seen + 1) {
      state.seen = std::max(state.seen, own.front());
      own.erase(own.begin());
    }
  }
  // Returns false if it is not a publication.
  bool take(const std::string& text) {
    std::istringstream in(text);
    std::string name;
    std::uint64_t offset = 0;
    if (!(in >> name >> offset) || name.size() != 2 || name[0] != 't') return false;
    const int topic = name[1] - '0';
    State& state = states_[topic];
    EXPECT_TRUE(state.subscribed) << text;
    if (offset != state.seen + 1) skip_own(topic);
    EXPECT_GT(offset, state.seen) << text;
    // Later ones may come before the answer that names its own.
    while (++state.seen < offset) {
      EXPECT_TRUE(publishes_) << text;
      state.holes.insert(state.seen);
    }
    return true;
  }

  TopicClient client_;
  std::map<int, State> states_{};
  std::map<int, std::vector<std::uint64_t>> own_{};
  bool publishes_ = false;
};

class ServerTopicsModel : public testing::TestWithParam<unsigned> {};

TEST_P(ServerTopicsModel, EachSubscriberReceivesExactlyWhatItAskedFor) {
  ServerOptions options;
  options.threads = GetParam();
  options.limits.max_queued_bytes = std::size_t{64} << 20;
  TopicServer house(options);
  house.server.topics({.history = 100, .format = [](const Publication& publication) {
                         return std::string(publication.topic) + " " +
                                std::to_string(publication.position.offset) + " " +
                                std::string(publication.message.text());
                       }});
  const std::uint16_t port = house.start();
  std::vector<Topic> kept;
  for (int t = 0; t < topics; ++t) kept.push_back(house.server.topic(name_of(t)));
  constexpr int most_published = 4000;  // by each publisher
  std::atomic<int> running = 5;         // readers
  std::vector<std::thread> threads;
  for (int p = 0; p < publishers; ++p) {
    threads.emplace_back([&, p] {
      std::mt19937 random(static_cast<unsigned>(p));
      const std::string text(2000, 'x');
      // All of them fit the queue of the reader that reads only at the end.
      for (int left = most_published; running > 0 && left > 0; --left) {
        const auto topic = random() % topics;
        while (kept[topic].publish(text) == PublishStatus::full) std::this_thread::yield();
        std::this_thread::yield();
      }
    });
  }
  constexpr int readers = 6;
  std::vector<std::unique_ptr<Reader>> made;
  for (int r = 0; r < readers; ++r) made.push_back(std::make_unique<Reader>(port));
  std::vector<std::thread> clients;
  for (int r = 0; r < readers; ++r) {
    clients.emplace_back([&, r] {
      std::mt19937 random(static_cast<unsigned>(100 + r));
      Reader& reader = *made[static_cast<std::size_t>(r)];
      if (r == 0) {  // it reads only at the end
        for (int t = 0; t < topics; ++t) reader.subscribe(t, "now");
        while (running > 0) std::this_thread::yield();
        return;
      }
      for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
        reader.step(random);
        if (random() % 50 == 0) {  // a connection that ends in between
          Reader gone(port);
          gone.subscribe(static_cast<int>(random() % topics), "last 5");
        }
      }
      --running;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::thread& thread : clients) thread.join();
  std::array<std::uint64_t, topics> last{};
  for (std::size_t t = 0; t < topics; ++t) last[t] = kept[t].position().offset;
  for (auto& reader : made) reader->finish(last);
}

INSTANTIATE_TEST_SUITE_P(Workers, ServerTopicsModel, testing::Values(1u, 2u, 4u));

// Two publishers on two loops: the last value is the same for everyone, in every round.
TEST(ServerTopicsRetained, AllWorkersAgreeOnTheLastValue) {
  ServerOptions options;
  options.threads = 4;
  TopicServer house(options);
  house.server.topics({.history = 1});
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(port).subscribe("now t");
  for (int round = 0; round < 500; ++round) {
    clients[0].send("publish t a" + std::to_string(round));
    clients[1].send("publish t b" + std::to_string(round));
    std::string last;
    for (std::size_t i = 2; i < clients.size(); ++i) {
      clients[i].receive();
      const std::string second = clients[i].receive();
      if (i == 2) last = second;
      ASSERT_EQ(second, last) << round;
    }
    ASSERT_EQ(clients[0].receive(), "b" + std::to_string(round));
    ASSERT_EQ(clients[1].receive(), "a" + std::to_string(round));
    TopicClient late(port);
    late.subscribe("retained t");
    ASSERT_EQ(late.receive(), last) << round;
  }
}

}  // namespace
}  // namespace tern::test
