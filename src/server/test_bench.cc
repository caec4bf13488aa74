// The server and its peers run one after the other in one thread. So a test always runs the same
// way, unless other threads post to the server.
#include "server/test_bench.h"

#include "net/socket_pair.h"
#include "server/core.h"
#include "server/worker.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tern::server {
namespace {

// A server that is at rest needs two. Large messages need one for about 200 KiB.
constexpr int max_rounds = 1'000'000;

ServerOptions adapted(ServerOptions options) {
  options.host = "127.0.0.1";
  options.port = 0;
  options.listeners.clear();
  options.threads = 1;
  options.spin = {};
  options.tls.reset();
  options.stop_on.clear();
  return options;
}

}  // namespace

TestBench::TestBench(ServerOptions options) : server_(adapted(std::move(options))) {}

void TestBench::begin() {
  if (state_ != State::routing) return;
  auto begun = server_.core().begin_steps();
  if (!begun) throw std::runtime_error(begun.error().message());
  worker_ = *begun;
  now_ = worker_->loop().now();
  state_ = State::running;
}

void TestBench::end() noexcept {
  if (state_ == State::running) server_.core().end_steps();
  worker_ = nullptr;
  state_ = State::ended;
}

std::shared_ptr<TestConnection> TestBench::connect(std::string bytes, bool head_only) {
  begin();
  if (worker_ == nullptr) throw std::runtime_error("the TestServer has ended");
  net::SocketPair pair = net::open_socket_pair();
  if (pair.error) throw std::runtime_error("socketpair: " + pair.error.message());
  auto connection =
      std::make_shared<TestConnection>(std::move(pair.first), std::move(bytes), head_only);
  connections_.push_back(connection);
  worker_->serve_given(std::move(pair.second));
  run();
  return connection;
}

void TestBench::forget(const std::shared_ptr<TestConnection>& connection) noexcept {
  std::erase(connections_, connection);
}

void TestBench::run() {
  begin();
  for (int round = 0; round < max_rounds; ++round) {
    now_ += std::chrono::nanoseconds(1);  // two turns of a loop never have the same time
    bool moved = worker_ != nullptr && worker_->loop().core().step(now_);
    for (const auto& connection : connections_) moved = connection->move(now_) || moved;
    if (!moved) return;
  }
  throw std::runtime_error("the server does not come to rest");
}

void TestBench::advance(std::chrono::nanoseconds time) {
  run();
  if (worker_ == nullptr) return;
  const auto end = now_ + std::max(time, std::chrono::nanoseconds(0));
  net::Timers& timers = worker_->loop().core().timers();
  while (timers.next_deadline() <= end) {
    now_ = std::max(now_, timers.next_deadline());
    run();
  }
  now_ = std::max(now_, end);
  run();
}

}  // namespace tern::server
