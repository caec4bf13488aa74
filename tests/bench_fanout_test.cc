// The load of `tern-bench fanout` and the bare fan-out of its ceiling. The load must find a server
// that loses, changes or doubles a delivery, because otherwise such a server would look fast.

#include "tern/server.h"

#include "support/ceiling_process.h"
#include "support/certificates.h"
#include "support/running_server.h"
#include "throughput/ceiling.h"
#include "throughput/fan_load.h"
#include "throughput/fan_process.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

FanOptions brief(FanOptions options) {
  options.warm_up = options.duration = Seconds(0.02);
  return options;
}

// The rows of `tern-bench fanout`, with fewer subscribers.
const FanOptions rows[] = {
    {.subscribers = 50, .size = 100},
    {.subscribers = 50, .size = 1'024},
    {.subscribers = 50, .size = 100, .in_flight = 4},
    {.subscribers = 50, .size = 100, .in_flight = 16, .at_once = 16},
    {.subscribers = 3, .size = 20'000, .in_flight = 4},
};

TEST(BenchFanout, TheBareFanoutReachesAllSubscribers) {
  for (FanOptions row : rows) {
    SCOPED_TRACE(std::to_string(row.in_flight) + " of " + std::to_string(row.size));
    const CeilingProcess server({.fanout = true});
    row.url = server.url();
    row.server = server.pid();
    FanLoad load(brief(row));
    const FanResult result = load.run();
    EXPECT_GE(result.deliveries, 5 * row.subscribers);
    EXPECT_EQ(result.deliveries % row.subscribers, 0u);
    EXPECT_EQ(result.frame_bytes, row.size + (row.size < 126 ? 2 : 4));
    EXPECT_GT(result.server_us_each(), 0.0);
  }
}

// A server of tern on one loop. `deliver` sends a message to one other connection; `nth` counts the
// messages of the server from 0.
class Fan {
 public:
  using Deliver = std::function<void(Connection& to, Message, std::size_t nth, bool is_first)>;

  explicit Fan(Deliver deliver, ServerOptions options = {})
      : deliver_(std::move(deliver)), running_(std::move(options)) {
    running_.server.route(
        "/fanout", Handlers{.on_open = [this](Connection& conn) { all_.push_back(&conn); },
                            .on_message =
                                [this](Connection& conn, Message message) {
                                  const std::size_t nth = count_++;
                                  for (Connection* each : all_) {
                                    if (each == &conn) continue;
                                    deliver_(*each, message, nth, each == all_.front());
                                  }
                                },
                            .on_drain = {},
                            .on_ping = {},
                            .on_pong = {},
                            .on_close = [this](Connection& conn,
                                               const CloseInfo&) { std::erase(all_, &conn); }});
    url_ = route_of("ws://127.0.0.1:" + std::to_string(running_.start()) + "/echo", "/fanout");
  }

  const std::string& url() const noexcept { return url_; }
  std::size_t count() const noexcept { return count_; }

 private:
  Deliver deliver_;
  std::vector<Connection*> all_{};
  std::atomic<std::size_t> count_{0};
  test::RunningServer running_;  // ends before the members that its thread uses
  std::string url_{};
};

void send(Connection& to, Message message, std::size_t, bool) { to.send(message); }

TEST(BenchFanout, AServerThatDeliversAllIsMeasured) {
  Fan fan(send);
  FanLoad load(brief({.url = fan.url(), .subscribers = 7, .in_flight = 4}));
  EXPECT_GE(load.run().deliveries, 35u);
}

TEST(BenchFanout, DeliveriesOverTlsAreCounted) {
  const test::Identity identity({});
  Fan fan(send, {.tls = TlsServer{.certificate_pem = identity.certificate(),
                                  .private_key_pem = identity.key()}});
  FanLoad load(brief({.url = "wss" + fan.url().substr(2), .subscribers = 7, .in_flight = 4}));
  const FanResult result = load.run();
  EXPECT_GE(result.deliveries, 35u);
  EXPECT_EQ(result.frame_bytes, 102u);
}

TEST(BenchFanout, CompressedDeliveriesAreCompared) {
  Fan fan(send, {.deflate = Deflate{}});
  FanLoad load(brief({.url = fan.url(),
                      .subscribers = 7,
                      .size = 4'096,
                      .kind = PayloadKind::json,
                      .deflate = true}));
  const FanResult result = load.run();
  EXPECT_GE(result.deliveries, 35u);
  EXPECT_LT(result.frame_bytes, 2'048u);
}

TEST(BenchFanout, AChangedFirstDeliveryIsFound) {
  Fan fan([](Connection& to, Message message, std::size_t, bool is_first) {
    std::string text(message.text());
    if (!is_first) text.back() = static_cast<char>(text.back() + 1);
    to.send(Message(message.type(), std::string_view(text)));
  });
  EXPECT_THROW(FanLoad(brief({.url = fan.url(), .subscribers = 7})), std::runtime_error);
}

TEST(BenchFanout, ADeliveryToTheWrongSubscriberIsFound) {
  // The second publication reaches the first subscriber twice, and one of the others not at all.
  Fan fan([skips = true](Connection& to, Message message, std::size_t nth, bool is_first) mutable {
    if (nth == 1 && is_first) to.send(message);
    if (nth == 1 && !is_first && std::exchange(skips, false)) return;
    to.send(message);
  });
  FanLoad load(brief({.url = fan.url(), .subscribers = 7}));
  EXPECT_THROW(load.run(), std::runtime_error);
}

TEST(BenchFanout, AProcessPublishesAfterItsBegin) {
  Fan fan(send);
  FanProcess process({.url = fan.url(), .subscribers = 7}, std::chrono::milliseconds(1), any_core,
                     false);
  EXPECT_EQ(fan.count(), 1u);
  process.begin();
  while (fan.count() < 4) ::sched_yield();
}

TEST(BenchFanout, AProcessThatCannotConnectIsReported) {
  testing::internal::CaptureStderr();
  EXPECT_THROW(FanProcess({.url = "ws://127.0.0.1:1/fanout", .subscribers = 1},
                          std::chrono::milliseconds(1), any_core, false),
               std::runtime_error);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("connect"), std::string::npos);
}

}  // namespace
}  // namespace tern::bench
