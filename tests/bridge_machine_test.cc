// The states of a bridge's driver with a link and a clock of the test: subscriptions, order, what
// happens without a broker, waits between attempts, pings and probes.
#include "bridge/machine.h"
#include "support/bridge_sink.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tern::bridge {
namespace {

using namespace std::chrono_literals;

using test::join;
using Sink = test::RecordingSink;

// A broker that a test controls.
class FakeLink final : public Link {
 public:
  std::vector<std::string> calls{};
  std::function<void()> on_connect{};     // while it connects
  std::map<std::string, int> failures{};  // calls to fail, by name
  std::size_t server_count = 1;
  LinkEvents* events = nullptr;
  std::chrono::milliseconds waited{};
  std::function<void(std::chrono::milliseconds)> on_poll{};

  std::string take() { return join(std::exchange(calls, {})); }

  std::size_t servers() const noexcept override { return server_count; }
  std::string server_name(std::size_t server) const override {
    return "fake:" + std::to_string(server);
  }
  Result<void> connect(std::size_t server, LinkEvents& to) override {
    calls.push_back("connect " + std::to_string(server));
    if (on_connect) on_connect();
    events = &to;
    return result("connect");
  }
  Result<void> subscribe(std::span<const std::string_view> topics) override {
    std::vector<std::string> names(topics.begin(), topics.end());
    std::ranges::sort(names);
    std::string call = "subscribe";
    if (names.size() > 10) call += " " + std::to_string(names.size());
    for (const std::string& name : names.size() > 10 ? std::vector<std::string>() : names) {
      call += " " + name;
    }
    calls.push_back(call);
    return result("subscribe");
  }
  Result<void> unsubscribe(std::span<const std::string_view> topics) override {
    std::string call = "unsubscribe";
    for (const std::string_view topic : topics) call += " " + std::string(topic);
    calls.push_back(call);
    return result("unsubscribe");
  }
  Result<void> publish(std::string_view topic, const SharedMessage& message,
                       const Origin&) override {
    calls.push_back("publish " + std::string(topic) + " " + std::string(message.message().text()));
    return result("publish");
  }
  Result<void> history(std::string_view topic, Position, std::size_t count) override {
    calls.push_back("history " + std::string(topic) + " " + std::to_string(count));
    return result("history");
  }
  Result<void> flush() override { return result("flush"); }
  Result<void> ping() override {
    calls.push_back("ping");
    return result("ping");
  }
  Result<void> probe() override {
    calls.push_back("probe");
    return result("probe");
  }
  Result<void> poll(int, std::chrono::milliseconds timeout) override {
    waited = timeout;
    if (on_poll) on_poll(timeout);
    return result("poll");
  }
  void close() noexcept override {
    events = nullptr;
    calls.emplace_back("close");
  }

 private:
  Result<void> result(const std::string& name) {
    const auto found = failures.find(name);
    if (found == failures.end() || found->second == 0) return {};
    --found->second;
    return Error::described(Errc::closed, name + " failed");
  }
};

class BridgeMachine : public testing::Test {
 protected:
  void make() {
    machine_ =
        std::make_unique<Machine>(link_, queue_, counts_, sources_, sink_, bridge_, options_);
  }
  void want(const std::string& topic, bool wanted = true) {
    const auto kind = wanted ? Command::Kind::want : Command::Kind::unwant;
    queue_.push(std::make_unique<Command>(kind, topic));
  }
  PublishStatus publish(const std::string& topic, const std::string& text) {
    auto command = std::make_unique<Command>(Command::Kind::publish, topic);
    command->message.emplace(text);
    command->queued = now_;
    return queue_.publish(std::move(command));
  }
  // Steps until the next attempt, or once if it is up.
  TimePoint step() { return machine_->step(); }
  // A connection that is up, with these topics.
  void connect(const std::vector<std::string>& topics = {"t"}) {
    make();
    for (const std::string& topic : topics) want(topic);
    step();
    EXPECT_TRUE(machine_->is_up());
    link_.take();
    sink_.take();
  }
  void fail_next(const std::string& call, int times = 1) { link_.failures[call] = times; }
  void pass(std::chrono::nanoseconds time) { now_ += time; }

  TimePoint now_{1000s};
  std::uint64_t random_ = 0;
  BridgeOptions bridge_{};
  DriverOptions options_{};
  FakeLink link_{};
  Sink sink_{};
  Queue queue_{};
  MachineCounts counts_{};
  MachineSources sources_{[this] { return now_; }, [this] { return random_; }};
  std::unique_ptr<Machine> machine_{};
};

// ---- with a broker

TEST_F(BridgeMachine, SubscribesWhatIsWantedAndReportsNoGapAtTheStart) {
  make();
  want("a");
  want("b");
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe a b; ");
  EXPECT_EQ(sink_.take(), "state up fake:0; ");
}

TEST_F(BridgeMachine, KeepsTheOrderOfTheLoops) {
  connect({});
  publish("t", "1");
  want("t");
  publish("t", "2");
  publish("t", "3");
  want("t", false);
  publish("t", "4");
  step();
  EXPECT_EQ(link_.take(),
            "publish t 1; subscribe t; publish t 2; publish t 3; unsubscribe t; publish t 4; ");
  EXPECT_EQ(queue_.counts().waiting_bytes, 0u);
}

TEST_F(BridgeMachine, SubscribesInBatches) {
  std::vector<std::string> topics;
  for (int i = 0; i < 2500; ++i) topics.push_back("t" + std::to_string(i));
  make();
  for (const std::string& topic : topics) want(topic);
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe 1000; subscribe 1000; subscribe 500; ");
  fail_next("poll");
  step();
  link_.take();
  sink_.take();
  pass(1s);
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe 1000; subscribe 1000; subscribe 500; ");
  for (const std::string& topic : topics) want("x" + topic);
  step();
  EXPECT_EQ(link_.take(), "subscribe 1000; subscribe 1000; subscribe 500; ");
}

TEST_F(BridgeMachine, DeliversWhatTheLinkReports) {
  connect();
  link_.events->on_publication("t", Message("hello"), {.server = 7}, Position{1, 2});
  EXPECT_EQ(sink_.take(), "deliver t hello from 7 at 2; ");
  EXPECT_EQ(counts_.received.load(), 1u);
}

TEST_F(BridgeMachine, QuestionsHaveOneAnswerEach) {
  connect();
  auto ask = [&](const std::string& topic) {
    auto command = std::make_unique<Command>(Command::Kind::history, topic);
    command->count = 5;
    queue_.push(std::move(command));
  };
  ask("t");
  ask("u");
  step();
  EXPECT_EQ(link_.take(), "history t 5; history u 5; ");
  link_.events->on_history("t", {.known = true});
  link_.events->on_history("t", {.known = true});
  EXPECT_EQ(sink_.take(), "history t known; ");
  fail_next("poll");
  step();
  EXPECT_NE(sink_.take().find("history u unknown; "), std::string::npos);
  ask("v");
  step();
  EXPECT_EQ(sink_.take(), "history v unknown; ");
}

// ---- without a broker

TEST_F(BridgeMachine, ReportsAGapOnceForEachTopicAndOutage) {
  connect({"a", "b"});
  fail_next("poll");
  step();
  EXPECT_EQ(link_.take(), "close; ");
  EXPECT_EQ(sink_.take(), "state down fake:0: poll failed; ");
  want("c");
  want("a", false);
  fail_next("connect", 2);
  for (int i = 0; i < 3; ++i) {
    pass(20s);
    step();
  }
  const std::string events = sink_.take();
  for (const char* topic : {"gap b outage; ", "gap c outage; "}) {
    const auto first = events.find(topic);
    ASSERT_NE(first, std::string::npos) << events;
    EXPECT_EQ(events.find(topic, first + 1), std::string::npos) << events;
  }
  EXPECT_EQ(events.find("gap a"), std::string::npos);
  EXPECT_LT(events.find("state up"), events.find("gap"));
  step();
  EXPECT_EQ(sink_.take(), "");
}

TEST_F(BridgeMachine, AFailureAtTheStartIsAnOutageForWhoeverSubscribed) {
  make();
  want("t");
  fail_next("connect");
  step();
  EXPECT_EQ(sink_.take(), "state connecting fake:0: connect failed; ");
  pass(10s);
  step();
  EXPECT_EQ(sink_.take(), "state up fake:0; gap t outage; ");
}

TEST_F(BridgeMachine, PublicationsWaitAndFollowTheSubscriptions) {
  connect();
  fail_next("poll");
  step();
  link_.take();
  EXPECT_EQ(publish("t", "1").value(), PublishStatus::queued);
  want("u");
  EXPECT_EQ(publish("u", "2").value(), PublishStatus::queued);
  step();
  EXPECT_EQ(link_.take(), "");
  pass(200ms);
  step();
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe t u; publish t 1; publish u 2; ");
}

TEST_F(BridgeMachine, TheBytesThatWaitAreBounded) {
  bridge_.buffer_bytes = 1500;
  connect();
  fail_next("poll");
  step();
  int accepted = 0;
  while (publish("t", std::string(100, 'x'))) ++accepted;
  EXPECT_EQ(accepted, 4) << "the name and 256 bytes are added for each";
  EXPECT_EQ(publish("t", std::string(100, 'x')).value(), PublishStatus::bridge_down);
  step();
  EXPECT_EQ(publish("t", std::string(100, 'x')).value(), PublishStatus::bridge_down)
      << "what is taken from the queue still counts";
  EXPECT_EQ(queue_.counts().waiting_bytes, 4 * 357u);
  pass(200ms);
  step();
  step();
  EXPECT_EQ(queue_.counts().waiting_bytes, 0u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(publish("t", std::string(100, 'x')));
  EXPECT_EQ(publish("t", std::string(100, 'x')).value(), PublishStatus::full);
}

TEST_F(BridgeMachine, PublicationsWaitForFiveSecondsAtMost) {
  connect();
  fail_next("poll");
  fail_next("connect", 100);
  step();
  publish("t", "old");
  want("u");
  for (const TimePoint end = now_ + 4900ms; now_ < end;) now_ = std::min(step(), end);
  EXPECT_TRUE(publish("t", "newer"));
  pass(200ms);
  step();
  EXPECT_EQ(publish("t", "x").value(), PublishStatus::bridge_down);
  EXPECT_EQ(counts_.dropped_down.load(), 2u);
  EXPECT_EQ(queue_.counts().waiting_bytes, 0u);
  link_.failures.clear();
  link_.take();
  pass(6s);
  step();
  EXPECT_TRUE(publish("t", "new"));
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe t u; publish t new; ");
}

// The thread of the driver may wait in the link for longer than it should.
TEST_F(BridgeMachine, APublicationDoesNotWaitBehindALinkThatHangs) {
  connect();
  EXPECT_TRUE(publish("t", "1"));
  pass(6s);
  EXPECT_EQ(publish("t", "2").value(), PublishStatus::full);
  step();
  EXPECT_TRUE(publish("t", "3"));
}

TEST_F(BridgeMachine, WithoutABufferPublicationsFailAtOnce) {
  bridge_.while_down = WhileDown::fail;
  make();
  EXPECT_EQ(publish("t", "1").value(), PublishStatus::bridge_down);
  step();
  EXPECT_TRUE(publish("t", "2"));
  fail_next("poll");
  step();
  EXPECT_EQ(publish("t", "3").value(), PublishStatus::bridge_down);
}

TEST_F(BridgeMachine, AFailedPublicationIsNotSentTwice) {
  connect();
  publish("t", "1");
  publish("t", "2");
  fail_next("publish");
  step();
  EXPECT_EQ(link_.take(), "publish t 1; close; ");
  pass(200ms);
  step();
  step();
  EXPECT_EQ(link_.take(), "connect 0; subscribe t; publish t 2; ");
  EXPECT_EQ(counts_.dropped_down.load(), 1u);
  EXPECT_EQ(queue_.counts().waiting_bytes, 0u);
}

TEST_F(BridgeMachine, EachCallMayFail) {
  for (const char* call : {"subscribe", "flush", "poll", "unsubscribe", "history", "publish"}) {
    SCOPED_TRACE(call);
    connect({"a"});
    want("b");
    want("a", false);
    publish("b", "x");
    queue_.push(std::make_unique<Command>(Command::Kind::history, "b"));
    fail_next(call);
    step();
    EXPECT_FALSE(machine_->is_up());
    EXPECT_NE(link_.take().find("close; "), std::string::npos);
    pass(20s);
    step();
    EXPECT_TRUE(machine_->is_up());
    EXPECT_NE(link_.take().find("subscribe"), std::string::npos);
    link_.failures.clear();
  }
}

// ---- attempts

TEST_F(BridgeMachine, TheWaitsGrowToTheirBound) {
  bridge_.while_down = WhileDown::fail;
  for (const bool longest : {false, true}) {
    link_.failures["connect"] = 1000;
    random_ = 0;
    make();
    std::vector<std::chrono::nanoseconds> waits;
    for (int i = 0; i < 12; ++i) {
      // The range has 1 + 50 ms, 1 + 150 ms …; a multiple of it less 1 is the longest time.
      const auto most = std::min<std::chrono::nanoseconds>(100ms * (1 << i), 5s);
      random_ = longest ? static_cast<std::uint64_t>((most - 50ms).count()) : 0;
      const TimePoint next = step();
      waits.push_back(next - now_);
      EXPECT_EQ(waits.back(), longest ? most : 50ms) << i;
      now_ = next;
    }
    link_.failures.clear();
  }
}

TEST_F(BridgeMachine, EachAttemptIsForTheNextServer) {
  link_.server_count = 3;
  link_.failures["connect"] = 4;
  make();
  for (int i = 0; i < 5; ++i) {
    step();
    pass(20s);
  }
  EXPECT_EQ(link_.take(),
            "connect 0; close; connect 1; close; connect 2; close; connect 0; close; connect 1; ");
  fail_next("poll");
  step();
  pass(20s);
  step();
  EXPECT_EQ(link_.take(), "close; connect 2; ");
}

TEST_F(BridgeMachine, ALongConnectionForgetsTheFailuresBefore) {
  random_ = ~std::uint64_t{0};
  link_.failures["connect"] = 8;
  make();
  for (int i = 0; i < 9; ++i) {
    step();
    pass(20s);
  }
  ASSERT_TRUE(machine_->is_up());
  fail_next("poll");
  EXPECT_LE(step() - now_, 100ms);
}

// ---- a broker that is silent

TEST_F(BridgeMachine, AConnectionThatDoesNotAnswerIsLost) {
  connect();
  pass(5s);
  step();
  EXPECT_EQ(link_.take(), "ping; ");
  pass(4s);
  step();
  EXPECT_EQ(link_.take(), "");
  link_.events->on_alive();
  step();
  pass(5s);
  step();
  pass(5s);
  step();
  EXPECT_EQ(link_.take(), "ping; ping; probe; ");
  pass(5s);
  step();
  EXPECT_FALSE(machine_->is_up());
  EXPECT_EQ(link_.take(), "close; ");
}

TEST_F(BridgeMachine, AConnectionThatDeliversNothingIsLost) {
  link_.server_count = 2;
  connect();
  for (int i = 0; i < 3; ++i) {
    pass(5s);
    link_.events->on_alive();
    step();
  }
  EXPECT_EQ(link_.take(), "probe; ");
  pass(10ms);
  link_.events->on_probe();
  EXPECT_EQ(counts_.probe_microseconds.load(), 10'000u);
  step();
  for (int i = 0; i < 3; ++i) {
    pass(5s);
    link_.events->on_alive();
    step();
  }
  EXPECT_EQ(link_.take(), "probe; ");
  pass(5s);
  link_.events->on_alive();
  step();
  EXPECT_EQ(sink_.take(), "state down fake:0: a probe did not come back, so it delivers nothing; ");
  pass(1s);
  link_.take();
  step();
  EXPECT_EQ(link_.take(), "connect 1; subscribe t; ");
}

// The process may have stood still, or the machine slept.
TEST_F(BridgeMachine, ReadsBeforeItJudges) {
  connect();
  pass(5s);
  step();
  pass(100s);
  link_.on_poll = [&](std::chrono::milliseconds timeout) {
    EXPECT_EQ(timeout, 0ms);
    link_.events->on_publication("t", Message("x"), {}, {});
  };
  step();
  EXPECT_TRUE(machine_->is_up());
}

// ---- the end

TEST_F(BridgeMachine, TheEndSendsWhatWaits) {
  connect();
  publish("t", "last");
  machine_->finish(now_ + 1s);
  EXPECT_EQ(link_.take(), "publish t last; close; ");
  EXPECT_EQ(publish("t", "x").value(), PublishStatus::stopped);
  EXPECT_EQ(counts_.dropped_down.load(), 0u);
}

TEST_F(BridgeMachine, TheEndCountsWhatIsDropped) {
  make();
  publish("t", "no broker was there");
  machine_->finish(now_ + 1s);
  EXPECT_EQ(counts_.dropped_down.load(), 1u);
  EXPECT_EQ(queue_.counts().waiting_bytes, 0u);
}

}  // namespace
}  // namespace tern::bridge
