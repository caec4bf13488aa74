// The load of `tern-bench bridge`. It must find a publication that is lost, because otherwise a
// bridge that loses some would look fast. The brokers are not needed: to the load a publisher and
// its subscribers are sockets.
#include "net/fd.h"
#include "support/running_server.h"
#include "throughput/bridge_load.h"
#include "throughput/broker.h"
#include "throughput/fan_load.h"
#include "throughput/frames.h"
#include "throughput/messages.h"
#include "throughput/reply.h"
#include "throughput/upgrade.h"
#include "throughput/wire.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

// A server of tern on one loop. A message on /publish is a publication. `deliver` tells whether the
// publication reaches the subscribers: it gets its number, from 0.
class Process {
 public:
  using Deliver = std::function<bool(std::size_t nth)>;

  explicit Process(Deliver deliver = [](std::size_t) { return true; })
      : deliver_(std::move(deliver)) {
    Handlers subscriber;
    subscriber.on_open = [](Connection& conn) { conn.subscribe("all"); };
    subscriber.on_message = [](Connection& conn, Message message) { conn.send(message); };
    running_.server.route("/subscribe", std::move(subscriber));
    Handlers publisher;
    publisher.on_message = [this](Connection& conn, Message message) {
      if (deliver_(count_++)) conn.publish("all", message);
    };
    running_.server.route("/publish", std::move(publisher));
    url_ = "ws://127.0.0.1:" + std::to_string(running_.start());
  }

  Source publisher() const {
    const Wire wire = connect_to_route("/publish");
    return {.socket = copy(wire),
            .request = make_frame(frame::Opcode::text, make_payload(PayloadKind::ascii, 100),
                                  frame::Masking::masked)};
  }
  std::vector<net::Fd> subscribers(std::size_t count) const {
    std::vector<net::Fd> all;
    while (all.size() < count) {
      Wire wire = connect_to_route("/subscribe");
      send_waiting(wire, make_frame(frame::Opcode::text, "?", frame::Masking::masked));
      read_reply(wire, "?", true);
      all.push_back(copy(wire));
    }
    return all;
  }

 private:
  Wire connect_to_route(const std::string& path) const {
    return connect_and_upgrade(Target::parse(url_ + path));
  }
  static net::Fd copy(const Wire& wire) {
    return net::Fd(::fcntl(wire.socket(), F_DUPFD_CLOEXEC, 0));
  }

  Deliver deliver_;
  std::size_t count_ = 0;
  test::RunningServer running_{};  // ends before the members that its thread uses
  std::string url_{};
};

BridgeLoadOptions brief(BridgeLoadOptions options = {}) {
  options.warm_up = options.duration = Seconds(0.02);
  options.rest = Seconds(0.2);
  return options;
}

void nothing() {}

TEST(BenchBridge, OnePublicationAtATimeReachesAllSubscribers) {
  const Process process;
  BridgeLoad load(process.publisher(), process.subscribers(5));
  const BridgeLoadResult result = load.run(brief(), nothing);
  EXPECT_GT(result.publications, 0u);
  EXPECT_EQ(result.lost, 0u);
  EXPECT_GT(result.latency.p50.count(), 0);
  EXPECT_LE(result.latency.p50, result.latency.max);
  EXPECT_GT(result.per_second(), 0.0);
}

TEST(BenchBridge, ManyInFlightAreCounted) {
  const Process process;
  BridgeLoad load(process.publisher(), process.subscribers(1));
  const BridgeLoadResult result = load.run(brief({.in_flight = 256, .at_once = 64}), nothing);
  EXPECT_GT(result.publications, 0u);
  EXPECT_EQ(result.publications % 64, 0u);
  EXPECT_EQ(result.lost, 0u);
}

// The first ones show the sizes of deliveries; then one after another is measured.
TEST(BenchBridge, ALostPublicationIsCounted) {
  const Process process([](std::size_t nth) { return nth != 10; });
  BridgeLoad load(process.publisher(), process.subscribers(3));
  const BridgeLoadResult result = load.run(brief({.in_flight = 16, .at_once = 16}), nothing);
  EXPECT_EQ(result.lost, 3u);
}

TEST(BenchBridge, TheClocksAreReadAroundTheMeasuredTimeOnly) {
  const Process process;
  BridgeLoad load(process.publisher(), process.subscribers(1));
  int reads = 0;
  load.run(brief(), [&] { ++reads; });
  EXPECT_EQ(reads, 2);
}

TEST(BenchBridge, AClosedSubscriberIsFound) {
  Process process;
  std::vector<net::Fd> sinks = process.subscribers(1);
  ::shutdown(sinks.front().get(), SHUT_RDWR);
  EXPECT_THROW(BridgeLoad(process.publisher(), std::move(sinks)), std::runtime_error);
}

// ---- brokers

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(BenchBridge, PublicationsAreThoseOfTheProtocols) {
  EXPECT_EQ(text_of(publication(BrokerKind::nats, "bench.all", "hello")),
            "PUB bench.all 5\r\nhello\r\n");
  EXPECT_EQ(text_of(publication(BrokerKind::redis, "bench.all", "hello")),
            "*3\r\n$7\r\nPUBLISH\r\n$9\r\nbench.all\r\n$5\r\nhello\r\n");
}

}  // namespace
}  // namespace tern::bench
