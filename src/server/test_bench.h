// A server and its scripted peers, which run in turn until nothing more happens.
#pragma once

#include "tern/server.h"
#include "tern/testing.h"

#include "server/test_connection.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace tern::server {

class Worker;

/// The part of a TestServer that its peers share, so that they may outlive it. Each function throws
/// std::runtime_error as TestServer does.
class TestBench {
 public:
  explicit TestBench(ServerOptions options);
  ~TestBench() { end(); }
  TestBench(const TestBench&) = delete;
  TestBench& operator=(const TestBench&) = delete;

  Server& server() noexcept { return server_; }
  /// Connects a peer, which sends `bytes`.
  std::shared_ptr<TestConnection> connect(std::string bytes, bool head_only);
  void forget(const std::shared_ptr<TestConnection>& connection) noexcept;
  void run();
  void advance(std::chrono::nanoseconds time);
  /// Ends the connections and the server. Later calls do nothing.
  void end() noexcept;

 private:
  enum class State : std::uint8_t { routing, running, ended };

  void begin();

  Server server_;
  State state_ = State::routing;
  Worker* worker_ = nullptr;  // while it runs
  Engine::TimePoint now_{};
  std::vector<std::shared_ptr<TestConnection>> connections_{};
};

}  // namespace tern::server
