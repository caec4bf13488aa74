// X36: user code ends, stops or restarts a client on a loop in every callback: the constructor of
// the session, its handlers, timers and posted functions, on_ended, Retry::again, before_attempt,
// on_request, the log, and a timer of the loop. It destroys the Client, stops it, connects again,
// sends, throws, or ends the loop.
//
// Pass: each pair is legal. There is one on_close for each on_open, and each constructed session is
// destroyed. A call that ends the client gives one last on_ended, and the destructor gives none. No
// callback comes after the destructor, except on_close of a session whose function destroyed the
// Client. State and calls agree. Afterwards no connection and no descriptor is left.
// CI has the full size: 18 callbacks by 9 actions.
#include "tern/client.h"

#include "faults/support/attacked.h"
#include "support/recorded_client.h"
#include "support/socket_peer.h"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tern::test {
namespace {

enum class Place {
  constructor,
  open,
  message,
  drain,
  pong,
  close,
  error,
  timer,
  posted,
  ended,
  failed,
  again_after_end,
  again_after_failure,
  first_attempt,
  next_attempt,
  request,
  proxy_request,
  log,
};
constexpr std::array<const char*, 18> places = {"the constructor",
                                                "on_open",
                                                "on_message",
                                                "on_drain",
                                                "on_pong",
                                                "on_close",
                                                "an error",
                                                "after",
                                                "post",
                                                "on_ended",
                                                "a failure",
                                                "again after an end",
                                                "again after a failure",
                                                "the first attempt",
                                                "the next attempt",
                                                "on_request",
                                                "on_request for a proxy",
                                                "the log"};

enum class Deed { destroy, stop, reconnect, stop_reconnect, reconnect_stop, send, fail, quit, end };
constexpr std::array<const char*, 9> deeds = {
    "destroy", "stop",  "reconnect",     "stop, reconnect",   "reconnect, stop",
    "send",    "throw", "stop the loop", "end the connection"};

// A client that runs one action in one callback, once.
class Cell {
 public:
  Cell(Place where, Deed what) : where_(where), what_(what) {}

  void run(const std::string& url, const std::string& refused) {
    ClientOptions options{.retry = quick()};
    options.dial.limits.high_water_bytes = 1'000;
    options.dial.limits.low_water_bytes = 100;
    options.outbox = Outbox{};
    options.on_ended = [this](const Ended& ended) { on_ended(ended); };
    options.retry.again = [this](const Ended& ended) { return again(ended); };
    options.before_attempt = [this](Attempt attempt) { before(std::move(attempt)); };
    options.on_request = [this](std::string_view head) {
      expect_alive();
      act(head.starts_with("CONNECT ") ? Place::proxy_request : Place::request);
    };
    if (where_ == Place::proxy_request) {  // the server refuses CONNECT
      options.dial.proxy = *Proxy::parse("http" + url.substr(2, url.rfind('/') - 2));
    }
    options.log = [this](const LogRecord&) { act(Place::log); };
    const bool fails = where_ == Place::failed || where_ == Place::again_after_failure ||
                       where_ == Place::next_attempt || where_ == Place::log;
    client_.emplace(*loop_, fails ? refused : url, std::move(options));
    ASSERT_TRUE(client_->connect<Session>(std::ref(*this)));
    test::run(*loop_);
    EXPECT_EQ(acted_, 1);
    if (what_ == Deed::quit) loop_.reset();  // it ends before the client
    if (client_) check_stopped();
    client_.reset();
    EXPECT_EQ(opened_, closed_) << "on_open and on_close come in pairs";
    EXPECT_EQ(sessions_, 0) << "a session is left";
    if (what_ == Deed::destroy) {
      EXPECT_EQ(last_, 0) << "the destructor gives no on_ended";
    } else {
      EXPECT_EQ(last_, 1) << "the last on_ended";
    }
  }

 private:
  class Session {
   public:
    explicit Session(Cell& cell) : cell_(cell) {
      cell_.act(Place::constructor);
      ++cell_.sessions_;
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { --cell_.sessions_; }

    void on_open(Connection& conn) {
      ++cell_.opened_;
      cell_.conn_ = &conn;
      cell_.act(Place::open);
      if (cell_.where_ == Place::timer) {
        conn.after({}, [&cell = cell_](Connection&) { cell.act(Place::timer); });
      }
      if (cell_.where_ == Place::posted) {
        conn.handle().post([&cell = cell_](Connection&) { cell.act(Place::posted); });
      }
      conn.send(cell_.where_ == Place::drain ? std::string(200'000, 'x') : std::string("x"));
      conn.ping();
    }
    void on_message(Connection& conn, Message) {
      cell_.expect_alive();
      cell_.act(Place::message);
      const bool ends = cell_.where_ == Place::close || cell_.where_ == Place::ended ||
                        cell_.where_ == Place::again_after_end;
      if (ends) conn.close();
      if (cell_.where_ == Place::error) conn.terminate();
    }
    void on_drain(Connection&) {
      cell_.expect_alive();
      cell_.act(Place::drain);
    }
    void on_pong(Connection&, std::span<const std::byte>) {
      cell_.expect_alive();
      cell_.act(Place::pong);
    }
    void on_close(Connection&, const CloseInfo& info) {
      if (info.opened && cell_.opened_ > cell_.closed_) ++cell_.closed_;
      cell_.act(info.error ? Place::error : Place::close);
      cell_.conn_ = nullptr;
    }

   private:
    Cell& cell_;
  };

  void on_ended(const Ended& ended) {
    expect_alive();
    if (!ended.wait) ++last_;
    EXPECT_NE(ended.failure == nullptr, ended.close == nullptr);
    EXPECT_EQ(client_->state() == ClientState::stopped, !ended.wait.has_value());
    act(ended.close != nullptr ? Place::ended : Place::failed);
    if (client_ && client_->state() == ClientState::stopped && finishing_) loop_->stop();
  }
  bool again(const Ended& ended) {
    expect_alive();
    const bool transient = ended.transient;  // the view ends with the client
    act(ended.close != nullptr ? Place::again_after_end : Place::again_after_failure);
    return transient;
  }
  void before(Attempt attempt) {
    expect_alive();
    act(attempt.failures() == 0 ? Place::first_attempt : Place::next_attempt);
    attempt.go();
  }

  void act(Place here) {
    if (here != where_ || acted_ > 0) return;
    ++acted_;
    finish_in(5);
    switch (what_) {
      case Deed::destroy:
        return client_.reset();
      case Deed::stop:
        client_->stop();
        client_->stop();
        return;
      case Deed::reconnect:
        client_->reconnect();
        return client_->reconnect();
      case Deed::stop_reconnect:
        client_->stop();
        return client_->reconnect();
      case Deed::reconnect_stop:
        client_->reconnect();
        client_->stop();
        return;
      case Deed::send:
        client_->settle();
        client_->handle().send("by handle");
        EXPECT_TRUE(client_->send("kept or sent") || client_->state() == ClientState::stopped);
        return;
      case Deed::fail:
        throw std::runtime_error("on purpose");
      case Deed::quit:
        return loop_->stop();
      case Deed::end:
        if (conn_ != nullptr) conn_->close();
        return;
    }
  }

  // Some turns later, the client is stopped. The loop runs until it has reported that.
  void finish_in(int turns) {
    if (turns > 0) {
      loop_->post([this, turns] { finish_in(turns - 1); });
      return;
    }
    finishing_ = true;
    if (!client_ || client_->state() == ClientState::stopped) return loop_->stop();
    client_->stop();
  }

  void expect_alive() const { EXPECT_TRUE(client_) << "a callback after the destructor"; }

  void check_stopped() {
    EXPECT_EQ(client_->state(), ClientState::stopped);
    EXPECT_EQ(client_->send("late"), SendStatus::closed);
    EXPECT_FALSE(client_->next_attempt());
    client_->settle();
  }

  const Place where_;
  const Deed what_;
  std::unique_ptr<Loop> loop_ = std::make_unique<Loop>();
  std::optional<Client> client_{};
  Connection* conn_ = nullptr;
  int acted_ = 0;
  int opened_ = 0;
  int closed_ = 0;
  int sessions_ = 0;
  int last_ = 0;
  bool finishing_ = false;
};

void in_every_callback(Deed deed) {
  const std::size_t before = open_descriptors();
  {
    Attacked echoes;
    echoes.listening = false;
    echoes.start();
    const RefusedPort refused;
    for (std::size_t i = 0; i < places.size(); ++i) {
      SCOPED_TRACE(std::string(deeds[static_cast<std::size_t>(deed)]) + " in " + places[i]);
      Cell(static_cast<Place>(i), deed).run(echoes.url(), refused.url());
      EXPECT_TRUE(echoes.deserted());
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Faults, X36_AClientMayBeDestroyedInEveryCallback) { in_every_callback(Deed::destroy); }
TEST(Faults, X36_AClientMayBeStoppedInEveryCallback) { in_every_callback(Deed::stop); }
TEST(Faults, X36_AClientMayReconnectInEveryCallback) { in_every_callback(Deed::reconnect); }
TEST(Faults, X36_AStopAndAReconnectInEveryCallback) { in_every_callback(Deed::stop_reconnect); }
TEST(Faults, X36_AReconnectAndAStopInEveryCallback) { in_every_callback(Deed::reconnect_stop); }
TEST(Faults, X36_AClientMaySendInEveryCallback) { in_every_callback(Deed::send); }
TEST(Faults, X36_EveryCallbackMayThrow) { in_every_callback(Deed::fail); }
TEST(Faults, X36_EveryCallbackMayStopTheLoop) { in_every_callback(Deed::quit); }
TEST(Faults, X36_EveryCallbackMayCloseTheConnection) { in_every_callback(Deed::end); }

}  // namespace
}  // namespace tern::test
