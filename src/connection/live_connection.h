// Where the engine meets the transport: a connection on a loop.
#pragma once

#include "tern/connection.h"
#include "tern/engine.h"

#include "connection/dispatch.h"
#include "connection/environment.h"
#include "connection/transport_box.h"
#include "connection/turn_budget.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tern::connection {

class LiveConnection final : public Connection,
                             private net::Watcher,
                             private net::Timer,
                             private net::Deferred {
 public:
  /// Takes over a connected socket and starts to serve it; owns itself from then on. Null when
  /// memory or the kernel's tables are full: then the socket is closed.
  static LiveConnection* adopt(net::Fd socket, Environment& environment) noexcept {
    return start(std::move(socket), environment);
  }
  /// The same for a transport of any kind.
  static LiveConnection* adopt(std::unique_ptr<net::Transport> transport,
                               Environment& environment) noexcept {
    return start(std::move(transport), environment);
  }

  // The API of Connection, in the same words.
  SendStatus send(Message message, SendOptions options) noexcept;
  SendStatus send(const SharedMessage& message, SendOptions options) noexcept;
  void ping(std::span<const std::byte> payload) noexcept;
  void close(CloseCode code, std::string_view reason) noexcept;
  /// Ends TCP at once; `why` is what on_close is told.
  void terminate(std::error_code why) noexcept;
  void pause() noexcept;
  void resume() noexcept;
  Engine& engine() noexcept { return engine_; }
  const Engine& engine() const noexcept { return engine_; }
  std::string remote_address() const;
  /// As Request::client_subject().
  std::string peer_subject() const { return transport_->peer_subject(); }
  Environment& environment() const noexcept { return *environment_; }
  Handle handle() const noexcept;
  SessionBox& session() noexcept { return session_; }
  Registry::Place place() const noexcept {
    return {slot_, environment_->registry->generation(slot_)};
  }
  /// Neither upgraded nor answered nor given up yet.
  bool handshaking() const noexcept { return handshaking_; }
  TimerId start_timer(Loop::Duration delay, bool repeat,
                      UniqueFunction<void(Connection&)> function);
  bool cancel_timer(TimerId timer) noexcept;
  /// Calls a function of the application with this connection; an exception ends it with 1011.
  void call(UniqueFunction<void(Connection&)>& function) noexcept;

  /// Calls a function of the application. False when it threw: that is logged with the route and
  /// the peer, and the caller ends the connection with 1011.
  template <class F>
  [[gnu::always_inline]] bool call_application(std::string_view what, F&& function) noexcept {
    try {
      std::forward<F>(function)();
      return true;
    } catch (...) {
      on_exception(what);
      return false;
    }
  }
  /// For the owner, in on_request: which route the request is given to, see Owner::route_name.
  void set_route(std::uint16_t route) noexcept { route_ = route; }

  // For the owner, after on_request; without effect when it was answered or is over.

  /// Constructs the session by `construct(void* memory)` and answers 101.
  template <class F>
  void accept(const Accept& accept, const SessionType& type, F&& construct) noexcept {
    if (!begin_answer()) return;
    const bool made =
        call_application("the session's constructor", [&] { session_.emplace(type, construct); });
    made ? answered(engine_.accept(accept)) : respond_internal_error();
  }
  /// Answers 500. Without memory for an answer the connection ends.
  void respond_internal_error() noexcept;
  /// Refuses a request that is no proper upgrade, with the status that fits.
  void refuse() noexcept;
  void respond(const Response& response) noexcept;
  /// Answers 500, since the application's answer is not fit to be sent, and logs why.
  void reject_answer(std::string_view why) noexcept;
  /// The loop is about to end: closes with 1001; one that only lingers goes at once.
  void part() noexcept;
  /// Ends a handshake that is in progress; it counts no more from now on.
  void give_up(std::error_code why) noexcept;
  /// Ends it here and now, telling its session: for a loop that will not run again.
  void abandon() noexcept;

 private:
  // How much of the shared buffer one read may fill. What a turn does not handle is kept in memory:
  // so a connection begins with small reads, and it goes back to them when its input was more work
  // than a turn allows.
  static constexpr std::uint32_t small_read = std::uint32_t{64} << 10;
  static constexpr std::uint32_t whole_read = net::LoopCore::receive_buffer_bytes;

  struct TimerTask;
  enum class State : std::uint8_t {
    serving,    // the engine is in charge
    lingering,  // all is written and FIN is sent: input is thrown away until the peer ends, too
    gone,       // retired; destroyed at the end of the turn
  };

  template <class T>
  static LiveConnection* start(T transport, Environment& environment) noexcept;
  template <class T>
  LiveConnection(T transport, Environment& environment, Engine engine) noexcept
      : environment_(&environment), engine_(std::move(engine)), transport_(std::move(transport)) {}
  ~LiveConnection();

  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;
  void at_turn_end() noexcept override;
  void on_retired() noexcept override { delete this; }

  // life.cc
  void die() noexcept;
  // live_connection.cc
  void touch() noexcept;
  bool may_read() const noexcept;
  void read(TurnBudget& budget) noexcept;
  void on_read_failed(std::error_code error, TurnBudget& budget) noexcept;
  void pump(TurnBudget& budget) noexcept;
  void pump_end() noexcept;
  void on_message(const Event& event) noexcept;
  void on_event(const Event& event, TurnBudget& budget) noexcept;
  void on_broken() noexcept;
  void on_closed() noexcept;
  void handshake_over() noexcept;
  void flush() noexcept;
  void drain() noexcept;
  void finish_turn(TurnBudget& budget) noexcept;
  bool goes_on() const noexcept;
  void update_interest() noexcept;
  void update_timer() noexcept;
  // deadlines.cc
  void judge(net::Timer::time_point due, net::Timer::time_point now) noexcept;
  bool deserves_time(net::Timer::time_point due, net::Timer::time_point now) noexcept;
  void start_linger() noexcept;
  void linger() noexcept;
  void wait_for_fin() noexcept;
  void on_linger_timer() noexcept;
  // connection.cc
  void cancel_timers() noexcept;
  void begin_call() noexcept;
  bool begin_answer() noexcept;
  void make_room(std::size_t bytes) noexcept;
  SendStatus after_send(SendStatus status) noexcept;
  void report_text() noexcept;
  void answered(std::error_code error) noexcept;
  std::string refusal_text(std::error_code error) const;
  [[gnu::cold]] void on_exception(std::string_view what) noexcept;
  void run_timer(TimerTask& task) noexcept;

  Environment* environment_;
  Engine engine_;
  TransportBox transport_;
  SessionBox session_{};
  std::unique_ptr<std::vector<TimerId>> timers_{};
  std::uint32_t slot_ = 0;
  std::uint32_t discarded_ = 0;     // while lingering
  std::uint32_t acknowledged_ = 0;  // while lingering: at the last look
  std::uint32_t read_limit_ = small_read;
  std::uint16_t route_ = 0;
  std::uint8_t interest_ = 0;  // what epoll was asked for
  State state_ = State::serving;
  bool in_turn_ : 1 = false;  // on_ready runs: it will flush
  bool paused_ : 1 = false;
  bool congested_ : 1 = false;         // on_drain is owed
  bool blocked_ : 1 = false;           // the transport takes no more for now
  bool write_needs_read_ : 1 = false;  // blocked until there is something to read
  bool read_ended_ : 1 = false;        // the peer's FIN, or a failure
  bool more_ : 1 = false;              // the transport holds input that epoll does not tell of
  bool handshaking_ : 1 = true;
  bool text_reported_ : 1 = false;  // a text that is not UTF-8 was logged
  bool mute_ : 1 = false;           // it ends before anything was said that a reset could destroy
  bool looked_ : 1 = false;         // while lingering: acknowledged_ is known
  bool full_ : 1 = false;           // while lingering: no more is thrown away
};

}  // namespace tern::connection
