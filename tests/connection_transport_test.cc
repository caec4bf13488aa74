// A connection on a loop works with transports that behave like TLS: they must read before they can
// write, they keep bytes that the system has not taken, and they hold input that the socket does
// not report.
#include "connection/live_connection.h"
#include "net/tcp.h"
#include "server/handshake.h"
#include "support/socket_pair.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <atomic>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>

namespace tern::test {
namespace {

using net::Transport;

struct Rules {
  bool writes_wait_for_reads = false;
  bool keeps_writes = false;
  std::size_t read_at_most = 0;  ///< the most that a read returns; then it reports more
  std::atomic<bool> takes_nothing = false;
  std::atomic<std::size_t> writes = 0;
  std::atomic<std::size_t> flushes = 0;
};

class OddTransport final : public Transport {
 public:
  OddTransport(net::Fd socket, Rules& rules) : below_(std::move(socket)), rules_(rules) {}

  Transfer read(std::span<const iovec> into) noexcept override {
    if (rules_.read_at_most == 0) {
      const Transfer got = below_.read(into);
      if (got.bytes > 0) heard_ += got.bytes;
      return got;
    }
    char buffer[4096];
    const iovec all{buffer, sizeof buffer};
    const Transfer got = held_.empty() ? below_.read({&all, 1}) : Transfer{};
    held_.append(buffer, got.bytes);
    if (held_.empty()) return got;
    const std::size_t size = std::min(held_.size(), rules_.read_at_most);
    std::memcpy(into[0].iov_base, held_.data(), size);
    held_.erase(0, size);
    return {.bytes = size, .more = !held_.empty()};
  }
  Transfer write(std::span<const iovec> from) noexcept override {
    ++rules_.writes;
    if (rules_.takes_nothing) return {.state = State::wait_write};
    if (rules_.writes_wait_for_reads) {
      if (waits_since_ == none) waits_since_ = heard_;
      if (waits_since_ == heard_) return {.state = State::wait_read};
    }
    if (!rules_.keeps_writes) return below_.write(from);
    if (!kept_.empty()) return {.state = State::wait_write};
    for (const iovec& piece : from) {
      kept_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    return {.bytes = kept_.size()};
  }
  int fd() const noexcept override { return below_.fd(); }
  void shutdown_write() noexcept override {
    ended_ = true;
    if (kept_.empty()) below_.shutdown_write();
  }
  bool has_unsent() const noexcept override { return !kept_.empty(); }
  Transfer flush() noexcept override {
    ++rules_.flushes;
    const iovec from{kept_.data(), kept_.size()};
    const Transfer put = below_.write({&from, 1});
    if (put.state != State::ok) return put;
    kept_.erase(0, put.bytes);
    if (!kept_.empty()) return {.state = State::wait_write};
    if (ended_) below_.shutdown_write();
    return {};
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  net::TcpTransport below_;
  Rules& rules_;
  std::size_t heard_ = 0;
  std::size_t waits_since_ = none;
  std::string held_{};
  std::string kept_{};
  bool ended_ = false;
};

/// One connection on a loop of its own, with an echo and a page. The test is its peer.
class Stage final : private connection::Owner {
 public:
  static constexpr std::size_t page_bytes = 200;

  explicit Stage(Rules& rules, EngineOptions options = {}) : options_(std::move(options)) {
    auto engine = Engine::server(options_, workspace_);
    EXPECT_NE(connection::LiveConnection::start(
                  std::make_unique<OddTransport>(std::move(sockets_.server), rules),
                  *std::move(engine), environment_),
              nullptr);
    thread_ = std::thread([this] { EXPECT_TRUE(loop_.run()); });
  }
  ~Stage() {
    loop_.stop();
    thread_.join();
    shared_.registry->for_each(
        [](connection::LiveConnection& connection) { connection.abandon(); });
    loop_.core().shut_down();  // frees the connection while the workspace exists
  }

  void send(const std::string& bytes) {
    ASSERT_EQ(::send(sockets_.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// Expects exactly these bytes next.
  void expect(const std::string& bytes) {
    std::string got;
    while (got.size() < bytes.size()) {
      ASSERT_TRUE(wait_ready(sockets_.client.get(), POLLIN)) << got;
      char buffer[65536];
      const ssize_t size = ::recv(sockets_.client.get(), buffer, sizeof buffer, 0);
      ASSERT_GT(size, 0) << got;
      got.append(buffer, static_cast<std::size_t>(size));
    }
    EXPECT_EQ(shown(got), shown(bytes));
  }
  void expect_end() {
    ASSERT_TRUE(wait_ready(sockets_.client.get(), POLLIN));
    char received;
    EXPECT_EQ(::recv(sockets_.client.get(), &received, 1, 0), 0);
  }
  /// The number of pages that were served in the turn of the first one. Valid after turn().
  std::size_t pages_of_a_turn() const { return pages_of_a_turn_; }
  /// Waits until the loop has had another turn.
  void turn() {
    std::promise<void> promise;
    const std::future<void> done = promise.get_future();
    loop_.post([promise = std::move(promise)]() mutable { promise.set_value(); });
    done.wait();
  }

 private:
  struct Echo {
    void on_message(Connection& conn, Message message) { conn.send(message); }
  };

  void on_head(connection::LiveConnection& connection) noexcept override {
    server::Handshake handshake(connection);
    if (connection.engine().request().target() == "/page") {
      if (pages_++ == 0) loop_.post([this] { pages_of_a_turn_ = pages_; });
      return handshake.respond(Response::text(std::string(page_bytes, 'x')));
    }
    handshake.accept({}, connection::session_type<Echo>, [](void* at) { ::new (at) Echo; });
  }
  void on_opening_over(connection::LiveConnection&) noexcept override {}
  void on_closed(connection::LiveConnection&) noexcept override {}
  void on_gone(connection::LiveConnection&) noexcept override {}

  SocketPair sockets_{};
  Loop loop_{};
  Workspace workspace_{};
  EngineOptions options_;
  std::size_t pages_ = 0;
  std::size_t pages_of_a_turn_ = 0;
  connection::Metrics metrics_{};
  LogSink log_{};
  connection::Shared shared_{loop_, workspace_, options_,
                             std::make_shared<connection::Registry>(loop_.core().mailbox()), log_};
  connection::Environment environment_{loop_.core(), metrics_, *this, shared_};
  std::thread thread_{};
};

std::string answer() { return upgrade_answer(upgrade_request()); }

TEST(ConnectionTransport, AWriteMayWaitForARead) {
  Rules rules{.writes_wait_for_reads = true};
  Stage stage(rules);
  const std::string frame = wire(Role::client, text("hi"));
  stage.send(upgrade_request());
  while (rules.writes == 0) stage.turn();
  const std::size_t before = rules.writes;
  for (int i = 0; i < 20; ++i) stage.turn();
  EXPECT_EQ(rules.writes, before) << "it spins instead of waiting";
  stage.send(frame.substr(0, 1));
  stage.expect(answer());
  stage.send(frame.substr(1));
  stage.expect(wire(Role::server, text("hi")));
}

TEST(ConnectionTransport, KeptBytesAreFlushed) {
  Rules rules{.keeps_writes = true};
  Stage stage(rules);
  stage.send(upgrade_request());
  stage.expect(answer());
  for (int i = 0; i < 3; ++i) {
    stage.send(wire(Role::client, text("hi")));
    stage.expect(wire(Role::server, text("hi")));
  }
  stage.send(wire(Role::client, closing(1000)));
  stage.expect(wire(Role::server, closing(1000)));
  stage.expect_end();
  EXPECT_GE(rules.flushes, 5u);
}

TEST(ConnectionTransport, ReadsInputThatTheSocketDoesNotReport) {
  Rules rules{.read_at_most = 7};
  Stage stage(rules);
  std::string all = upgrade_request();
  std::string answers = answer();
  for (int i = 0; i < 40; ++i) {
    all += wire(Role::client, text("message " + std::to_string(i)));
    answers += wire(Role::server, text("message " + std::to_string(i)));
  }
  stage.send(all);
  stage.expect(answers);
}

const std::string page_request = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";

std::string pages(std::size_t count) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 200\r\n\r\n";
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += head + std::string(Stage::page_bytes, 'x');
  return all;
}

// The next page is not served before the page before it is written, and no deadline wakes the loop.
TEST(ConnectionTransport, AnswersRequestsThatTheSocketDoesNotReport) {
  constexpr std::chrono::nanoseconds never = std::chrono::nanoseconds::max();
  Rules rules{.read_at_most = page_request.size(), .takes_nothing = true};
  Stage stage(rules, {.limits = {.low_water_bytes = Stage::page_bytes - 1},
                      .timeouts = {.stall = never, .http_idle = never}});
  stage.send(page_request + page_request + page_request);
  while (rules.writes == 0) stage.turn();
  rules.takes_nothing = false;
  stage.expect(pages(3));
}

// A turn allows 1 024 units of work, and a page costs 12 (connection/turn_budget.h). The clock is
// read every 16 units, so a few pages more are possible.
TEST(ConnectionTransport, TheEndOfATurnIsNotASecondTurn) {
  constexpr std::size_t count = 200;
  Rules rules;
  Stage stage(rules);
  std::string requests;
  for (std::size_t i = 0; i < count; ++i) requests += page_request;
  stage.send(requests);
  stage.expect(pages(count));
  stage.turn();
  EXPECT_LE(stage.pages_of_a_turn(), 90u);
}

}  // namespace
}  // namespace tern::test
