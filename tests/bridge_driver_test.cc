// The thread of a bridge's driver: its end at every stage, and publications of several threads.
#include "bridge/driver.h"
#include "support/bridge_sink.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <poll.h>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace tern::bridge {
namespace {

using namespace std::chrono_literals;
using Sink = test::RecordingSink;

// A link that waits in the functions of a name until it is interrupted.
class StuckLink final : public Link {
 public:
  explicit StuckLink(std::string name) : name_(std::move(name)) {}
  std::size_t servers() const noexcept override { return 1; }
  std::string server_name(std::size_t) const override { return "stuck"; }
  Result<void> connect(std::size_t, LinkEvents& events) override {
    events_ = &events;
    return wait("connect");
  }
  Result<void> subscribe(std::span<const std::string_view>) override { return wait("subscribe"); }
  Result<void> unsubscribe(std::span<const std::string_view>) override { return {}; }
  Result<void> publish(std::string_view topic, const SharedMessage& message,
                       const Origin& origin) override {
    if (auto waited = wait("publish"); !waited) return waited;
    events_->on_publication(topic, message.message(), origin);
    return {};
  }
  Result<void> flush() override { return wait("flush"); }
  Result<void> probe() override { return {}; }
  Result<void> poll(int wake, std::chrono::milliseconds timeout) override {
    if (auto waited = wait("poll"); !waited) return waited;
    pollfd wanted{wake, POLLIN, 0};
    ::poll(&wanted, 1, static_cast<int>(timeout.count()));
    return {};
  }
  void close() noexcept override {}
  void interrupt() noexcept override {
    interrupted_ = true;
    interrupted_.notify_all();
  }

 private:
  Result<void> wait(const std::string& name) {
    if (name != name_) return {};
    interrupted_.wait(false);
    return Error::described(Errc::closed, "interrupted");
  }
  const std::string name_;
  std::atomic<bool> interrupted_{false};
  LinkEvents* events_ = nullptr;
};

TEST(BridgeDriver, StopsAtEveryStage) {
  for (const char* stage : {"connect", "subscribe", "flush", "publish", "poll", "none"}) {
    for (const bool destroyed : {false, true}) {
      SCOPED_TRACE(stage);
      Sink sink;
      auto driver = std::make_unique<Driver>(std::make_unique<StuckLink>(stage));
      ASSERT_TRUE(driver->attach(sink, {}));
      driver->interest("t", true);
      driver->publish("t", SharedMessage("x"), {});
      if (!destroyed) driver->detach(20ms);
      driver.reset();
    }
  }
}

TEST(BridgeDriver, DeliversWhatSeveralThreadsPublish) {
  constexpr int publications = 2000;
  Sink sink;
  Driver driver(std::make_unique<StuckLink>("none"));
  EXPECT_EQ(driver.publish("t", SharedMessage("x"), {}).value(), PublishStatus::stopped);
  ASSERT_TRUE(driver.attach(sink, {}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&driver, i] {
      for (int n = 0; n < publications; ++n) {
        EXPECT_TRUE(driver.publish("t" + std::to_string(i), SharedMessage(std::to_string(n)), {}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  driver.detach(60s);
  std::map<std::string, int> next;
  std::istringstream events(sink.take());
  std::string event;
  while (std::getline(events, event, ';')) {
    std::istringstream words(event);
    std::string word;
    std::string topic;
    int number = -1;
    words >> word >> topic >> number;
    if (word == "deliver") {
      EXPECT_EQ(number, next[topic]++);
    }
  }
  for (const char* topic : {"t0", "t1", "t2"}) EXPECT_EQ(next[topic], publications);
  ASSERT_TRUE(driver.attach(sink, {})) << "it runs again";
  driver.detach(0s);
}

}  // namespace
}  // namespace tern::bridge
