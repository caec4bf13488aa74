// A client on a loop that connects again by itself.
#pragma once

#include "tern/close.h"
#include "tern/connection.h"
#include "tern/dial.h"
#include "tern/error.h"
#include "tern/http.h"
#include "tern/loop.h"
#include "tern/message.h"
#include "tern/observe.h"
#include "tern/stage.h"
#include "tern/unique_function.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tern {

namespace client {
class LoopClient;
class PendingAttempt;

/// Constructs the session of each connection. For tern's own rooms.
class SessionMaker {
 public:
  explicit SessionMaker(const connection::SessionType& made) noexcept : type(made) {}
  SessionMaker(const SessionMaker&) = delete;
  SessionMaker& operator=(const SessionMaker&) = delete;
  virtual ~SessionMaker() = default;
  virtual void make(void* memory, const ResponseHead& response) = 0;

  const connection::SessionType& type;
};

/// Constructs each S from copies of the same arguments.
template <class S, class... A>
class MakerOf final : public SessionMaker {
 public:
  static constexpr bool reads_response =
      std::is_constructible_v<S, const ResponseHead&, const A&...>;

  template <class... G>
  explicit MakerOf(G&&... given)
      : SessionMaker(connection::session_type<S>), kept_(std::forward<G>(given)...) {}

  void make(void* memory, const ResponseHead& response) override {
    std::apply(
        [&](const A&... each) {
          if constexpr (reads_response) {
            ::new (memory) S(response, each...);
          } else {
            ::new (memory) S(each...);
          }
        },
        kept_);
  }

 private:
  std::tuple<A...> kept_;
};

}  // namespace client

/// Why there is no connection (any more). Lifetime: the call that it is given to.
struct Ended {
  std::string_view url{};            ///< of this attempt, without its query
  const Error* failure = nullptr;    ///< why the attempt failed; null if the connection was open
  const CloseInfo* close = nullptr;  ///< how the connection ended; null if it was not open
  Stage stage = Stage::prepare;      ///< how far the attempt came
  /// When the stages before the failure were done; empty if the connection was open, or after
  /// stop().
  StageTimes times{};
  std::size_t failures = 0;  ///< the number of failures in a row, this one included
  /// Whether the next attempt may work; see the table in docs/guides/client.md. Retry::again has
  /// the last word.
  bool transient = false;
  /// The time that the server asks for with Retry-After, at most 10 minutes; absent if it does not.
  std::optional<std::chrono::nanoseconds> retry_after{};
  /// The time until the next attempt; absent: the client has stopped and this is the last call. In
  /// Retry::again it is absent, because it is not known yet.
  std::optional<std::chrono::nanoseconds> wait{};
};

/// When a client tries again. The wait is a random time between 100 ms and a limit, which doubles
/// with each failure in a row.
struct Retry {
  std::chrono::nanoseconds first = std::chrono::seconds(1);  ///< limit after a failed attempt
  /// Limit after the end of an open connection. It is longer, because all clients of a server that
  /// restarts lose their connections at the same moment.
  std::chrono::nanoseconds first_after_end = std::chrono::seconds(5);
  std::chrono::nanoseconds most = std::chrono::seconds(60);  ///< the limit never grows beyond it
  /// After a connection that was open for this time, the earlier failures are forgotten.
  std::chrono::nanoseconds stable = std::chrono::seconds(10);
  std::size_t attempts = 0;  ///< failures in a row after which the client stops; 0: no bound
  /// Decides whether to go on; empty: Ended::transient decides. Thread: the loop's.
  UniqueFunction<bool(const Ended&)> again{};

  /// Does not try again: the client stops when its connection ends or cannot be opened.
  static Retry never();
};

/// Keeps the messages of Client::send() while no connection is open, and sends them after on_open.
/// Messages that a connection had accepted are never sent again by another one.
struct Outbox {
  /// At most so many bytes of payload: 1 to limits.max_queued_bytes - limits.low_water_bytes.
  std::size_t max_bytes = std::size_t{256} << 10;
  std::size_t max_messages = 1024;                              ///< at least 1
  std::chrono::nanoseconds max_age = std::chrono::seconds(60);  ///< older messages are dropped
  /// true: a message that does not fit replaces the oldest ones; false: send() returns `full`.
  bool drop_oldest = false;
};

/// One attempt to connect that waits for go(). Copyable. The first answer counts. If the last copy
/// is destroyed without an answer, the attempt has failed. Thread: any.
class Attempt {
 public:
  /// The number of failures in a row before this attempt; 0 for the first.
  std::size_t failures() const noexcept;
  /// Connects. `url`: another URL for this attempt; empty: that of the Client. Each of `headers`
  /// replaces those of its name in DialOptions::headers. `protocols` replace DialOptions::protocols
  /// unless they are empty.
  void go(std::string url = {}, std::vector<std::pair<std::string, std::string>> headers = {},
          std::vector<std::string> protocols = {}) const;
  /// The attempt failed, for example because no token could be fetched. The client tries again.
  void fail(std::string why) const;
  /// The client stops.
  void give_up(std::string why) const;

  /// For tern's own rooms.
  explicit Attempt(std::shared_ptr<client::PendingAttempt> pending) noexcept
      : pending_(std::move(pending)) {}

 private:
  std::shared_ptr<client::PendingAttempt> pending_;
};

/// The options of a Client. Thread: the functions are called on the loop.
struct ClientOptions {
  /// How to connect. `timeout` is that of one attempt. `socket` is for the first attempt only;
  /// connect() takes it over. A requested stop of `stop` ends the client as
  /// stop(CloseCode::going_away) does.
  DialOptions dial{};
  Retry retry{};
  /// Called before each attempt, for fresh credentials; empty: connects at once. The application
  /// answers now or later. DialOptions::timeout starts with the answer.
  UniqueFunction<void(Attempt)> before_attempt{};
  /// Called with the head of each request, as it will be sent: that of the opening handshake, again
  /// after a redirect, and before it CONNECT to an HTTP proxy. For logs; it holds credentials.
  /// Lifetime of the view: the call.
  UniqueFunction<void(std::string_view head)> on_request{};
  /// Called for each attempt that failed and for each end of an open connection (after the
  /// session's on_close). The last call has no `wait`. The destructor does not call it.
  UniqueFunction<void(const Ended&)> on_ended{};
  std::optional<Outbox> outbox{};  ///< absent: nothing is kept
  LogSink log{};
};

/// The activity of a Client.
enum class ClientState : std::uint8_t {
  idle,        ///< connect() was not called
  waiting,     ///< for the time of the next attempt
  connecting,  ///< from before_attempt to the 101
  open,
  closing,  ///< stop() was called; the closing handshake goes on
  stopped,
};

/// A client on a loop, which connects again when its connection ends. Each opened connection has a
/// session of its own. Move-only. It may be destroyed inside of any callback, also its own.
/// Thread: the loop's, or any before the loop runs; handle(), send(), stop() and state() from any.
/// Lifetime: it may outlive its loop, and then it is stopped.
class Client {
 public:
  /// Throws std::bad_alloc.
  Client(Loop& loop, std::string url, ClientOptions options = {});
  /// The same with options that many clients share, which saves about 2 KB for each. Do not change
  /// them any more.
  Client(Loop& loop, std::string url, std::shared_ptr<ClientOptions> options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  /// Ends all at once, without a Close frame. An open session receives its on_close before the
  /// destructor returns; inside of a callback of that session, on_close is called when the turn
  /// ends.
  ~Client();

  /// Connects, and constructs an S for each opened connection from copies of the arguments
  /// (std::ref for shared state). If S takes a ResponseHead, it comes first: that of the 101.
  /// Errors: url_invalid, options_invalid, invalid_header, and those of loading certificates; then
  /// nothing was begun. already_running if it was called before; closed if the loop has ended or
  /// stop() was called.
  template <Session S, class... A>
  requires(!std::is_same_v<S, Handlers>) Result<void> connect(A&&... arguments);
  /// The same with plain functions, which all connections of this client share.
  Result<void> connect(Handlers handlers);

  /// Ends for good: sends a Close frame if a connection is open, or cancels the attempt or the
  /// wait. Never blocks. ClientOptions::on_ended is called once more, from the loop: for an open
  /// connection when the server has answered, or its deadlines (Timeouts) are over. Thread: any.
  /// Errors: false if the loop has ended or memory is out.
  bool stop(CloseCode code = CloseCode::normal, std::string_view reason = {}) noexcept;
  /// Connects now: cuts a wait short; sends a Close frame on an open connection and replaces it
  /// without waiting for the answer. The bytes that wait in its queue are lost. Also begins again
  /// after the client has stopped. If stop() came right before, on_ended is still called for it,
  /// with a `wait` of 0.
  void reconnect() noexcept;
  /// Forgets the failures before this connection, because the session has proved that it works; for
  /// example its login succeeded.
  void settle() noexcept;

  /// The connection that is open now; reaches nothing if none is. Thread: any.
  Handle handle() const noexcept;
  /// Sends on the connection that is open, or keeps the message in the outbox.
  /// Thread: any. From another thread, or while the loop does not run, `queued` means that the loop
  /// will send or keep it; if it cannot, dropped() counts the message, or without an outbox the
  /// message is lost.
  /// Errors: `closed` if nothing is open and there is no outbox, or stop() was called; `full` if
  /// the outbox or the loop's mailbox is full; `not_utf8`.
  SendStatus send(Message message, SendOptions options = {}) noexcept;
  /// Thread: any.
  ClientState state() const noexcept;
  /// The time of the next attempt, while it waits.
  std::optional<Loop::Clock::time_point> next_attempt() const noexcept;
  /// When the stages of the attempt were done that goes on, or that has just opened the connection:
  /// until on_open has returned. Empty at other times, because an idle client does not keep them.
  StageTimes times() const noexcept;
  /// The number of messages that the outbox has dropped since the client was made: too old,
  /// replaced, left when the client stopped, or refused after send() in another thread had returned
  /// `queued`.
  std::size_t dropped() const noexcept;
  /// Why the client stopped; nothing if it has not, or if stop() or a clean close ended it.
  std::optional<Error> error() const;

 private:
  Result<void> start(std::unique_ptr<client::SessionMaker> maker);

  std::shared_ptr<client::LoopClient> client_;
};

template <Session S, class... A>
requires(!std::is_same_v<S, Handlers>) Result<void> Client::connect(A&&... arguments) {
  using Maker = client::MakerOf<S, std::decay_t<A>...>;
  static_assert(Maker::reads_response || std::is_constructible_v<S, const std::decay_t<A>&...>,
                "the session cannot be constructed from copies of these arguments, with the "
                "ResponseHead before them or without");
  return start(std::make_unique<Maker>(std::forward<A>(arguments)...));
}

}  // namespace tern
