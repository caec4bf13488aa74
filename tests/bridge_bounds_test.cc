// The driver of a bridge against a broker that does not do its part: the memory of what waits, and
// the child of a process that forks.

#include "tern/bridge.h"

#include "bridge/driver.h"
#include "bridge/link.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <gtest/gtest.h>
#include <malloc.h>
#include <mutex>
#include <optional>
#include <poll.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace tern::bridge {
namespace {

// A connection that can be stopped in publish(), like one whose broker received SIGSTOP.
struct Broker {
  void stop() {
    const std::lock_guard lock(mutex);
    stopped = true;
  }
  void go_on() {
    const std::lock_guard lock(mutex);
    stopped = false;
    changed.notify_all();
  }
  void wait_until_it_works() {
    std::unique_lock lock(mutex);
    waiting = true;
    changed.notify_all();
    changed.wait(lock, [this] { return !stopped; });
  }
  void wait_for_a_caller() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return waiting; });
  }

  std::mutex mutex{};
  std::condition_variable changed{};
  bool stopped = false;  // guarded by mutex
  bool waiting = false;  // guarded by mutex
};

class StoppableLink final : public Link {
 public:
  explicit StoppableLink(Broker& broker) : broker_(broker) {}
  // A client library would say goodbye on the connection, which is that of the parent, too.
  ~StoppableLink() override {
    if (::getpid() != process_) ::_exit(9);
  }
  std::size_t servers() const noexcept override { return 1; }
  std::string server_name(std::size_t) const override { return "test://broker"; }
  Result<void> connect(std::size_t, LinkEvents&) override { return {}; }
  Result<void> subscribe(std::span<const std::string_view>) override { return {}; }
  Result<void> unsubscribe(std::span<const std::string_view>) override { return {}; }
  Result<void> publish(std::string_view, const SharedMessage&, const Origin&) override {
    broker_.wait_until_it_works();
    return {};
  }
  Result<void> flush() override { return {}; }
  Result<void> probe() override { return {}; }
  Result<void> poll(int wake, std::chrono::milliseconds timeout) override {
    pollfd wanted{wake, POLLIN, 0};
    ::poll(&wanted, 1, static_cast<int>(timeout.count()));
    return {};
  }
  void close() noexcept override {
    if (::getpid() != process_) ::_exit(9);
  }

 private:
  Broker& broker_;
  const pid_t process_ = ::getpid();
};

class Sink final : public BridgeSink {
 public:
  void deliver(std::string_view, Message, const Origin&,
               std::optional<Position>) noexcept override {}
  void history(std::string_view, const BridgeHistory&) noexcept override {}
  void state(BridgeState state, std::string_view) noexcept override {
    const std::lock_guard lock(mutex_);
    up_ = state == BridgeState::up;
    changed_.notify_all();
  }
  void gap(std::string_view, GapCause) noexcept override {}
  void log(LogLevel, std::string_view) noexcept override {}

  void wait_until_up() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return up_; });
  }

 private:
  std::mutex mutex_{};
  std::condition_variable changed_{};
  bool up_ = false;
};

// Bytes of malloc that are in use.
std::size_t heap() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

// A small message on a topic with a long name costs far more memory than its payload.
TEST(BridgeBounds, BufferBytesBoundTheMemoryOfPublications) {
  constexpr std::size_t bound = std::size_t{8} << 20;
  for (const std::size_t name : {3u, 255u}) {
    for (const std::size_t size : {1u, 100u, 4'000u}) {
      SCOPED_TRACE(std::to_string(size) + " bytes on a name of " + std::to_string(name));
      Broker broker;
      Sink sink;
      Driver driver(std::make_unique<StoppableLink>(broker));
      ASSERT_TRUE(
          driver.attach(sink, {.buffer_bytes = bound, .buffer_time = std::chrono::hours(1)}));
      sink.wait_until_up();
      broker.stop();
      const std::string topic(name, 't');
      const std::string payload(size, 'x');
      ASSERT_EQ(driver.publish(topic, SharedMessage(payload), {}), PublishStatus::queued);
      broker.wait_for_a_caller();
      const std::size_t before = heap();
      std::size_t accepted = 0;
      while (driver.publish(topic, SharedMessage(payload), {}) == PublishStatus::queued) ++accepted;
      const std::size_t grown = heap() - before;
      EXPECT_LE(grown, bound + bound / 8) << accepted << " publications";
      EXPECT_GE(grown, bound / 4) << "the bound is not far too small";
      EXPECT_EQ(driver.publish(topic, SharedMessage(payload), {}), PublishStatus::full);
      broker.go_on();
      driver.detach(std::chrono::seconds(10));
      EXPECT_EQ(driver.counters().published, accepted + 1) << "what was accepted is sent";
    }
  }
}

// The thread of the driver exists only in the parent, and the connection is the parent's. The child
// must not wait for the one, and must not close the other.
TEST(BridgeBounds, AChildOfForkDestroysItsCopy) {
  Broker broker;
  Sink sink;
  auto driver = std::make_unique<Driver>(std::make_unique<StoppableLink>(broker));
  ASSERT_TRUE(driver->attach(sink, {}));
  sink.wait_until_up();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // SIGALRM ends it if it waits
    driver->detach(std::chrono::seconds(1));
    driver.reset();
    ::_exit(7);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "the child waits for a thread that it does not have";
  EXPECT_EQ(WEXITSTATUS(status), 7) << "9: the child uses the connection of its parent";
  // The parent's driver works.
  EXPECT_EQ(driver->publish("t", SharedMessage("x"), {}), PublishStatus::queued);
  driver->detach(std::chrono::seconds(10));
  EXPECT_EQ(driver->counters().published, 1u);
}

}  // namespace
}  // namespace tern::bridge
