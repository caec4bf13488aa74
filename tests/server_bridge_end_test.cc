// The end of a server with several bridges whose brokers hang.
#include "tern/bridge.h"
#include "tern/testing.h"

#include <chrono>
#include <condition_variable>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace tern::test {
namespace {

// Bridges that end only when all of them are asked to.
struct Ends {
  const int count;
  std::mutex mutex{};
  std::condition_variable changed{};
  int asked = 0;        // guarded by mutex
  bool in_time = true;  // guarded by mutex
};

class HangingBridge final : public Bridge {
 public:
  explicit HangingBridge(Ends& ends) : ends_(ends) {}
  Result<void> attach(BridgeSink&, const BridgeOptions&) override { return {}; }
  bool interest(std::string_view, bool) noexcept override { return true; }
  PublishStatus publish(std::string_view, const SharedMessage&, const Origin&) noexcept override {
    return PublishStatus::queued;
  }
  void detach(std::chrono::nanoseconds) noexcept override {
    std::unique_lock lock(ends_.mutex);
    ++ends_.asked;
    ends_.changed.notify_all();
    if (!ends_.changed.wait_for(lock, std::chrono::seconds(5),
                                [this] { return ends_.asked == ends_.count; })) {
      ends_.in_time = false;
    }
  }

 private:
  Ends& ends_;
};

TEST(ServerBridgeEnd, BridgesThatHangEndAtTheSameTime) {
  Ends ends{.count = 3};
  {
    TestServer bench;
    for (const char* topics : {"a.*", "b.*", "c.*"}) {
      bench.server().bridge(HangingBridge(ends), {.topics = topics});
    }
    bench.run();
  }
  EXPECT_EQ(ends.asked, ends.count);
  EXPECT_TRUE(ends.in_time) << "one after another";
}

}  // namespace
}  // namespace tern::test
