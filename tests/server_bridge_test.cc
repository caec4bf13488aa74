// Bridged topics: several servers on a broker of the test, which delivers when the test says so.
// Order, echoes, interest, gaps and their policies, and the history of a broker that numbers.
#include "tern/bridge.h"
#include "tern/testing.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

class FakeBridge;

// A broker in the memory of the test. It delivers in run().
struct Broker {
  struct Entry {
    std::string topic;
    std::string payload;
    MessageType type = MessageType::text;
    Origin origin{};
    std::uint64_t offset = 0;
  };

  bool durable = false;
  bool up = true;
  std::uint64_t epoch = 77;
  std::map<std::string, std::vector<Entry>> history{};
  std::deque<Entry> queue{};
  std::vector<FakeBridge*> bridges{};
  std::vector<std::string> calls{};
  bool loses = false;  // no publication is delivered
  std::size_t kept = 100;

  void publish(std::string topic, std::string payload, MessageType type = MessageType::text,
               Origin origin = {}) {
    Entry entry{std::move(topic), std::move(payload), type, origin};
    auto& all = history[entry.topic];
    entry.offset = all.size() + 1;
    all.push_back(entry);
    if (!loses) queue.push_back(std::move(entry));
  }
  std::string take_calls() {
    std::string all;
    for (const std::string& call : std::exchange(calls, {})) all += call + "; ";
    return all;
  }
  void run();
  void fail();
  void recover();
};

class FakeBridge final : public Bridge {
 public:
  explicit FakeBridge(Broker& broker) : broker_(&broker) {}

  bool is_durable() const noexcept override { return broker_->durable; }
  Result<void> attach(BridgeSink& sink, const BridgeOptions&) override {
    sink_ = &sink;
    broker_->bridges.push_back(this);
    if (broker_->up) sink.state(BridgeState::up, "fake");
    return {};
  }
  bool interest(std::string_view topic, bool wanted) noexcept override {
    broker_->calls.push_back((wanted ? "want " : "unwant ") + std::string(topic));
    wanted ? void(wanted_.insert(std::string(topic))) : void(wanted_.erase(std::string(topic)));
    return true;
  }
  PublishStatus publish(std::string_view topic, const SharedMessage& message,
                        const Origin& origin) noexcept override {
    if (!broker_->up) return PublishStatus::bridge_down;
    broker_->publish(std::string(topic), std::string(message.message().text()),
                     message.message().type(), origin);
    return PublishStatus::queued;
  }
  bool history(std::string_view topic, Position after, std::size_t count) noexcept override {
    broker_->calls.push_back("history " + std::string(topic) + " " +
                             std::to_string(after.epoch == 0 ? 0 : after.offset) + " " +
                             std::to_string(std::min<std::size_t>(count, 1024)));
    questions_.push_back({std::string(topic), after, count});
    return true;
  }
  void detach(std::chrono::nanoseconds) noexcept override {
    std::erase(broker_->bridges, this);
    sink_ = nullptr;
  }

  void deliver(const Broker::Entry& entry) {
    if (!wanted_.contains(entry.topic)) return;
    std::optional<Position> at;
    if (broker_->durable) at = Position{broker_->epoch, entry.offset};
    sink_->deliver(entry.topic, Message(entry.type, entry.payload), entry.origin, at);
  }
  bool answer_all() {
    const bool some = !questions_.empty();
    while (!questions_.empty()) {
      const Question question = questions_.front();
      questions_.pop_front();
      if (!broker_->up) {
        sink_->history(question.topic, {});
        continue;
      }
      const auto& all = broker_->history[question.topic];
      const bool same = question.after.epoch == broker_->epoch;
      std::vector<BridgedPublication> found;
      for (const Broker::Entry& each : all) {
        if (same && each.offset <= question.after.offset) continue;
        if (each.offset + std::min(question.count, broker_->kept) <= all.size()) continue;
        found.push_back({Message(each.type, each.payload), each.origin});
      }
      sink_->history(question.topic,
                     {.known = true, .last = {broker_->epoch, all.size()}, .publications = found});
    }
    return some;
  }
  void lose() { sink_->state(BridgeState::down, "killed"); }
  void recover() {
    sink_->state(BridgeState::up, "fake");
    for (const std::string& topic : wanted_) sink_->gap(topic, GapCause::outage);
  }
  BridgeSink& sink() { return *sink_; }

 private:
  struct Question {
    std::string topic;
    Position after;
    std::size_t count;
  };
  Broker* broker_;
  BridgeSink* sink_ = nullptr;
  std::set<std::string> wanted_{};
  std::deque<Question> questions_{};
};

void Broker::run() {
  for (bool more = true; more;) {
    more = false;
    while (!queue.empty()) {
      const Entry entry = std::move(queue.front());
      queue.pop_front();
      for (FakeBridge* bridge : bridges) bridge->deliver(entry);
    }
    for (FakeBridge* bridge : bridges) more = bridge->answer_all() || more;
  }
}
void Broker::fail() {
  up = false;
  for (FakeBridge* bridge : bridges) bridge->lose();
}
void Broker::recover() {
  up = true;
  for (FakeBridge* bridge : bridges) bridge->recover();
}

// "sub T", "last N T", "at E O T", "leave T", "pub T text", "shout T text".
struct Session {
  Server& server;
  explicit Session(Server& of) : server(of) {}

  void on_message(Connection& conn, Message message) {
    std::istringstream in{std::string(message.text())};
    std::string word;
    std::string topic;
    SubscribeOptions options;
    in >> word;
    if (word == "last") {
      std::size_t count = 0;
      in >> count;
      options.from = From::last(count);
    }
    if (word == "at") {
      Position at;
      in >> at.epoch >> at.offset;
      options.from = at;
    }
    in >> topic;
    std::string text;
    std::getline(in >> std::ws, text);
    if (word == "leave") {
      conn.unsubscribe(topic);
    } else if (word == "pub") {
      conn.send("published " + std::string(publish_status_name(conn.publish(topic, text))));
    } else if (word == "shout") {
      server.publish(topic, text);
    } else {
      const SubscribeResult done = conn.subscribe(topic, options);
      if (!done) return void(conn.send(done.error().message()));
      conn.send(done->pending ? "pending" : done->recovered ? "yes" : "no");
    }
  }
  void on_gap(Connection& conn, std::string_view topic, std::uint64_t missed) {
    conn.send("gap " + std::string(topic) + " " + std::to_string(missed));
  }
};

// A server on a broker.
class House {
 public:
  explicit House(Broker& broker, BridgeOptions options = {}, std::size_t history = 0,
                 ServerOptions server = {})
      : broker_(broker), bench_(std::make_unique<TestServer>(with_log(std::move(server)))) {
    Server& s = bench_->server();
    s.route<Session>("/", std::ref(s));
    if (history > 0) s.topics("*", {.history = history});
    s.bridge(FakeBridge(broker), std::move(options));
    s.on_bridge_gap([this](std::string_view topic, GapCause cause) {
      gaps.push_back(std::string(topic) + " " + std::string(gap_cause_name(cause)));
    });
  }
  ~House() { bench_.reset(); }

  Server& server() { return bench_->server(); }
  TestServer& bench() { return *bench_; }
  TestPeer connect() { return bench_->connect("/"); }
  void run() {
    broker_.run();
    bench_->run();
  }
  BridgeCounters counters() { return server().counters().bridges.at(0); }

  std::vector<std::string> gaps{};
  std::vector<std::string> lines{};

 private:
  ServerOptions with_log(ServerOptions options) {
    options.log = [this](const LogRecord& record) { lines.emplace_back(record.message); };
    return options;
  }
  Broker& broker_;
  std::unique_ptr<TestServer> bench_;
};

std::string all_of(TestPeer& peer) {
  std::string all;
  for (const std::string& each : peer.take_all()) {
    all += (each.starts_with("text ") ? each.substr(5) : each) + "; ";
  }
  return all;
}

TestPeer subscriber(House& house, const std::string& command = "sub t") {
  TestPeer peer = house.connect();
  peer.send(command);
  house.run();
  return peer;
}

// ---- the order of the broker

TEST(ServerBridge, APublicationReachesTheSubscribersOfAllServersOnce) {
  Broker broker;
  House a(broker);
  House b(broker);
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  TestPeer other = subscriber(b, "sub u");
  const PublishStatus status = a.server().publish("t", "hello");
  EXPECT_EQ(status.value(), PublishStatus::queued);
  EXPECT_EQ(status.workers(), 0u);
  EXPECT_EQ(status.position().offset, 0u);
  EXPECT_EQ(all_of(one), "yes; ") << "it comes from the broker";
  broker.run();
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "hello; ");
  EXPECT_EQ(all_of(two), "yes; hello; ");
  EXPECT_EQ(all_of(other), "yes; ");
}

TEST(ServerBridge, AllServersHaveTheOrderOfTheBroker) {
  Broker broker;
  House a(broker);
  House b(broker);
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  for (int i = 0; i < 100; ++i) (i % 2 == 0 ? a : b).server().publish("t", std::to_string(i));
  broker.run();
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), all_of(two));
  Topic topic = a.server().topic("t");
  EXPECT_EQ(topic.publish("handle").value(), PublishStatus::queued);
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "handle; ");
  EXPECT_EQ(all_of(two), "handle; ");
}

TEST(ServerBridge, AConnectionDoesNotReceiveWhatItPublished) {
  Broker broker;
  House a(broker);
  House b(broker);
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(a);
  TestPeer three = subscriber(b);  // it has the slot of `one`, on another server
  one.send("pub t mine");
  broker.run();
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "yes; published queued; ");
  EXPECT_EQ(all_of(two), "yes; mine; ");
  EXPECT_EQ(all_of(three), "yes; mine; ");
  one.send("shout t all");
  broker.run();
  a.run();
  EXPECT_EQ(all_of(one), "all; ");
}

// The slot has another generation.
TEST(ServerBridge, TheConnectionAfterThePublisherReceivesIt) {
  Broker broker;
  House a(broker);
  {
    TestPeer one = subscriber(a);
    one.send("pub t mine");
    one.drop();
  }
  TestPeer next = a.connect();
  next.send("sub t");
  a.run();
  EXPECT_EQ(all_of(next), "yes; mine; ");
}

TEST(ServerBridge, AProgramThatSendsNoTextIsHeard) {
  Broker broker;
  House a(broker);
  TestPeer one = subscriber(a);
  broker.publish("t", "plain");
  broker.publish("t", "\xFF\x01", MessageType::text);
  broker.publish("u", "not wanted");
  a.run();
  EXPECT_EQ(all_of(one), "yes; plain; binary \xFF\x01; ");
}

TEST(ServerBridge, RefusesWhatALocalTopicRefuses) {
  Broker broker;
  ServerOptions options;
  options.limits.max_message_bytes = 10;
  House a(broker, {}, 0, options);
  a.run();
  EXPECT_EQ(a.server().publish("t", "\xFF").value(), PublishStatus::not_utf8);
  EXPECT_EQ(a.server().publish("t", "12345678901").value(), PublishStatus::too_big);
  EXPECT_EQ(a.server().publish("", "x").value(), PublishStatus::name_invalid);
  EXPECT_TRUE(broker.queue.empty());
  TestPeer one = subscriber(a);
  broker.publish("t", "12345678901");
  a.run();
  EXPECT_EQ(all_of(one), "yes; gap t 0; ");
}

TEST(ServerBridge, ThePatternChoosesTheBridge) {
  Broker broker;
  Broker rooms;
  House a(broker, {.topics = "a*"});
  a.server().bridge(std::make_unique<FakeBridge>(rooms), {.topics = "ab*"});
  TestPeer one = subscriber(a, "sub ax");
  one.send("sub abx");
  one.send("sub local");
  for (const char* topic : {"ax", "abx", "local"}) a.server().publish(topic, topic);
  EXPECT_EQ(broker.queue.size(), 1u);
  EXPECT_EQ(rooms.queue.size(), 1u);
  EXPECT_EQ(all_of(one), "yes; yes; yes; local; ");
  rooms.run();
  a.run();
  EXPECT_EQ(all_of(one), "abx; ax; ");
  EXPECT_EQ(a.server().bridges().size(), 2u);
}

TEST(ServerBridge, OptionsThatCannotWorkAreErrorsOfListen) {
  struct Case {
    BridgeOptions options;
    bool durable;
    std::string_view why;
  };
  const Case cases[] = {
      {{.topics = "a*b"}, false, "'*' may only end"},
      {{.topics = "h*", .order = Order::local_first}, false, "topics with a history"},
      {{.topics = "*", .order = Order::local_first}, false, "topics with a history"},
      {{.topics = "x", .order = Order::local_first}, true, "a durable bridge"},
      {{.topics = "x", .while_down = WhileDown::local}, true, "a durable bridge"},
      {{.linger = -1s}, false, "a time is negative"},
      {{.topics = "twice"}, false, "there are two"},
      {{.topics = "x", .order = Order::local_first}, false, ""},
  };
  for (const Case& each : cases) {
    Broker broker;
    broker.durable = each.durable;
    Server server(ServerOptions{.host = "127.0.0.1"});
    server.topics("hot", {.history = 1});
    server.bridge(FakeBridge(broker), {.topics = "twice"});
    if (each.why != "there are two" || true) server.bridge(FakeBridge(broker), each.options);
    const Result<void> listening = server.listen();
    if (each.why.empty()) {
      EXPECT_TRUE(listening);
      continue;
    }
    ASSERT_FALSE(listening) << each.why;
    EXPECT_NE(listening.error().message().find(each.why), std::string::npos)
        << listening.error().message();
  }
}

// ---- local first

TEST(ServerBridge, LocalFirstDeliversAtOnceAndDropsTheEcho) {
  Broker broker;
  House a(broker, {.order = Order::local_first});
  House b(broker, {.order = Order::local_first});
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  EXPECT_EQ(a.server().publish("t", "x").workers(), 1u);
  EXPECT_EQ(all_of(one), "yes; x; ");
  broker.run();
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "");
  EXPECT_EQ(all_of(two), "yes; x; ");
  EXPECT_EQ(a.counters().echoes, 1u);
  broker.fail();
  const PublishStatus down = a.server().publish("t", "y");
  EXPECT_EQ(down.value(), PublishStatus::bridge_down);
  EXPECT_EQ(down.workers(), 1u);
  EXPECT_EQ(all_of(one), "y; ");
}

// ---- interest

TEST(ServerBridge, TheInterestLingers) {
  Broker broker;
  House a(broker, {.linger = 5s});
  TestPeer one = subscriber(a);
  EXPECT_EQ(broker.take_calls(), "want t; ");
  TestPeer two = subscriber(a);
  one.send("leave t");
  a.bench().advance(60s);
  EXPECT_EQ(broker.take_calls(), "");
  two.drop();
  a.bench().advance(4900ms);
  one.send("sub t");
  a.bench().advance(60s);
  EXPECT_EQ(broker.take_calls(), "") << "it came back in time";
  one.send("leave t");
  a.bench().advance(4900ms);
  EXPECT_EQ(broker.take_calls(), "");
  a.bench().advance(200ms);
  EXPECT_EQ(broker.take_calls(), "unwant t; ");
  one.send("sub t");
  a.run();
  EXPECT_EQ(broker.take_calls(), "want t; ");
  EXPECT_EQ(a.server().counters().topics, 1u);
}

TEST(ServerBridge, TenThousandChangesOfInterestAreOneCommand) {
  Broker broker;
  House a(broker);
  TestPeer one = subscriber(a);
  for (int i = 0; i < 10'000; ++i) {
    one.send("leave t");
    one.send("sub t");
  }
  a.bench().advance(6s);
  EXPECT_EQ(broker.take_calls(), "want t; ");
  one.drop();
  a.bench().advance(6s);
  EXPECT_EQ(broker.take_calls(), "unwant t; ");
  EXPECT_EQ(a.server().counters().topics, 0u);
}

// A subscriber that comes later must not receive a value that is older than others.
TEST(ServerBridge, AHistoryEndsWithTheInterest) {
  Broker broker;
  House a(broker, {}, 5);
  TestPeer one = subscriber(a);
  a.server().publish("t", "old");
  a.run();
  TestPeer two = subscriber(a, "last 1 t");
  EXPECT_EQ(all_of(two), "yes; old; ");
  Topic kept = a.server().topic("t");
  const Position before = kept.position();
  one.drop();
  two.drop();
  a.bench().advance(6s);
  TestPeer three = subscriber(a, "last 1 t");
  EXPECT_EQ(all_of(three), "yes; ");
  TestPeer four = subscriber(
      a, "at " + std::to_string(before.epoch) + " " + std::to_string(before.offset) + " t");
  EXPECT_EQ(all_of(four), "no; ");
}

// ---- without a broker, and gaps

TEST(ServerBridge, TellsAGapOnceForEachTopicAndOutage) {
  Broker broker;
  House a(broker, {}, 5);
  TestPeer one = subscriber(a, "sub t");
  TestPeer two = subscriber(a, "sub t");
  TestPeer other = subscriber(a, "sub u");
  broker.publish("t", "1");
  a.run();
  const Position before = a.server().topic("t").position();
  broker.fail();
  a.run();
  EXPECT_EQ(a.server().publish("t", "x").value(), PublishStatus::bridge_down);
  EXPECT_EQ(a.server().bridges().at(0).state, BridgeState::down);
  EXPECT_EQ(a.server().bridges().at(0).why, "killed");
  EXPECT_TRUE(a.gaps.empty());
  broker.recover();
  a.run();
  std::ranges::sort(a.gaps);
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t outage", "u outage"}));
  EXPECT_EQ(all_of(one), "yes; 1; gap t 0; ");
  EXPECT_EQ(all_of(two), "yes; 1; gap t 0; ");
  EXPECT_EQ(all_of(other), "yes; gap u 0; ");
  TestPeer late = subscriber(
      a, "at " + std::to_string(before.epoch) + " " + std::to_string(before.offset) + " t");
  EXPECT_EQ(all_of(late), "no; ") << "what was published meanwhile is not in the history";
  EXPECT_EQ(a.counters().gaps, 2u);
  broker.fail();
  broker.recover();
  a.run();
  EXPECT_EQ(all_of(one), "gap t 0; ");
  EXPECT_EQ(a.gaps.size(), 4u);
}

TEST(ServerBridge, WhileDownLocalReachesThisServer) {
  Broker broker;
  House a(broker, {.while_down = WhileDown::local});
  House b(broker, {.while_down = WhileDown::local});
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  broker.fail();
  EXPECT_EQ(a.server().publish("t", "x").workers(), 1u);
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "yes; x; ");
  EXPECT_EQ(all_of(two), "yes; ");
}

TEST(ServerBridge, AfterAGapTheRetainedValueComesAgain) {
  Broker broker;
  House a(broker, {.on_gap = GapPolicy::retained}, 3);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  broker.publish("t", "2");
  a.run();
  broker.fail();
  broker.recover();
  broker.publish("t", "3");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; gap t 0; 3; ");
  broker.fail();
  broker.recover();
  a.bench().run();
  EXPECT_EQ(all_of(one), "gap t 0; 3; ");
}

TEST(ServerBridge, AfterAGapConnectionsAreClosedOverTheSpread) {
  Broker broker;
  House a(broker, {.on_gap = GapPolicy::close, .gap_spread = 5s});
  std::vector<TestPeer> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(subscriber(a));
  TestPeer other = subscriber(a, "sub u");
  a.bench().run();
  broker.up = true;
  broker.bridges.at(0)->sink().gap("t", GapCause::lost);
  a.run();
  a.bench().advance(2500ms);
  const auto closed = [&] {
    return std::ranges::count_if(peers, [](TestPeer& peer) {
      return all_of(peer).find("close 1012") != std::string::npos || peer.ended();
    });
  };
  const auto half = closed();
  EXPECT_GT(half, 0);
  EXPECT_LT(half, 20);
  a.bench().advance(2500ms);
  EXPECT_EQ(half + closed() - half, 20);
  EXPECT_EQ(all_of(other), "yes; ");
}

TEST(ServerBridge, AFloodBeyondTheInboxIsAGap) {
  Broker broker;
  ServerOptions options;
  options.topics.max_waiting = 10;
  House a(broker, {}, 0, options);
  TestPeer one = subscriber(a);
  for (int i = 0; i < 100; ++i) broker.publish("t", std::to_string(i));
  broker.run();
  a.bench().run();
  const BridgeCounters counters = a.counters();
  EXPECT_GT(counters.dropped_full, 0u);
  EXPECT_EQ(counters.dropped_full + counters.delivered, 100u);
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t too_slow"}));
  const std::string received = all_of(one);
  EXPECT_EQ(received.find("gap t 0; "), received.rfind("gap t 0; "));
  EXPECT_NE(received.find("gap t 0; "), std::string::npos) << received;
}

// ---- a broker that numbers

std::string at(const Broker& broker, std::uint64_t offset, const std::string& topic = "t") {
  return "at " + std::to_string(broker.epoch) + " " + std::to_string(offset) + " " + topic;
}

TEST(ServerBridge, TheTopicHasThePositionOfTheBroker) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  for (int i = 1; i <= 5; ++i) broker.publish("t", std::to_string(i));
  a.run();
  TestPeer one = subscriber(a);
  broker.publish("t", "6");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 6; ");
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 6}));
  TestPeer two = subscriber(a, at(broker, 5));
  EXPECT_EQ(all_of(two), "yes; 6; ") << "from the own history";
  EXPECT_EQ(a.counters().histories, 0u);
}

TEST(ServerBridge, ASubscriberRecoversOnAnotherServer) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  {
    TestPeer one = subscriber(a);
    for (int i = 1; i <= 5; ++i) a.server().publish("t", std::to_string(i));
    a.run();
    EXPECT_EQ(all_of(one), "yes; 1; 2; 3; 4; 5; ");
  }
  House b(broker, {}, 10);
  TestPeer two = b.connect();
  two.send(at(broker, 2));
  b.server().publish("t", "6");
  EXPECT_EQ(all_of(two), "pending; ");
  b.run();
  EXPECT_EQ(all_of(two), "3; 4; 5; 6; ");
  EXPECT_TRUE(b.gaps.empty());
  EXPECT_EQ(b.server().counters().topic_recovered, 1u);
  TestPeer three = subscriber(b, at(broker, 4));
  EXPECT_EQ(all_of(three), "yes; 5; 6; ");
  TestPeer four = subscriber(b, at(broker, 0));
  EXPECT_EQ(all_of(four), "pending; 1; 2; 3; 4; 5; 6; ");
  TestPeer five = subscriber(b, at(broker, 6));
  b.server().publish("t", "7");
  b.run();
  EXPECT_EQ(all_of(five), "yes; 7; ");
  EXPECT_EQ(all_of(two), "7; ");
}

TEST(ServerBridge, AStormAsksTheBrokerOnce) {
  Broker broker{.durable = true};
  for (int i = 1; i <= 20; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 100);
  std::vector<TestPeer> peers;
  for (int i = 0; i < 50; ++i) {
    peers.push_back(b.connect());
    peers.back().send(at(broker, 18));
  }
  EXPECT_EQ(broker.take_calls(), "want t; history t 18 100; ");
  b.run();
  for (TestPeer& peer : peers) EXPECT_EQ(all_of(peer), "pending; 19; 20; ");
  // Others need more, and are answered together.
  peers.clear();
  for (int i = 0; i < 50; ++i) {
    peers.push_back(b.connect());
    peers.back().send(at(broker, static_cast<std::uint64_t>(16 - i % 2)));
  }
  b.run();
  b.run();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(all_of(peers[static_cast<std::size_t>(i)]),
              i % 2 == 0 ? "pending; 17; 18; 19; 20; " : "pending; 16; 17; 18; 19; 20; ");
  }
  EXPECT_EQ(broker.take_calls(), "history t 16 100; history t 0 100; ");
}

TEST(ServerBridge, TheRetainedValueIsThatOfTheBroker) {
  Broker broker{.durable = true};
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 10);
  TestPeer one = subscriber(b, "last 1 t");
  EXPECT_EQ(all_of(one), "pending; 3; ");
  TestPeer two = subscriber(b, "last 5 t");
  EXPECT_EQ(all_of(two), "yes; 1; 2; 3; ");
}

TEST(ServerBridge, WhatIsLostIsToldAndNotHidden) {
  Broker broker{.durable = true};
  broker.kept = 3;
  for (int i = 1; i <= 10; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 10);
  TestPeer one = subscriber(b, at(broker, 2));
  broker.publish("t", "11");
  b.run();
  EXPECT_EQ(all_of(one), "pending; gap t 8; 11; ");
  EXPECT_EQ(b.server().counters().topic_recover_failed, 1u);
  TestPeer two = subscriber(b, "at 5 9 t");
  EXPECT_EQ(all_of(two).substr(0, 3), "no;") << "another epoch";
  broker.fail();
  House c(broker, {}, 10);
  TestPeer three = subscriber(c, at(broker, 9));
  EXPECT_EQ(all_of(three), "no; ") << "there is nobody to ask";
}

TEST(ServerBridge, AnAnswerThatDoesNotComeIsGivenUp) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House b(broker, {.history_time = 5s}, 10);
  TestPeer one = b.connect();
  one.send(at(broker, 0));
  b.bench().advance(4900ms);
  EXPECT_EQ(all_of(one), "pending; ");
  b.bench().advance(200ms);
  EXPECT_EQ(all_of(one), "gap t 1; ");
  b.run();
  broker.publish("t", "2");
  b.run();
  EXPECT_EQ(all_of(one), "2; ");
}

TEST(ServerBridge, AHoleIsFilledBeforeAnythingNewer) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.loses = true;
  broker.publish("t", "2");
  broker.publish("t", "3");
  broker.loses = false;
  broker.publish("t", "4");
  broker.publish("t", "5");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; 4; 5; ");
  EXPECT_TRUE(a.gaps.empty());
  EXPECT_EQ(a.counters().healed, 1u);
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 5}));
}

TEST(ServerBridge, AnOutageIsHealedWithoutAGap) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  TestPeer publisher = subscriber(a, "sub u");
  publisher.send("sub t");
  broker.publish("t", "1");
  a.run();
  broker.fail();
  broker.loses = true;
  broker.publish("t", "2");
  broker.loses = false;
  broker.recover();
  broker.publish("t", "3");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; ");
  broker.fail();
  broker.recover();
  a.run();
  EXPECT_EQ(all_of(one), "") << "nothing was published meanwhile";
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"u outage", "u outage"})) << "u has no number yet";
}

TEST(ServerBridge, AHoleThatCannotBeFilledIsAGap) {
  for (const bool new_epoch : {false, true}) {
    Broker broker{.durable = true};
    House a(broker, {}, 10);
    TestPeer one = subscriber(a);
    broker.publish("t", "1");
    broker.publish("t", "2");
    a.run();
    broker.loses = true;
    if (new_epoch) {
      broker.epoch = 78;
      broker.history.clear();
    }
    broker.publish("t", "3");
    broker.publish("t", "4");
    broker.loses = false;
    broker.kept = new_epoch ? 100 : 2;
    broker.publish("t", "5");
    a.run();
    const std::string received = all_of(one);
    EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
    EXPECT_NE(received.find("gap t 0; "), std::string::npos) << received;
    EXPECT_NE(received.find("5; "), std::string::npos) << received;
    EXPECT_EQ(received.find("3; ") != std::string::npos, new_epoch) << received;
    const Position last = a.server().topic("t").position();
    EXPECT_EQ(last, (Position{broker.epoch, new_epoch ? 3u : 5u}));
    TestPeer two = subscriber(a, "at 77 2 t");
    EXPECT_EQ(all_of(two), "pending; gap t 3; ");
    broker.publish("t", "6");
    a.run();
    EXPECT_EQ(all_of(one), "6; ");
  }
}

// The broker was restarted with an older state, and numbers again from there.
TEST(ServerBridge, ABrokerThatGoesBackIsAGap) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  for (int i = 1; i <= 5; ++i) broker.publish("t", std::to_string(i));
  a.run();
  broker.fail();
  broker.history["t"].resize(2);
  broker.recover();
  a.run();
  broker.publish("t", "new 3");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; 4; 5; gap t 0; new 3; ");
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
}

TEST(ServerBridge, RepeatedPublicationsAreDropped) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  broker.publish("t", "2");
  broker.queue.push_back(broker.queue[0]);
  broker.queue.push_back(broker.queue[1]);
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; ");
  EXPECT_EQ(a.counters().repeated, 2u);
}

// A subscriber that was on a faster server has publications that this one does not have yet.
TEST(ServerBridge, ASubscriberThatIsAheadReceivesNothingTwice) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.publish("t", "2");
  broker.publish("t", "3");
  TestPeer two = a.connect();
  two.send(at(broker, 2));
  EXPECT_EQ(all_of(two), "yes; ");
  a.run();
  EXPECT_EQ(all_of(two), "3; ");
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; ");
}

TEST(ServerBridge, FormattedPublicationsHaveThePositionOfTheBroker) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House a(broker, {}, 0);
  a.server().topics("*", {.history = 10, .format = [](const Publication& p) {
                            return std::to_string(p.position.offset) + "=" +
                                   std::string(p.message.text());
                          }});
  TestPeer one = subscriber(a, at(broker, 0));
  broker.publish("t", "2");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1=1; 2=2; ");
}

TEST(ServerBridge, AWaitingSubscriptionMayEnd) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send(at(broker, 0));
  one.send("leave t");
  TestPeer two = a.connect();
  two.send(at(broker, 0));
  two.drop();
  TestPeer three = a.connect();
  three.send(at(broker, 0));
  three.send("sub u");
  a.server().publish("u", "u");
  a.run();
  EXPECT_EQ(all_of(one), "pending; ");
  EXPECT_EQ(all_of(three), "pending; yes; u; 1; ");
}

TEST(ServerBridge, TheEndOfAServerEndsItsInterest) {
  Broker broker;
  {
    House a(broker);
    TestPeer one = subscriber(a);
    broker.publish("t", "1");
    broker.bridges.at(0)->sink().gap("t", GapCause::lost);
  }
  EXPECT_TRUE(broker.bridges.empty());
}

TEST(ServerBridge, TheCountersAreInPrometheusText) {
  Broker broker;
  House a(broker, {.topics = "t*"});
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  const std::string text = a.server().counters().prometheus();
  EXPECT_NE(text.find("tern_bridge_up{topics=\"t*\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("tern_bridge_delivered_total{topics=\"t*\"} 1\n"), std::string::npos);
  EXPECT_NE(std::ranges::find(a.lines, "the bridge of \"t*\" is up: fake"), a.lines.end());
}

}  // namespace
}  // namespace tern::test
