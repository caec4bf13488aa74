// Servers on a broker in the memory of a test, which delivers when the test says so.
#pragma once

#include "tern/bridge.h"
#include "tern/testing.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

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
    while (answer_one()) {
    }
    return some;
  }
  // Returns whether there was a question.
  bool answer_one() {
    if (questions_.empty()) return false;
    const Question question = questions_.front();
    questions_.pop_front();
    if (!broker_->up) {
      sink_->history(question.topic, {});
      return true;
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
    return true;
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

inline void Broker::run() {
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
inline void Broker::fail() {
  up = false;
  for (FakeBridge* bridge : bridges) bridge->lose();
}
inline void Broker::recover() {
  up = true;
  for (FakeBridge* bridge : bridges) bridge->recover();
}

// "sub T", "last N T", "at E O T", "leave T", "pub T text", "shout T text". After "tell" the peer
// hears of the true beginnings of subscriptions.
struct BridgeSession {
  Server& server;
  bool tells = false;
  explicit BridgeSession(Server& of) : server(of) {}

  void on_message(Connection& conn, Message message) {
    std::istringstream in{std::string(message.text())};
    std::string word;
    std::string topic;
    SubscribeOptions options;
    in >> word;
    if (word == "tell") return void(tells = true);
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
  void on_subscribed(Connection& conn, std::string_view topic, const Subscribed& begun) {
    if (!tells) return;
    conn.send("begun " + std::string(topic) + ' ' + std::to_string(begun.epoch) + ' ' +
              std::to_string(begun.offset) + (begun.recovered ? "" : " lost"));
  }
  void on_gap(Connection& conn, std::string_view topic, std::uint64_t missed) {
    conn.send("gap " + std::string(topic) + " " + std::to_string(missed));
  }
};

// A server on a broker.
class BridgeHouse {
 public:
  explicit BridgeHouse(Broker& broker, BridgeOptions options = {}, std::size_t history = 0,
                       ServerOptions server = {})
      : broker_(broker), bench_(std::make_unique<TestServer>(with_log(std::move(server)))) {
    Server& s = bench_->server();
    s.route<BridgeSession>("/", std::ref(s));
    if (history > 0) s.topics("*", {.history = history});
    s.bridge(FakeBridge(broker), std::move(options));
    s.on_bridge_gap([this](std::string_view topic, GapCause cause) {
      gaps.push_back(std::string(topic) + " " + std::string(gap_cause_name(cause)));
    });
  }
  ~BridgeHouse() { bench_.reset(); }

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

inline std::string all_of(TestPeer& peer) {
  std::string all;
  for (const std::string& each : peer.take_all()) {
    all += (each.starts_with("text ") ? each.substr(5) : each) + "; ";
  }
  return all;
}

inline TestPeer subscriber(BridgeHouse& house, const std::string& command = "sub t") {
  TestPeer peer = house.connect();
  peer.send(command);
  house.run();
  return peer;
}

}  // namespace tern::test
