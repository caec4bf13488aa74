// X22: user code ends the connection or the server in every callback, in every way: on_open,
// on_message, on_drain, on_close after a closing handshake and after an error, a timer, a repeated
// timer, a posted function. Pings and pongs have no callback. A Server cannot be destroyed while
// run() runs, so stop() with a deadline of 0 is the nearest case.
// Pass: each pair is legal. There is one on_close for each on_open, the action ran at least once,
// and others are served as before. CI has the full size: 8 callbacks by 8 actions.
#include "faults/support/attacked.h"
#include "support/raw_client.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

enum class Callback { open, message, drain, close, error, timer, interval, posted };
constexpr std::array<const char*, 8> callbacks = {"on_open",  "on_message", "on_drain", "on_close",
                                                  "an error", "after",      "every",    "post"};
enum class Deed { close, terminate, send_and_close, flood, pause, fail, close_by_handle, stop };
constexpr std::array<const char*, 8> deeds = {"close", "terminate", "send, close", "overflow",
                                              "pause", "throw",     "Handle",      "stop"};

// A route that runs one action in one callback.
class Cell {
 public:
  Cell(Attacked& attacked, Callback where, Deed what)
      : attacked_(attacked), where_(where), what_(what) {
    attacked.server.route(
        path(),
        Handlers{
            .on_open = [this](Connection& conn) { on_open(conn); },
            .on_message = [this](Connection& conn, Message) { act(Callback::message, conn); },
            .on_drain = [this](Connection& conn) { act(Callback::drain, conn); },
            .on_close = [this](Connection& conn, const CloseInfo& info) { on_close(conn, info); },
        });
  }

  std::string path() const {
    return "/" + std::to_string(static_cast<int>(where_)) + "/" +
           std::to_string(static_cast<int>(what_));
  }
  std::string name() const {
    return std::string(deeds[static_cast<std::size_t>(what_)]) + " in " +
           callbacks[static_cast<std::size_t>(where_)];
  }
  int done() const { return done_; }

  // Causes the callback, then reads to the end.
  void provoke(std::uint16_t port) const {
    RawClient client(port);
    // terminate() in on_open discards the queue, which contains the 101.
    if (!client.upgrade(path())) return;
    if (where_ == Callback::message) client.send(text("go"));
    if (where_ == Callback::close) client.send(closing(1000));
    if (where_ == Callback::error) return client.reset();
    for (auto frame = client.frame(); frame; frame = client.frame()) {
      if (frame->opcode == 8) client.send(closing(1000));
    }
  }

 private:
  void on_open(Connection& conn) {
    ++attacked_.opened;
    act(Callback::open, conn);
    const auto act_on = [this](Callback where) {
      return [this, where](Connection& same) { act(where, same); };
    };
    if (where_ == Callback::timer) conn.after(1ms, act_on(Callback::timer));
    if (where_ == Callback::interval) conn.every(1ms, act_on(Callback::interval));
    if (where_ == Callback::posted) conn.handle().post(act_on(Callback::posted));
    if (where_ == Callback::drain) conn.send(std::string(400'000, 'x'));
  }
  void on_close(Connection& conn, const CloseInfo& info) {
    attacked_.ended(info);
    act(info.error ? Callback::error : Callback::close, conn);
  }
  void act(Callback callback, Connection& conn) {
    if (callback != where_) return;
    ++done_;
    switch (what_) {
      case Deed::close:
        return conn.close(CloseCode::normal, "done");
      case Deed::terminate:
        return conn.terminate();
      case Deed::send_and_close:
        conn.send("last words");
        conn.ping();
        conn.close();
        conn.close(CloseCode::going_away);
        EXPECT_EQ(conn.send("too late"), SendStatus::closed) << name();
        return;
      case Deed::flood:
        for (int i = 0; i < 200 && conn.send(std::string(100'000, 'x')); ++i) {
        }
        return conn.close();
      case Deed::pause:
        conn.pause();
        conn.resume();
        conn.pause();
        conn.resume();
        return conn.close();
      case Deed::fail:
        throw std::runtime_error("on purpose");
      case Deed::close_by_handle:
        conn.handle().send("by handle");
        conn.handle().close();
        conn.handle().post([](Connection& same) { same.terminate(); });
        return;
      case Deed::stop:
        return attacked_.server.stop(0ms);
    }
  }

  Attacked& attacked_;
  Callback where_;
  Deed what_;
  std::atomic<int> done_ = 0;
};

void every_callback(Deed deed) {
  Attacked attacked;
  attacked.listening = false;
  std::vector<std::unique_ptr<Cell>> cells;
  for (std::size_t i = 0; i < callbacks.size(); ++i) {
    cells.push_back(std::make_unique<Cell>(attacked, static_cast<Callback>(i), deed));
  }
  const std::uint16_t port = attacked.start();
  const auto attack = [&] {
    for (const auto& cell : cells) {
      SCOPED_TRACE(cell->name());
      const int before = cell->done();
      const int ends = attacked.closed;
      cell->provoke(port);
      EXPECT_TRUE(eventually([&] { return attacked.closed == ends + 1; }));
      EXPECT_GE(cell->done(), before + 1);
    }
    return cells.size();
  };
  strike_until_level(attacked.server, attack, [&] {
    EXPECT_EQ(clean_echoes(port), 1'001u);
    EXPECT_TRUE(attacked.deserted());
  });
  EXPECT_EQ(attacked.opened, attacked.closed);
}

TEST(Faults, X22_CloseInEveryCallbackIsOneOnClose) { every_callback(Deed::close); }
TEST(Faults, X22_TerminateInEveryCallbackIsOneOnClose) { every_callback(Deed::terminate); }
TEST(Faults, X22_SendAndCloseInEveryCallbackIsOneOnClose) { every_callback(Deed::send_and_close); }
TEST(Faults, X22_OverflowInEveryCallbackIsOneOnClose) { every_callback(Deed::flood); }
TEST(Faults, X22_PauseAndCloseInEveryCallbackIsOneOnClose) { every_callback(Deed::pause); }
TEST(Faults, X22_ThrowInEveryCallbackIsOneOnClose) { every_callback(Deed::fail); }
TEST(Faults, X22_CloseByHandleInEveryCallbackIsOneOnClose) {
  every_callback(Deed::close_by_handle);
}

// Each callback has a server of its own, because the action stops it. Another client is connected
// at the same time.
TEST(Faults, X22_StopAtOnceInEveryCallbackEndsAllConnections) {
  const std::size_t before = open_descriptors();
  for (std::size_t i = 0; i < callbacks.size(); ++i) {
    Attacked attacked;
    attacked.listening = false;
    const Cell cell(attacked, static_cast<Callback>(i), Deed::stop);
    SCOPED_TRACE(cell.name());
    const std::uint16_t port = attacked.start();
    RawClient other(port);
    ASSERT_TRUE(other.upgrade());
    cell.provoke(port);
    attacked.join();
    EXPECT_GE(cell.done(), 1);
    EXPECT_EQ(attacked.opened, 2);
    EXPECT_EQ(attacked.closed, 2);
    EXPECT_EQ(attacked.server.counters().connections_open, 0u);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace tern::test
