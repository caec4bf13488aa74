// The driver of a Client on its loop.
#pragma once

#include "tern/client.h"

#include "client/client_group.h"
#include "client/loop_attempt.h"
#include "client/outbox.h"
#include "client/pending_attempt.h"
#include "client/retry.h"
#include "client/shared_text.h"
#include "connection/environment.h"
#include "connection/live_connection.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace tern::client {

/// Attempts, waits and connections of one Client. Thread: the loop's; stop(), send(), handle() and
/// state() from any. Lifetime: the Client and its connections own it.
class LoopClient final : public std::enable_shared_from_this<LoopClient>,
                         private GroupMember,
                         private connection::Owner,
                         private LoopAttempt::Owner,
                         private net::Deferred,
                         private net::Timer {
 public:
  LoopClient(Loop& loop, std::string_view url, std::shared_ptr<ClientOptions> options);
  ~LoopClient();
  LoopClient(const LoopClient&) = delete;
  LoopClient& operator=(const LoopClient&) = delete;

  // The functions of Client. abandon() is its destructor.
  Result<void> start(std::unique_ptr<SessionMaker> maker);
  void abandon() noexcept;
  bool stop(CloseCode code, std::string_view reason) noexcept;
  void reconnect() noexcept;
  void settle() noexcept;
  Handle handle() const noexcept;
  SendStatus send(Message message, SendOptions options) noexcept;
  ClientState state() const noexcept { return state_.load(std::memory_order_relaxed); }
  std::optional<Loop::Clock::time_point> next_attempt() const noexcept;
  std::size_t dropped() const noexcept { return outbox_ ? outbox_->dropped() : 0; }
  std::optional<Error> error() const;
  StageTimes times() const noexcept {
    return attempt_ != nullptr ? attempt_->clock().times() : StageTimes();
  }

  /// The application has answered the attempt with this number.
  void on_answer(std::uint32_t number, AttemptAnswer answer) noexcept;

 private:
  // The work that waits for the end of the turn, because a function that the application calls
  // never calls the application.
  enum class Todo : std::uint8_t {
    nothing,
    attempt,
    replace,      // the open connection, by an attempt
    report_stop,  // stop() ended what ran
    restart,      // the same, and reconnect() came behind it
  };
  enum class Life : std::uint8_t {
    running,
    ending,  // the loop ends: nothing begins any more
    over,    // the Client is destroyed, or the loop has ended
  };

  struct StopPost {
    std::weak_ptr<LoopClient> client;
    std::shared_ptr<net::Mailbox> mailbox;
    void operator()() const noexcept;
  };

  // GroupMember
  void on_loop_end() noexcept override;
  // connection::Owner
  void on_head(connection::LiveConnection& connection) noexcept override;
  void on_opening_over(connection::LiveConnection& connection) noexcept override;
  void on_opened(connection::LiveConnection& connection) noexcept override;
  void on_drained(connection::LiveConnection& connection) noexcept override;
  void on_closed(connection::LiveConnection& connection) noexcept override;
  void on_gone(connection::LiveConnection& connection) noexcept override;
  // LoopAttempt::Owner
  void on_way_open(LoopAttempt& attempt) noexcept override;
  void on_proxy_request(LoopAttempt& attempt, std::string_view head) noexcept override;
  void on_way_failed(LoopAttempt& attempt, Error failure, Stage stage) noexcept override;
  // Timer, Deferred
  void on_timer(net::Timer::time_point now) noexcept override;
  void at_turn_end() noexcept override;
  void on_retired() noexcept override;

  const ClientOptions& options() const noexcept { return *settings_->options; }
  net::LoopCore& core() const noexcept { return environment_.core; }
  bool is_over() const noexcept { return life_ == Life::over; }
  bool is_running() const noexcept { return life_ == Life::running; }
  // The timer stays armed, because then no memory is needed to move it.
  void wait_until(Loop::Clock::time_point time) noexcept { core().timers().arm(*this, time); }
  void set_state(ClientState state) noexcept { state_.store(state, std::memory_order_relaxed); }
  ClientGroup& group() const noexcept { return *settings_->group; }
  void schedule(Todo todo) noexcept;
  void run(Todo todo) noexcept;

  // loop_client.cc: attempts and connections
  Result<void> check();
  Result<void> load(const TlsClient& options);
  void prepare() noexcept;
  void go(AttemptAnswer answer);
  void connect(LoopAttempt& attempt);
  void show_request(std::string_view head) noexcept;
  void on_refused(connection::LiveConnection& connection);
  void cancel() noexcept;
  void close_attempt() noexcept;
  void wait_for_release() noexcept;
  // client_end.cc: ends and what follows
  void fail(Error failure, Stage stage) noexcept;
  void end(const CloseInfo& info) noexcept;
  void conclude(Ended& ended, Verdict verdict,
                std::optional<std::chrono::nanoseconds> wait) noexcept;
  bool asks_again(const Ended& ended) noexcept;
  void halt(std::optional<Error> why) noexcept;
  void tell(const Ended& ended) noexcept;
  void report(const Ended& ended) noexcept;
  void log_end(const Ended& ended) noexcept;
  void note_stage() noexcept;
  void report_stop(std::optional<std::chrono::nanoseconds> wait = {}) noexcept;
  void report_end(const CloseInfo& info) noexcept;
  void stop_here(CloseCode code, std::string_view reason) noexcept;
  std::string shown_url() const noexcept;
  // client_send.cc: messages
  SendStatus send_here(Message message, SendOptions options);
  SendStatus keep(const SharedMessage& message, SendOptions options);
  SendStatus post(Message message, SendOptions options);
  void send_posted(const SharedMessage& message, SendOptions options) noexcept;
  void flush_outbox() noexcept;

  std::uint32_t connections_ = 0;     // those that are not freed
  std::uint32_t attempt_number_ = 0;  // an answer to another attempt comes too late
  const std::shared_ptr<const Settings> settings_;
  const SharedText url_;
  SharedText other_url_{};  // of this attempt, for people, if it is not that of the client
  connection::Environment environment_;
  std::unique_ptr<SessionMaker> maker_{};  // null: connect() was not called
  Backoff backoff_;
  std::unique_ptr<OutboxQueue> outbox_{};
  std::unique_ptr<std::stop_callback<StopPost>> on_stop_{};

  net::Fd given_{};                 // DialOptions::socket, until the first attempt uses it
  LoopAttempt* attempt_ = nullptr;  // until on_open has returned
  connection::LiveConnection* connection_ = nullptr;  // that counts; others only linger
  std::shared_ptr<LoopClient> self_{};                // set while there are connections
  Loop::Clock::time_point since_{};                   // open: since when; waiting: the next attempt
  std::optional<Error> error_{};
  std::atomic<std::uint64_t> place_{nowhere};  // of the open connection in the registry
  std::atomic<ClientState> state_{ClientState::idle};
  Todo todo_ = Todo::nothing;
  Stage stopped_at_ = Stage::prepare;
  bool stopping_ = false;  // stop() was called
  bool judging_ = false;   // Retry::again runs
  Life life_ = Life::running;

  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  static constexpr Loop::Clock::time_point no_attempt =
      Loop::Clock::time_point::max() - Loop::Clock::duration(1);
};

}  // namespace tern::client
