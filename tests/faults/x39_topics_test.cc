// X39: topics at their limits. One of very many subscribers reads nothing; all connections are lost
// at once and come back while publishers go on; the inbox of one worker is full; the server stops
// in the middle of a fan-out.
//
// Pass: the others receive every publication in order, and the slow one is closed with
// peer_too_slow. After the storm each subscriber receives exactly what it missed. A publication
// that is refused reaches no subscriber of any worker, and all others reach everyone. At the stop
// each subscriber has the publications up to one of them, without a hole, and then Close 1001.
// CI has 100 subscribers; the full size is 1 000.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "support/topic_server.h"

#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// No deadline ends a subscriber, even on a slow machine.
constexpr Timeouts patient{.silence = 10min, .pong = 10min, .stall = 10min};

/// The publications are numbered by their offsets: "<offset> <text>".
std::string with_offset(const Publication& publication) {
  return std::to_string(publication.position.offset) + ' ' +
         std::string(publication.message.text());
}

/// A subscriber that counts what it receives.
class Reader {
 public:
  explicit Reader(std::uint16_t port) : port_(port) { connect(); }

  void connect() {
    client_ = std::make_unique<CrowdClient>(port_);
    client_->upgrade("/topics");
    answered_ = false;
  }
  void subscribe(const std::string& command) { client_->send(text(command)); }
  /// Takes the frames that have come: an answer "from …", then consecutive publications.
  void take() {
    for (const Frame& frame : client_->frames()) {
      if (frame.opcode == 8) {
        close_ = to_string(frame);
      } else if (frame.payload.starts_with("from ")) {
        EXPECT_FALSE(std::exchange(answered_, true));
        answer_ = frame.payload;
      } else {
        EXPECT_EQ(std::stoull(frame.payload), seen_ + 1) << answer_;
        ++seen_;
        EXPECT_EQ(close_, "");
      }
    }
  }
  std::uint64_t seen() const { return seen_; }
  bool answered() const { return answered_; }
  const std::string& answer() const { return answer_; }
  const std::string& close() const { return close_; }
  CrowdClient& client() { return *client_; }

 private:
  std::uint16_t port_;
  std::unique_ptr<CrowdClient> client_{};
  std::uint64_t seen_ = 0;
  bool answered_ = false;
  std::string answer_{};
  std::string close_{};
};

class Readers {
 public:
  Readers(std::uint16_t port, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<Reader>(port));
    subscribe_all("now t");
  }
  void subscribe_all(const std::string& command) {
    wait([](Reader& each) { return each.client().open(); });
    for (const auto& each : all) each->subscribe(command);
    wait([](Reader& each) { return each.answered(); });
  }
  /// Serves all until the condition holds for each of them.
  template <class Condition>
  void wait(Condition condition) {
    EXPECT_TRUE(eventually([&] {
      serve();
      return std::ranges::all_of(all, [&](const auto& each) { return condition(*each); });
    }));
  }
  void serve() {
    std::vector<pollfd> waits;
    for (const auto& each : all) {
      waits.push_back({each->client().fd(), each->client().interest(), 0});
    }
    ::poll(waits.data(), waits.size(), 10);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (waits[i].revents != 0) all[i]->client().on_ready(waits[i].revents);
      all[i]->take();
    }
  }

  std::vector<std::unique_ptr<Reader>> all{};
};

/// A server with the commands of TopicSession at /topics.
class TopicHouse : public Attacked {
 public:
  explicit TopicHouse(ServerOptions options, std::size_t history = 0)
      : Attacked(patiently(std::move(options))) {
    server.topics({.history = history, .format = with_offset});
    server.route<TopicSession>("/topics", std::ref(server), std::ref(gaps_));
    listening = false;
    start();
  }
  ~TopicHouse() { stop(1s); }  // because its sessions refer to gaps_

 private:
  static ServerOptions patiently(ServerOptions options) {
    options.timeouts = patient;
    return options;
  }
  Inbox<std::string> gaps_{};
};

void one_reads_nothing(std::size_t subscribers) {
  constexpr int publications = 400;
  const std::string payload(std::size_t{16} << 10, '.');
  TopicHouse house({.threads = 2});
  CrowdClient slow(house.port(), 4'096);
  slow.upgrade("/topics");
  EXPECT_TRUE(eventually([&] {
    slow.read();
    return slow.open();
  }));
  slow.send(text("now t"));
  Readers readers(house.port(), subscribers - 1);
  const Topic topic = house.server.topic("t");
  EXPECT_TRUE(eventually([&] { return topic.subscribers() == subscribers; }));
  for (int i = 1; i <= publications; ++i) {
    while (!topic.publish(payload)) readers.serve();
    const auto behind = static_cast<std::uint64_t>(std::max(0, i - 20));
    readers.wait([&](Reader& each) { return each.seen() >= behind; });
  }
  readers.wait([](Reader& each) { return each.seen() == publications; });
  const auto closed = [&] {
    for (const auto& [code, count] : house.server.counters().closes) {
      if (code == 1008) return count;
    }
    return std::uint64_t{0};
  };
  EXPECT_TRUE(eventually([&] { return closed() == 1; })) << "the fault did not fire";
  EXPECT_EQ(topic.subscribers(), subscribers - 1);
  EXPECT_EQ(clean_echoes(house.port()), 1'001u);
}

TEST(Faults, X39_OneOfManyReadsNothingAndTheOthersGetAll) { one_reads_nothing(100); }
TEST(FaultsLong, X39_OneOfAThousandReadsNothing) { one_reads_nothing(1'000); }

void reload_storm(std::size_t subscribers) {
  constexpr int rounds = 3;
  constexpr std::size_t publications = 3'000;
  TopicHouse house({.threads = 2}, publications);
  Readers readers(house.port(), subscribers);
  const Topic topic = house.server.topic("t");
  const std::string epoch = std::to_string(topic.position().epoch);
  std::atomic<std::uint64_t> allowed = 300;
  std::thread publisher([&] {
    for (std::uint64_t i = 0; i < publications;) {
      if (i < allowed && topic.publish("x")) ++i;
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t least = std::min<std::uint64_t>(allowed, readers.all.back()->seen() + 50);
    readers.wait([&](Reader& each) { return each.seen() >= least; });
    for (const auto& each : readers.all) each->client().reset();
    allowed += 600;  // they come while no subscriber, some or all are connected
    for (const auto& each : readers.all) each->connect();
    readers.wait([](Reader& each) { return each.client().open(); });
    for (const auto& each : readers.all) {
      each->subscribe("at " + epoch + ' ' + std::to_string(each->seen()) + " t");
    }
    readers.wait([](Reader& each) { return each.answered(); });
    for (const auto& each : readers.all) {
      EXPECT_NE(each->answer().find(" yes 0"), std::string::npos) << each->answer();
    }
  }
  allowed = publications;
  publisher.join();
  readers.wait([](Reader& each) { return each.seen() == publications; });
  EXPECT_EQ(house.server.counters().topic_recovered, rounds * subscribers);
  EXPECT_EQ(house.server.counters().topic_recover_failed, 0u);
  EXPECT_EQ(clean_echoes(house.port()), 1'001u);
}

TEST(Faults, X39_AReloadStormGivesEachWhatItMissed) { reload_storm(100); }
TEST(FaultsLong, X39_AReloadStormOfAThousand) { reload_storm(1'000); }

// The loop of one worker is blocked, and the others deliver.
TEST(Faults, X39_AFullInboxOfOneWorkerRefusesForAll) {
  TopicHouse house({.threads = 3, .topics = {.max_waiting = 100}});
  Readers readers(house.port(), 24);
  const Topic topic = house.server.topic("t");
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  for (int round = 0; round < 5; ++round) {
    Inbox<int> held;
    std::promise<void> opened;
    ASSERT_TRUE(house.server.post_all(
        [&, first = std::make_shared<std::atomic<bool>>(true), wait = opened.get_future().share()] {
          if (!first->exchange(false)) return;
          held.put(1);
          wait.wait();
        }));
    held.take();
    for (int i = 0; i < 300; ++i) topic.publish("x") ? ++accepted : ++refused;
    EXPECT_EQ(topic.position().offset, accepted) << "a refused one has no place";
    opened.set_value();
    readers.wait([&](Reader& each) { return each.seen() == accepted; });
  }
  EXPECT_GT(refused, 0u) << "the fault did not fire";
  EXPECT_GT(accepted, 0u);
  EXPECT_EQ(house.server.counters().topic_published_full, refused);
  readers.serve();
  for (const auto& each : readers.all) EXPECT_EQ(each->seen(), accepted);
  EXPECT_EQ(clean_echoes(house.port()), 1'001u);
}

void stop_in_the_middle(std::size_t subscribers) {
  TopicHouse house({.threads = 2, .topics = {.max_waiting = 500}});
  Readers readers(house.port(), subscribers);
  const Topic topic = house.server.topic("t");
  // The readers are slower than the server, so the publications are bounded: some before the stop,
  // and some at the same time.
  std::atomic<std::uint64_t> most = 1'000;
  std::atomic<bool> done = false;
  std::thread publisher([&] {
    for (std::uint64_t sent = 0; !done;) {
      if (sent < most && topic.publish("x")) {
        ++sent;
      } else {
        std::this_thread::yield();
      }
    }
  });
  readers.wait([](Reader& each) { return each.seen() >= 10; });
  most += 5'000;
  std::thread stopping([&] { house.stop(30s); });
  readers.wait([](Reader& each) { return !each.close().empty() || each.client().ended(); });
  done = true;
  stopping.join();
  publisher.join();
  for (const auto& each : readers.all) {
    EXPECT_EQ(each->close(), "close 1001");
    EXPECT_EQ(each->client().fault(), "");
    EXPECT_GE(each->seen(), 10u);
  }
  EXPECT_EQ(topic.subscribers(), 0u);
}

TEST(Faults, X39_AStopInTheMiddleOfAFanOutLeavesNoHole) { stop_in_the_middle(100); }
TEST(FaultsLong, X39_AStopInTheMiddleOfAFanOutToAThousand) { stop_in_the_middle(1'000); }

}  // namespace
}  // namespace tern::test
