// A Server on its own thread, and an event that tests wait for instead of sleeping.
#pragma once

#include "tern/server.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {

/// Values that any thread adds and the test waits for.
template <class T>
class Inbox {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// The next value; the test fails if none comes.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !values_.empty(); })) {
      ADD_FAILURE() << "nothing came";
      return {};
    }
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return values_.empty();
  }

 private:
  std::mutex mutex_{};
  std::condition_variable changed_{};
  std::vector<T> values_{};
};

/// The meaning of a deadline that equals the default of the library: the test did not set it, or
/// the test needs that value.
enum class Defaults : std::uint8_t { not_set, meant };

/// Listens on 127.0.0.1, on a port that the system chooses, after start() was called. Deadlines
/// that a test does not set are longer than those of the library, so that a slow test on a busy
/// machine is neither pinged nor closed.
class RunningServer {
 public:
  explicit RunningServer(ServerOptions options = {}, Defaults defaults = Defaults::not_set)
      : server(local(std::move(options), defaults)) {}
  ~RunningServer() { stop(std::chrono::milliseconds(0)); }

  std::uint16_t start() {
    if (auto listening = server.listen(); !listening) {
      ADD_FAILURE() << listening.error().message();
      return 0;
    }
    thread_ = std::thread([this] {
      if (auto ran = server.run(); !ran) ADD_FAILURE() << ran.error().message();
    });
    return server.port();
  }
  void stop(std::chrono::nanoseconds deadline = std::chrono::seconds(10)) {
    server.stop(deadline);
    join();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  Server server;

 private:
  static ServerOptions local(ServerOptions options, Defaults defaults) {
    options.host = "127.0.0.1";
    if (defaults == Defaults::meant) return options;
    for (const auto deadline : {&Timeouts::handshake, &Timeouts::silence, &Timeouts::stall,
                                &Timeouts::http_idle, &Timeouts::body, &Timeouts::answer}) {
      auto& set = options.timeouts.*deadline;
      if (set == Timeouts().*deadline) set = std::chrono::minutes(5);
    }
    return options;
  }

  std::thread thread_{};
};

inline Handlers echo() {
  return {.on_message = [](Connection& conn, Message message) { conn.send(message); }};
}

/// Discards messages, and puts the end of each connection into `ends`.
inline Handlers silent(Inbox<CloseInfo>& ends) {
  return {.on_message = [](Connection&, Message) {},
          .on_close = [&ends](Connection&, const CloseInfo& info) { ends.put(info); }};
}

}  // namespace tern::test
