#pragma once

#include "tern/dial.h"
#include "tern/engine.h"

#include "client/steps.h"
#include "client/wait.h"
#include "connection/transfer.h"
#include "net/event.h"
#include "net/transport.h"
#include "tls/scratch.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::client {

/// The state behind a BlockingClient: an engine, its socket, and the threads that share them.
/// Thread: any thread may call any function; open() must return before the others are called.
class Session {
 public:
  /// Takes a connected transport and the scratch that it may need. `url` is for the texts of
  /// errors. `clock` has measured the steps so far. Throws std::bad_alloc.
  Session(std::unique_ptr<net::Transport> transport, std::unique_ptr<tls::Scratch[]> scratch,
          const DialOptions& options, std::string url, std::string remote_address,
          const StageClock& clock);

  /// Queues the request of the opening handshake. Errors: those of dial().
  Result<void> begin(ClientRequest request, Clock::time_point deadline);
  /// Waits for the end of the opening handshake, after begin(). Errors: those of dial().
  Result<void> open();
  /// A requested stop closes the connection from now on. After open().
  void close_at(std::stop_token stop) { on_stop_.emplace(std::move(stop), GoAway{*this}); }

  /// As BlockingClient::receive, with an absolute deadline. Throws std::bad_alloc.
  Result<MessageType> receive(std::string& payload, Clock::time_point deadline);
  /// As BlockingClient.
  Result<void> send(Message message, SendOptions options);
  /// As BlockingClient.
  Result<void> ping(std::span<const std::byte> payload);
  /// As BlockingClient.
  bool close(CloseCode code, std::string_view reason, std::chrono::nanoseconds timeout);
  /// As BlockingClient; `why` is the cause that is reported.
  void terminate(Errc why = Errc::terminated) noexcept;

  /// As BlockingClient.
  CloseInfo close_info() const;
  /// As BlockingClient.
  std::string_view protocol() const noexcept { return protocol_; }
  /// As BlockingClient.
  std::optional<DeflateAgreement> deflate() const;
  /// As BlockingClient.
  std::optional<RoundTrip> rtt() const;
  /// As BlockingClient.
  const StageTimes& times() const noexcept { return clock_.times(); }
  /// As BlockingClient.
  std::string header(std::string_view name) const;
  /// As BlockingClient.
  const std::string& remote_address() const noexcept { return remote_address_; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::size_t buffer_bytes = std::size_t{128} << 10;
  // A sending thread looks for input only this often, so that a message costs no further system
  // call.
  static constexpr std::chrono::milliseconds look_every{1};
  // A thread that received within this time will probably receive again soon. So the other threads
  // leave the messages to it.
  static constexpr std::chrono::seconds returns_within{1};

  struct Waiting {
    MessageType type;
    std::string payload;
  };
  struct GoAway {
    Session& session;
    void operator()() const noexcept { session.go_away(); }
  };

  // session_turn.cc: one thread waits for the socket, and the others wait for that thread.
  void wait(Lock& lock, Clock::time_point until);
  void drive(Lock& lock, Clock::time_point until);
  void report() noexcept;
  void turn(bool readable);
  bool wants_read() const noexcept;
  short interest() const noexcept;

  bool judge() noexcept;
  void look(bool at_once) noexcept;
  void read() noexcept;
  bool flush() noexcept;
  Event pull() noexcept;
  void take_in() noexcept;
  void drop_inbox() noexcept;
  bool takes_in() const noexcept;
  bool has_room() const noexcept { return inbox_bytes_ < options_.limits.max_message_bytes; }

  // session.cc
  bool may_send() const noexcept { return engine_->is_open() && !write_error_; }
  template <class F>
  void append(F&& function) noexcept;
  Result<void> written(Lock& lock);
  Error why_not_sent();
  void go_away() noexcept;

  bool has_tcp() const noexcept { return transport_ && !tcp_over_; }
  bool has_unsent() const noexcept { return has_tcp() && transport_->has_unsent(); }
  PeerProgress delivery() const noexcept {
    return has_tcp() ? transport_->delivery() : PeerProgress{};
  }
  std::string explanation() const;
  void on_end() noexcept;
  bool has_close_arrived() noexcept;
  enum class Leave : std::uint8_t { by_fin, as_it_ended };
  void end_tcp(Leave how = Leave::as_it_ended) noexcept;
  Error end_error() const;

  const std::string url_;
  const std::string remote_address_;
  StageClock clock_;                                           // stopped by open()
  std::string protocol_{};                                     // set by open()
  std::vector<std::pair<std::string, std::string>> fields_{};  // of the 101; set by open()
  const net::Opened bell_ = net::open_event();                 // wakes the thread that drives

  // Guards all members below. It is never held in poll.
  mutable std::mutex mutex_{};
  std::condition_variable changed_{};  // something happened that a waiting thread may wait for
  EngineOptions options_;
  Workspace workspace_{};
  std::optional<Engine> engine_{};
  std::unique_ptr<tls::Scratch[]> scratch_;
  std::unique_ptr<net::Transport> transport_;  // null: TCP has ended
  std::unique_ptr<std::byte[]> buffer_;

  bool driving_ = false;              // a thread is in poll:
  short polled_ = 0;                  //   for these events,
  Clock::time_point polled_until_{};  //   until then
  int readers_ = 0;   // threads in receive(), close() and open(), which take messages themselves
  bool fed_ = false;  // the engine has input whose events were not pulled
  bool judges_next_ = false;                      // input was read since a deadline passed
  bool more_ = false;                             // there may be input that poll does not report
  connection::Blocked blocked_{};                 // the event that the last write waits for
  std::optional<std::error_code> write_error_{};  // nothing can be written any more
  bool input_over_ = false;                       // the peer's FIN or an error was read
  bool close_lost_ = false;                       // the peer was gone before it got our Close frame
  bool fin_sent_ = false;
  bool tcp_over_ = false;             // the thread that drives ends TCP next
  std::optional<Error> end_error_{};  // set when the engine has reported its end

  // Messages that arrived while threads were sending and none was receiving.
  std::deque<Waiting> inbox_{};
  std::size_t inbox_bytes_ = 0;
  Clock::time_point looked_at_{};  // the last read
  // Until then, a thread that received still counts as receiving.
  Clock::time_point receives_until_{};

  std::uint64_t next_turn_ = 0;  // senders append in the order they came
  std::uint64_t turn_ = 0;
  std::int64_t appended_ = 0;  // bytes that calls have queued so far, without pongs

  // The last member, because its destructor waits for a call that runs in another thread.
  std::optional<std::stop_callback<GoAway>> on_stop_{};
};

}  // namespace tern::client
