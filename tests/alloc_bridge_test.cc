// Bridges without memory: at any allocation that fails, nothing is lost silently, and a driver goes
// on when there is memory again.
#include "tern/testing.h"

#include "bridge/machine.h"
#include "support/counting_malloc.h"

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// Calls `step` with the n-th allocation failing, for each n, until none fails.
void with_each_fault(const std::function<void(std::function<void()> begin)>& step) {
  for (std::size_t n = 0; n < 1000; ++n) {
    SCOPED_TRACE(n);
    faults = 0;
    step([n] {
      fails_at = allocations + n;
      for_good = false;
    });
    fails_at = none;
    if (faults == 0) return;
  }
  ADD_FAILURE() << "there is always one more";
}

// ---- the driver

class QuietSink final : public BridgeSink {
 public:
  void deliver(std::string_view, Message, const Origin&,
               std::optional<Position>) noexcept override {}
  void history(std::string_view, const BridgeHistory&) noexcept override { ++answers; }
  void state(BridgeState, std::string_view) noexcept override {}
  void gap(std::string_view, GapCause) noexcept override { ++gaps; }
  void log(LogLevel, std::string_view) noexcept override {}
  int answers = 0;
  int gaps = 0;
};

class QuietLink final : public bridge::Link {
 public:
  std::size_t servers() const noexcept override { return 1; }
  std::string server_name(std::size_t) const override { return "a server with a long name"; }
  Result<void> connect(std::size_t, bridge::LinkEvents&) override {
    subscribed = 0;
    return {};
  }
  Result<void> subscribe(std::span<const std::string_view> topics) override {
    subscribed += topics.size();
    return {};
  }
  Result<void> unsubscribe(std::span<const std::string_view> topics) override {
    subscribed -= topics.size();
    return {};
  }
  Result<void> publish(std::string_view, const SharedMessage&, const Origin&) override {
    ++published;
    return {};
  }
  Result<void> flush() override { return {}; }
  Result<void> probe() override { return {}; }
  Result<void> poll(int, std::chrono::milliseconds) override { return {}; }
  void close() noexcept override { subscribed = 0; }
  std::size_t subscribed = 0;
  int published = 0;
};

TEST(AllocBridge, TheDriverGoesOn) {
  with_each_fault([](const std::function<void()>& begin) {
    using bridge::Command;
    bridge::TimePoint now(1000s);
    QuietLink link;
    QuietSink sink;
    bridge::Queue queue;
    bridge::MachineCounts counts;
    bridge::MachineSources sources{[&] { return now; }, [] { return std::uint64_t{0}; }};
    bridge::Machine machine(link, queue, counts, sources, sink, {}, {});
    const auto push = [&](Command::Kind kind, const std::string& topic) {
      auto command = std::make_unique<Command>(kind, topic);
      if (kind == Command::Kind::publish) command->message.emplace("x");
      command->queued = now;
      kind == Command::Kind::publish ? void(queue.publish(std::move(command)))
                                     : void(queue.push(std::move(command)));
    };
    for (int i = 0; i < 20; ++i)
      push(Command::Kind::want, "a topic with a long name " + std::to_string(i));
    push(Command::Kind::publish, "t");
    push(Command::Kind::history, "a topic with a long name 1");
    begin();
    machine.step();
    fails_at = none;
    for (int i = 0; i < 3; ++i) {
      now += 100ms;
      machine.step();
    }
    push(Command::Kind::unwant, "a topic with a long name 1");
    push(Command::Kind::want, "another topic with a long name");
    push(Command::Kind::want, "one more topic with a long name");
    push(Command::Kind::publish, "t");
    push(Command::Kind::history, "a topic with a long name 1");
    begin();
    machine.step();
    fails_at = none;
    for (int i = 0; i < 3; ++i) {
      now += 100ms;
      machine.step();
    }
    EXPECT_TRUE(machine.is_up());
    EXPECT_EQ(link.subscribed, 21u);
    EXPECT_EQ(link.published, 2);
    EXPECT_EQ(queue.counts().waiting_bytes, 0u);
  });
}

// ---- the server

class LentBridge final : public Bridge {
 public:
  explicit LentBridge(BridgeSink** sink, bool durable) : sink_(sink), durable_(durable) {}
  bool is_durable() const noexcept override { return durable_; }
  Result<void> attach(BridgeSink& sink, const BridgeOptions&) override {
    *sink_ = &sink;
    sink.state(BridgeState::up, "up");
    return {};
  }
  bool interest(std::string_view, bool) noexcept override { return true; }
  PublishStatus publish(std::string_view, const SharedMessage&, const Origin&) noexcept override {
    return PublishStatus::queued;
  }
  bool history(std::string_view, Position, std::size_t) noexcept override { return true; }
  void detach(std::chrono::nanoseconds) noexcept override {}

 private:
  BridgeSink** sink_;
  bool durable_;
};

TEST(AllocBridge, APublicationIsDeliveredOrTold) {
  for (const bool durable : {false, true}) {
    with_each_fault([durable](const std::function<void()>& begin) {
      TestServer bench;
      BridgeSink* sink = nullptr;
      std::size_t gaps = 0;
      bench.server().topics("*", {.history = 10});
      bench.server().bridge(LentBridge(&sink, durable));
      bench.server().route("/", Handlers{.on_open = [](Connection& conn) { conn.subscribe("t"); },
                                         .on_message = [](Connection&, Message) {}});
      bench.server().on_bridge_gap([&](std::string_view, GapCause) { ++gaps; });
      TestPeer peer = bench.connect("/");
      const auto at = [&](std::uint64_t offset) {
        return durable ? std::optional<Position>({7, offset}) : std::nullopt;
      };
      sink->deliver("t", "1", {}, at(1));
      begin();
      sink->deliver("t", "2", {}, at(2));
      if (durable) sink->deliver("t", "4", {}, at(4));  // a hole
      fails_at = none;
      const std::string text = "3";
      const BridgedPublication lost[] = {{Message(text), {}}, {Message("4"), {}}};
      begin();
      if (durable) sink->history("t", {.known = true, .last = {7, 4}, .publications = lost});
      sink->gap("t", GapCause::lost);
      fails_at = none;
      if (durable) sink->history("t", {});
      bench.run();
      std::size_t received = 0;
      for (const std::string& event : peer.take_all()) received += event.starts_with("text ");
      EXPECT_TRUE(gaps > 0 || received == 4) << received;
      EXPECT_GE(received, 1u);
    });
  }
}

// Memory is out for a while. A gap that the loop could not be told of is told with the next one.
TEST(AllocBridge, AGapIsToldWhenMemoryIsBack) {
  for (const std::string next : {"one", "two"}) {
    TestServer bench;
    BridgeSink* sink = nullptr;
    std::set<std::string> gaps;
    bench.server().bridge(LentBridge(&sink, false));
    bench.server().route("/", Handlers{.on_open =
                                           [](Connection& conn) {
                                             conn.subscribe("one");
                                             conn.subscribe("two");
                                           },
                                       .on_message = [](Connection&, Message) {}});
    bench.server().on_bridge_gap([&](std::string_view topic, GapCause) { gaps.emplace(topic); });
    const TestPeer peer = bench.connect("/");
    fails_at = allocations;
    for_good = true;
    sink->gap("one", GapCause::lost);
    fails_at = none;
    for_good = false;
    bench.run();
    EXPECT_TRUE(gaps.empty()) << "the call was lost";
    sink->gap(next, GapCause::lost);
    bench.run();
    EXPECT_EQ(gaps, (std::set<std::string>{"one", next}));
  }
}

// The subscriber waits for the answer, and nothing else would tell it.
TEST(AllocBridge, AnAnswerIsToldInTheEnd) {
  with_each_fault([](const std::function<void()>& begin) {
    TestServer bench;
    BridgeSink* sink = nullptr;
    bench.server().topics("*", {.history = 10});
    bench.server().bridge(LentBridge(&sink, true));
    bench.server().route(
        "/", Handlers{.on_open =
                          [](Connection& conn) {
                            conn.subscribe("t", {.from = {{7, 1}}});
                          },
                      .on_message = [](Connection&, Message) {},
                      .on_subscribed =
                          [](Connection& conn, std::string_view, const Subscribed& begun) {
                            conn.send(begun.recovered ? "all" : "some");
                          }});
    TestPeer peer = bench.connect("/");
    bench.run();
    const BridgedPublication missed[] = {{Message("2"), {}}};
    begin();
    sink->history("t", {.known = true, .last = {7, 2}, .publications = missed});
    fails_at = none;
    bench.run();
    bench.advance(std::chrono::milliseconds(100));
    std::vector<std::string> texts;
    for (const std::string& event : peer.take_all()) {
      if (event.starts_with("text ")) texts.push_back(event.substr(5));
    }
    ASSERT_FALSE(texts.empty());
    EXPECT_TRUE(texts.front() == "some" || texts == std::vector<std::string>({"all", "2"}))
        << texts.front() << ' ' << texts.size();
  });
}

}  // namespace
}  // namespace tern::test
