// The server of a fault row: an echo at /echo, with the numbers that a row checks.
#pragma once

#include "tern/server.h"

#include "faults/support/syscalls.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <gtest/gtest.h>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {

/// No wait in these tests may take longer, even with sanitizers and on busy machines.
constexpr auto enough_time = std::chrono::seconds(30);

/// Waits for a condition that no event reports, by testing it again and again. Returns false after
/// `within`.
template <class Predicate>
bool eventually(Predicate predicate, std::chrono::nanoseconds within = enough_time) {
  const auto give_up = std::chrono::steady_clock::now() + within;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

/// Whether faults apply to the server's thread (`subject`) or only to other threads (`bystander`).
enum class Side : std::uint8_t { subject, bystander };

/// An echo server in a thread of its own. Routes may be added to `server` before start().
class House {
 public:
  explicit House(ServerOptions options = {}, Side side = Side::subject)
      : server(completed(std::move(options))), side_(side) {
    server.route("/echo", Handlers{
                              .on_message = [](Connection& conn, Message msg) { conn.send(msg); },
                              .on_close = [this](Connection&, const CloseInfo&) { ++closes_; },
                          });
  }
  ~House() { stop(std::chrono::seconds(1)); }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  /// Listens and serves. Returns false if it cannot listen; why() then has the error.
  bool start() {
    if (auto listening = server.listen(); !listening) {
      why_ = listening.error().message();
      return false;
    }
    thread_ = std::thread([this] {
      if (side_ == Side::subject) return run();
      const sys::Bystander bystander;
      run();
    });
    return true;
  }
  /// Stops and joins. Does nothing if it was called before.
  void stop(std::chrono::nanoseconds deadline = std::chrono::seconds(10)) {
    server.stop(deadline);
    if (thread_.joinable()) thread_.join();
  }
  /// The error of listen() or, after stop(), of run(); empty if there was none.
  const std::string& why() const { return why_; }

  std::string url(const std::string& path = "/echo") const {
    return "ws://127.0.0.1:" + std::to_string(server.port()) + path;
  }
  std::uint16_t port() const { return server.port(); }
  pthread_t thread() { return thread_.native_handle(); }
  /// The CPU time that the server's thread has used.
  std::chrono::nanoseconds cpu_time() {
    clockid_t clock{};
    timespec used{};
    if (::pthread_getcpuclockid(thread(), &clock) != 0) ADD_FAILURE() << "no clock";
    ::clock_gettime(clock, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
  /// Whether run() has returned.
  bool ended() const { return ended_; }
  /// The number of sessions on /echo that have ended.
  std::uint64_t closes() const { return closes_; }
  /// The log so far.
  std::vector<std::string> log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  /// Frees the memory of the log, before levels are compared.
  void forget_log() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string>().swap(log_);
  }

 private:
  ServerOptions completed(ServerOptions options) {
    if (options.host == ServerOptions{}.host) options.host = "127.0.0.1";
    options.log = [this](const LogRecord& record) {
      const std::lock_guard lock(mutex_);
      log_.emplace_back(record.message);
    };
    return options;
  }
  void run() {
    if (auto ran = server.run(); !ran) why_ = ran.error().message();
    ended_ = true;
  }

  mutable std::mutex mutex_{};
  std::vector<std::string> log_{};  // guarded by mutex_
  std::atomic<std::uint64_t> closes_{0};
  std::atomic<bool> ended_{false};
  std::string why_{};

 public:
  Server server;

 private:
  Side side_;
  std::thread thread_{};
};

}  // namespace tern::test
