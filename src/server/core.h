// What all workers of a server share.
#pragma once

#include "tern/server.h"

#include "net/fd.h"
#include "server/router.h"
#include "tls/context.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

namespace tern::server {

class Worker;

class Core {
 public:
  explicit Core(ServerOptions given);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<void> listen();
  Result<void> run();
  void stop(std::chrono::nanoseconds deadline) noexcept;
  Result<void> reload_certificates();
  /// What new connections get; null: plain TCP. Thread: any.
  std::shared_ptr<tls::ServerContext> tls_context() const noexcept;

  // Set before the workers run.
  ServerOptions options;
  EngineOptions engine_options;
  Router router{};
  std::size_t max_connections;

  // Two numbers of the whole server; the rest each worker counts for itself.
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> unfinished{0};

  std::atomic<std::uint16_t> port{0};
  std::vector<std::unique_ptr<Worker>> workers{};

  /// Readable once stop() was called.
  int stop_event() const noexcept { return stop_event_.get(); }
  std::chrono::nanoseconds stop_deadline() const noexcept {
    return std::chrono::nanoseconds(stop_deadline_.load());
  }

 private:
  Result<void> run_workers();

  mutable std::mutex tls_mutex_{};
  std::shared_ptr<tls::ServerContext> tls_context_{};  // guarded by tls_mutex_
  net::Fd stop_event_;
  std::error_code stop_error_{};  // the eventfd could not be made
  std::atomic<std::int64_t> stop_deadline_{0};
  std::atomic<bool> running_{false};
};

}  // namespace tern::server
