// A Client whose ends are recorded, on a loop that runs in the test's thread.
#pragma once

#include "tern/client.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace tern::test {

// A test that waits in vain fails instead of hanging.
inline void run(Loop& loop) {
  bool in_time = true;
  const TimerId watchdog = loop.after(std::chrono::seconds(60), [&] {
    in_time = false;
    loop.stop();
  });
  const auto ran = loop.run();
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().message());
  EXPECT_TRUE(in_time) << "nothing happened for 60 s";
  loop.cancel(watchdog);
}

inline std::string url_of(std::uint16_t port, const std::string& path = "/") {
  return "ws://127.0.0.1:" + std::to_string(port) + path;
}

// The shortest waits between attempts, 100 ms, so that tests are quick.
inline Retry quick() {
  return {.first = std::chrono::milliseconds(0), .first_after_end = std::chrono::milliseconds(0)};
}

// One end, copied.
struct End {
  bool was_open = false;
  std::error_code code{};
  std::string text{};
  Stage stage{};
  std::size_t failures = 0;
  bool transient = false;
  bool last = false;
  std::optional<std::chrono::nanoseconds> retry_after{};
};

// A client that records its ends, and a loop that runs until `done` of them came.
class Recorded {
 public:
  explicit Recorded(std::size_t done = 1) : done_(done) {}

  Client& client(const std::string& url, ClientOptions options = {}) {
    options.on_ended = [this](const Ended& ended) { record(ended); };
    return client_.emplace(loop, url, std::move(options));
  }
  // Connects with a session of plain functions that does nothing.
  void connect() {
    ASSERT_TRUE(client_->connect({.on_message = [](Connection&, Message) {}}));
  }
  Client& client() { return *client_; }
  void destroy() { client_.reset(); }

  Loop loop{};
  std::vector<End> ends{};
  std::function<void(const Ended&)> on_end{};

 private:
  void record(const Ended& ended) {
    End end{.was_open = ended.close != nullptr,
            .stage = ended.stage,
            .failures = ended.failures,
            .transient = ended.transient,
            .last = !ended.wait,
            .retry_after = ended.retry_after};
    if (ended.failure != nullptr) {
      end.code = ended.failure->code();
      end.text = ended.failure->message();
    } else {
      end.code = ended.close->error;
    }
    ends.push_back(end);
    if (on_end) on_end(ended);
    if (end.last || ends.size() == done_) loop.stop();
  }

  std::size_t done_;
  std::optional<Client> client_{};
};

}  // namespace tern::test
