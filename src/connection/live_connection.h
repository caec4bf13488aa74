// The driver of a connection on a loop: it moves bytes between an engine and a transport and calls
// the session. It is the same for a server and for a client. The Owner does the parts that differ.
#pragma once

#include "tern/connection.h"
#include "tern/engine.h"

#include "connection/dispatch.h"
#include "connection/environment.h"
#include "connection/transfer.h"
#include "connection/transport_box.h"
#include "connection/turn_budget.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tern::topics {
struct Arrival;
class TopicRef;
class TopicState;
}  // namespace tern::topics

namespace tern::connection {

class Fanout;
struct Backlog;
struct Entry;
struct Extras;
struct LocalTopic;
struct Work;

struct DeleteExtras {
  void operator()(Extras* extras) const noexcept;
};

class LiveConnection final : public Connection,
                             private net::Watcher,
                             private net::Deferred,
                             private net::Timer {
 public:
  /// Starts to drive `engine` over a connected socket. Output that the engine has already, such as
  /// a client's request, is written at the end of the turn. The connection owns itself from then
  /// on; if epoll has no room, it has already ended when this returns.
  /// Errors: null if memory is out. Then the socket is closed and the owner receives no event.
  static LiveConnection* start(net::Fd socket, Engine&& engine, Environment& environment) noexcept {
    return start_any(std::move(socket), std::move(engine), environment);
  }
  /// The same over a transport of any kind, whose socket is connected.
  static LiveConnection* start(std::unique_ptr<net::Transport> transport, Engine&& engine,
                               Environment& environment) noexcept {
    return start_any(std::move(transport), std::move(engine), environment);
  }

  // ---- for the application, behind the functions of Connection

  SendStatus send(Message message, SendOptions options) noexcept;
  SendStatus send(const SharedMessage& message, SendOptions options) noexcept;
  void ping(std::span<const std::byte> payload) noexcept;
  void close(CloseCode code, std::string_view reason) noexcept;
  void finish(CloseCode code, std::string_view reason) noexcept;
  /// Ends TCP at once; on_close receives `why`.
  void terminate(std::error_code why) noexcept;
  void pause() noexcept;
  void resume() noexcept;
  const ResponseHead* response() const noexcept;
  std::string remote_address() const;
  Handle handle() const noexcept;
  TimerId start_timer(Loop::Duration delay, bool repeat,
                      UniqueFunction<void(Connection&)> function);
  bool cancel_timer(TimerId timer) noexcept;
  Result<Subscribed> subscribe(std::string_view topic, SubscribeOptions options) noexcept;
  bool unsubscribe(std::string_view topic) noexcept;
  PublishStatus publish(std::string_view topic, Message message, SendOptions options) noexcept;
  PublishStatus publish(const Topic& topic, Message message, SendOptions options) noexcept;

  // ---- for the fan-out of its worker

  /// Writes what is pending for a subscription of this connection, up to the window of the topic.
  /// If other topics have much before that, it writes a part. Calls no code of the application.
  Work deliver(LocalTopic& topic, Entry& entry) noexcept;
  Extras* extras() noexcept { return extras_.get(); }
  /// The answer to the question of a subscription is there, see Fanout::on_history().
  void on_history(LocalTopic& topic, bool known) noexcept;
  /// Tells the session which topics have a gap of their bridge, and does what the bridge's options
  /// want then.
  void tell_bridge_gaps() noexcept;
  /// Returns whether it takes the compressed form that connections share.
  bool shares_compression() const noexcept;

  // ---- for the owner

  Engine& engine() noexcept { return engine_; }
  const Engine& engine() const noexcept { return engine_; }
  Environment& environment() const noexcept { return *environment_; }
  SessionBox& session() noexcept { return session_; }
  /// Like Request::client_subject().
  std::string peer_subject() const { return transport_->peer_subject(); }
  const net::Transport& transport() const noexcept { return *transport_; }
  Registry::Place place() const noexcept {
    return {slot_, environment_->shared.registry->generation(slot_)};
  }
  /// Returns whether the opening handshake goes on: Owner::on_opening_over is still to come.
  bool is_opening() const noexcept { return state_ == State::opening; }
  /// Returns whether a function of this connection, and maybe of its session, runs now.
  bool is_busy() const noexcept { return in_turn_ || in_call_; }
  /// Returns whether all is written and this end waits only for the peer's FIN.
  bool is_lingering() const noexcept { return state_ == State::lingering; }
  /// The address of the machine that is connected, a proxy or the client. A system call. Throws
  /// std::bad_alloc.
  std::string peer_address() const;
  /// The client that a trusted proxy tells for the request that waits; empty: none.
  /// remote_address() returns it from now on. Throws std::bad_alloc.
  void set_remote_address(std::string address);
  bool has_told_address() const noexcept;
  /// Until the request that waits is answered, `left` becomes true when the peer ends its direction
  /// or the connection ends. Throws std::bad_alloc.
  void watch_peer(std::shared_ptr<std::atomic<bool>> left);
  /// When the peer's last message came, or when the connection opened; see LoopCore::moment().
  std::uint32_t active_at() const noexcept { return active_at_; }
  /// Whether it was accepted by an owner that drains.
  bool is_late() const noexcept { return late_; }
  void set_late() noexcept { late_ = true; }
  /// Gives the log a name for this connection: Owner::name_of() translates the label.
  void set_label(std::uint16_t label) noexcept { label_ = label; }
  std::string_view name() const noexcept { return environment_->owner.name_of(label_); }

  /// Checks the thread and gives the engine the time of this turn. Each call from outside a turn
  /// begins with it.
  void begin_call() noexcept;
  /// Constructs the session by `construct(void* memory)`. Returns false, and logs it, if that
  /// throws.
  template <class F>
  bool make_session(const SessionType& type, F&& construct) noexcept {
    return call_application("the session's constructor",
                            [&] { session_.emplace(type, construct); });
  }
  /// The owner has answered the peer's head. Ends the opening handshake, and continues with the
  /// input behind the head.
  void head_answered() noexcept;
  /// Ends the opening handshake; does nothing when it is over.
  void end_opening() noexcept;
  /// Ends the connection now, and calls on_close: for a loop that will not run again.
  void abandon() noexcept;

  /// Returns whether the queue takes a message of this size. If not, Owner::on_drained follows.
  bool has_room_for(std::size_t bytes) noexcept;

  /// Calls a function of the application with this connection. An exception ends the connection
  /// with 1011.
  void call(UniqueFunction<void(Connection&)>& function) noexcept;
  /// Calls a function of the application. Returns false if it threw. Then the log has the label and
  /// the peer, and the caller ends the connection with 1011.
  template <class F>
  bool call_application(std::string_view what, F&& function) noexcept {
    try {
      std::forward<F>(function)();
      return true;
    } catch (...) {
      on_exception(what);
      return false;
    }
  }

 private:
  // The number of bytes that one read may put into the shared buffer. Bytes that a turn does not
  // handle must be copied and kept. So a connection begins with small reads, and it returns to
  // small reads when its input was more work than a turn allows.
  static constexpr std::uint32_t small_read = std::uint32_t{64} << 10;
  static constexpr std::uint32_t whole_read = net::LoopCore::receive_buffer_bytes;

  struct TimerTask;
  enum class State : std::uint8_t {
    opening,    // the opening handshake goes on
    serving,    // the handshake is over, and the engine is not
    lingering,  // all is written and FIN is sent; input is discarded until the peer ends, too
    gone,       // retired; destroyed at the end of the turn
  };

  template <class T>
  static LiveConnection* start_any(T transport, Engine&& engine, Environment& environment) noexcept;
  template <class T>
  LiveConnection(T transport, Engine&& engine, Environment& environment) noexcept
      : environment_(&environment), engine_(std::move(engine)), transport_(std::move(transport)) {}
  ~LiveConnection();

  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;
  void at_turn_end() noexcept override;
  void on_retired() noexcept override { delete this; }
  /// The engine is in charge: neither lingering nor gone.
  bool engine_runs() const noexcept { return state_ <= State::serving; }

  // life.cc
  void die() noexcept;
  // live_connection.cc
  void defer_to_turn_end() noexcept;
  void finish_turn(TurnBudget& budget) noexcept;
  bool goes_on() const noexcept;
  bool may_read() const noexcept;
  void read(TurnBudget& budget) noexcept;
  void on_read_failed(std::error_code error, TurnBudget& budget) noexcept;
  void on_broken() noexcept;
  void pump(TurnBudget& budget) noexcept;
  void pump_end() noexcept;
  void on_message(Event event) noexcept;
  void flush() noexcept;
  [[gnu::cold]] void on_write_failed(std::error_code error) noexcept;
  void update_interest() noexcept;
  void update_timer() noexcept;
  // events.cc
  void on_event(Event event, TurnBudget& budget) noexcept;
  void pull_body() noexcept;
  [[gnu::cold]] void tell_peer_left() noexcept;
  [[gnu::cold]] void forget_watch() noexcept;
  void on_open() noexcept;
  bool open_session() noexcept;
  void on_ping(Message payload) noexcept;
  void on_pong(Message payload) noexcept;
  void on_closed() noexcept;
  void drain() noexcept;
  // deadlines.cc
  void judge(net::Timer::time_point due, net::Timer::time_point now) noexcept;
  bool deserves_time(net::Timer::time_point due, net::Timer::time_point now) noexcept;
  void start_linger() noexcept;
  void linger() noexcept;
  void wait_for_fin() noexcept;
  void on_linger_timer() noexcept;
  // connection.cc
  void cancel_timers() noexcept;
  Extras& make_extras();
  void make_room(std::size_t bytes) noexcept;
  SendStatus after_send(SendStatus status) noexcept;
  void report_text() noexcept;
  void report_code(CloseCode code) const noexcept;
  [[gnu::cold]] void on_exception(std::string_view what) noexcept;
  void run_timer(TimerTask& task) noexcept;
  // subscriber.cc
  Result<Subscribed> subscribe_to(Fanout& fanout, const topics::TopicRef& topic,
                                  SubscribeOptions options);
  std::size_t find_subscription(const topics::TopicState& topic) const noexcept;
  void limit_unsent() noexcept;
  void leave_topics() noexcept;
  std::uint64_t place_word() const noexcept;
  bool is_own(const topics::Arrival& arrival) const noexcept;
  bool pass(const SharedMessage& message, bool compress) noexcept;
  void take_publications(LocalTopic& topic, Entry& entry, topics::Arrival& first,
                         std::uint64_t last) noexcept;
  Work take_all_publications(std::uint64_t last, Work most) noexcept;
  bool deliver_direct(LocalTopic& topic, Entry& entry) noexcept;
  bool deliver_joined(const LocalTopic& topic, Entry& entry) noexcept;
  bool write_direct(Entry& entry, const topics::Arrival* first, std::span<const iovec> frames,
                    Work all) noexcept;
  void after_part(Entry& entry, const topics::Arrival* at,
                  const net::Transport::Transfer& put) noexcept;
  bool has_pending() const noexcept;
  void deliver_pending() noexcept;
  void skip(const Entry& entry, std::uint64_t count = 1) noexcept;
  void lose(const Entry& entry, std::uint64_t count) noexcept;
  void become_stale(LocalTopic& topic, Entry& entry, const topics::Arrival& first) noexcept;
  void hold(LocalTopic& topic, Entry& entry, const topics::Arrival& first) noexcept;
  void add_to_backlog(LocalTopic& topic, Entry& entry, const topics::Arrival& arrival) noexcept;
  // bridged.cc
  Subscribed ask_for_history(topics::TopicState& topic, const SubscribeOptions& options) noexcept;
  void wait_for_position(topics::TopicState& topic, Entry& entry, Subscribed& subscribed) noexcept;
  void begin_with_history(LocalTopic& topic, Entry& entry, Backlog& backlog, bool known) noexcept;
  void tell_subscribed(topics::TopicState& state, const Subscribed& subscribed) noexcept;
  void tell_bridge_gap(std::size_t index) noexcept;
  void tell_gap(topics::TopicState& state, std::uint64_t missed) noexcept;
  void close_soon(std::chrono::nanoseconds spread) noexcept;
  // waiting.cc
  void serve_waiting() noexcept;
  void serve_backlogs() noexcept;
  bool send_backlog(Backlog& backlog) noexcept;
  bool send_kept(Backlog& backlog, Entry& entry) noexcept;
  bool read_on(Backlog& backlog, Entry& entry) noexcept;
  void serve_stale() noexcept;
  void hold_newest(LocalTopic& topic, Entry& entry);
  void report_gaps() noexcept;

  // Beside Timer there is room for four bytes.
  std::uint32_t slot_ = 0;
  Environment* environment_;
  Engine engine_;
  TransportBox transport_;
  SessionBox session_{};
  std::unique_ptr<Extras, DeleteExtras> extras_{};
  union {
    std::uint32_t active_at_ = 0;  // until it lingers
    std::uint32_t discarded_;      // while lingering: bytes
  };
  std::uint32_t acknowledged_ = 0;  // while lingering: at the last look
  std::uint16_t label_ = 0;
  std::uint8_t interest_ = 0;  // what epoll was asked for
  State state_ = State::opening;
  Blocked blocked_ = Blocked::no;
  bool in_turn_ : 1 = false;     // on_ready runs, and it will flush
  bool in_call_ : 1 = false;     // a posted function or a timer of the application runs
  bool shows_head_ : 1 = false;  // the session is constructed, or its on_open runs
  bool paused_ : 1 = false;
  bool congested_ : 1 = false;      // on_drain must be called when the queue is short
  bool read_ended_ : 1 = false;     // the peer's FIN, or a failure
  bool reads_whole_ : 1 = false;    // one read may fill whole_read, not only small_read
  bool waits_ : 1 = false;          // publications wait for the end of a turn or a short queue
  bool more_ : 1 = false;           // the transport holds input that epoll does not report
  bool text_reported_ : 1 = false;  // a text that is not UTF-8 was logged
  bool mute_ : 1 = false;           // a reset destroys nothing that the peer should receive
  bool looked_ : 1 = false;         // while lingering: acknowledged_ is known
  bool full_ : 1 = false;           // while lingering: no more is discarded
  bool late_ : 1 = false;           // see is_late()
};

// A queue beyond max_unflushed is written at once, not at the end of the turn. The queue is judged
// only after an attempt to write. So a fast peer does not suffer from a handler that sends much.
inline void LiveConnection::make_room(std::size_t bytes) noexcept {
  constexpr std::size_t max_unflushed = std::size_t{512} << 10;
  if (!engine_.is_crowded(bytes, max_unflushed)) [[likely]]
    return;
  if (engine_.would_overflow(bytes)) blocked_ = Blocked::no;
  flush();
}

}  // namespace tern::connection
