// The protocol as a value: it takes bytes, returns events and returns bytes. It has no socket, no
// clock and no thread.
#pragma once

#include "tern/accept.h"
#include "tern/close.h"
#include "tern/error.h"
#include "tern/event.h"
#include "tern/http.h"
#include "tern/message.h"
#include "tern/options.h"
#include "tern/output_file.h"
#include "tern/peer_progress.h"
#include "tern/round_trip.h"
#include "tern/workspace.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <system_error>

namespace tern {

namespace frame {
struct Header;
}

namespace engine {
struct Active;
struct ReturnActive {
  void operator()(Active* active) const noexcept;
};
struct Kept;
class ServerOpening;
class ClientOpening;
struct OpeningStep;
struct DeleteKept {
  void operator()(Kept* kept) const noexcept;
};
}  // namespace engine

/// The end of the connection that this engine is. A client masks its frames, a server does not.
/// RFC 6455 §5.1.
enum class Role : std::uint8_t { server, client };

/// One end of a WebSocket connection without its socket, in either role, from the first byte of the
/// HTTP upgrade to the last byte of the closing handshake. No function calls back, blocks or
/// throws, except pull().
///
/// A driver repeats this turn:
///  1. It calls advance(now), and feed() with the bytes that it read.
///  2. It calls next() until that returns none. It may stop earlier: after an event with is_last(),
///     if the engine is still open.
///  3. It writes output() until the socket blocks or the output is empty, and calls
///     consume_output() for what the socket took.
///  4. It calls settle().
///  5. If deadline() has come, it calls tick(now). This comes last, so that input that arrived in
///     time counts.
/// Once finished() returns true, the driver closes the socket. next() then returns Kind::closed at
/// the latest, because a write may be what ended the connection.
/// Thread: one thread at a time.
class Engine {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Returns a server's end, which waits for a request.
  /// Lifetime: `options` and `workspace` outlive the engine.
  static Result<Engine> server(const EngineOptions& options, Workspace& workspace) noexcept;
  static Result<Engine> server(const EngineOptions&& options, Workspace& workspace) = delete;
  /// Returns a client's end. output() has the request.
  /// Lifetime: `options` and `workspace` outlive the engine.
  /// Errors: url_invalid, invalid_header, random_unavailable, no_memory. RFC 6455 §4.1.
  static Result<Engine> client(const ClientRequest& request, const EngineOptions& options,
                               Workspace& workspace) noexcept;
  static Result<Engine> client(const ClientRequest& request, const EngineOptions&& options,
                               Workspace& workspace) = delete;
  /// Returns an end whose opening handshake ran elsewhere.
  /// Lifetime: `options` and `workspace` outlive the engine.
  /// Error: no_memory.
  static Result<Engine> established(Role role, const Agreement& agreement,
                                    const EngineOptions& options, Workspace& workspace) noexcept;
  static Result<Engine> established(Role role, const Agreement& agreement,
                                    const EngineOptions&& options, Workspace& workspace) = delete;
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&&) noexcept = default;
  ~Engine() = default;

  // ---- in

  /// Returns memory for the next bytes of a large message: reading there saves a copy. If it is
  /// empty, read into a buffer of your own.
  /// Lifetime: until the next call on this engine other than output() and consume_output().
  std::span<std::byte> read_room() noexcept;
  /// Takes received bytes: first the first `in_room` bytes of read_room(), then `lent`.
  /// The engine writes to `lent`: it unmasks messages there and may move them.
  /// Lifetime of `lent`: until settle(), after next() returned none or an event with is_last(), or
  /// after stash().
  void feed(std::size_t in_room, std::span<std::byte> lent) noexcept;
  /// Reports that the peer ended its direction of TCP.
  void feed_eof() noexcept;
  /// Reports that the socket failed.
  void feed_error(std::error_code error) noexcept;
  /// Returns the next event. Everything that arrived is reported before an end that followed it.
  /// One call does a bounded amount of work: it reads at most 256 frames and inflates at most 16
  /// KiB to at most 64 KiB. Then it returns Kind::working.
  Event next() noexcept;
  /// Copies the unread rest of the lent bytes. Call it to stop before next() returned none. A
  /// second call does nothing. Lifetime: the view of the last event stays valid only if its message
  /// was assembled. If it lies in the lent bytes, it ends. After Kind::open, response() ends.
  void stash() noexcept;
  /// Returns whether the driver should feed more now. It returns false
  ///  - when the engine needs no more input from the peer;
  ///  - while the stash is not empty;
  ///  - while 64 KiB or more wait behind a request that is not answered;
  ///  - while more than limits.low_water_bytes of a server's answers wait to be written. next()
  ///    parses no further request until they are written.
  bool wants_input() const noexcept;
  /// Returns whether stash() kept input that next() can process now.
  bool has_stash() const noexcept;
  /// `on` false: the driver stops reading, so silence proves nothing. The silence and pong
  /// deadlines are off until it reads again. `on` true (the default): they start again.
  void reading(bool on) noexcept;

  // ---- after Kind::request, exactly one of accept() and respond(), now or later

  /// Returns the request. It has its body from Kind::body on.
  /// Lifetime: until it is answered or the engine has closed.
  const Request& request() const noexcept;
  /// Returns whether the request has a body for which read_body() was not called. respond() then
  /// ends the connection, because the body is not read, and accept() refuses the request.
  bool has_unread_body() const noexcept;
  /// Reads the body within limits.max_body_bytes and timeouts.body. Kind::body follows. Answers 100
  /// if the client waits for it. Errors: body_too_big, after a 413; closed, if the request has no
  /// unread body or waits for an answer that comes later. RFC 9112 §6, RFC 9110 §10.1.1.
  std::error_code read_body() noexcept;
  /// Moves the body out of request(), for an answer that comes later.
  std::string take_body() noexcept;
  /// Lets the request wait for its answer for timeouts.answer, and not for timeouts.handshake.
  void wait_for_answer() noexcept;
  /// Returns the reason why accept() would refuse the request; no error if it would answer 101.
  /// Error: closed, if no request waits for an answer. RFC 6455 §4.2.1.
  std::error_code upgrade_error() const noexcept;
  /// Server, after Kind::request: tells how the client reached the trusted proxy in front of this
  /// server. request() and the check of Origin follow it. Without memory the connection ends.
  void reached(Reached how) noexcept;
  /// Answers 101; Kind::open follows. If the request is not a correct upgrade, it sends the
  /// matching refusal instead and returns the reason. Errors: invalid_header, after a 500; closed,
  /// if no request waits for an answer.
  std::error_code accept(const Accept& accept = {}) noexcept;
  /// Answers in plain HTTP. With a status below 400 the connection stays for the next request,
  /// unless this request asked for an upgrade or for the end of the connection.
  /// Errors: invalid_header, after a 500; closed, if no request waits for an answer.
  std::error_code respond(const Response& response) noexcept;

  /// Queues the next part of a body that is streamed (Response::stream), if wants_pull(). A driver
  /// calls it for Kind::pull. Only this function calls code of the application and throws what that
  /// code throws. Then the connection has ended, and the driver resets TCP, because HTTP/1.0 would
  /// take a FIN for the end of the body.
  void pull();
  /// Returns whether next() would report Kind::pull. Then the driver does not wait for the socket.
  bool wants_pull() const noexcept;

  /// Returns why the handshake failed, for people and logs: it names the Origin, the header field,
  /// or what the peer sent instead of an answer. It is empty if the text of the error is enough.
  /// Lifetime: on a server, after accept() or respond() returned an error; on a client, from
  /// Kind::closed; both until the next call of next() or feed().
  std::string_view explanation() const noexcept;

  /// Client: returns the head of the server's answer.
  /// Lifetime: from Kind::open, or from Kind::closed after a refusal, until the next call of
  /// next(), stash() or feed(). An open connection does not keep it.
  const ResponseHead& response() const noexcept;
  /// Client: returns the first KiB of the body of a refusal.
  /// Lifetime: as response().
  std::string_view response_body() const noexcept;
  /// Returns the chosen subprotocol; empty if there is none.
  /// Lifetime: the engine.
  std::string_view protocol() const noexcept;
  /// Returns the agreement on compression. Nothing: messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const noexcept;

  // ---- out

  /// Queues a whole message as one frame. A client masks it while it copies it. A server does not
  /// copy an echo of the message that next() returned last, nor a large payload in the lent bytes,
  /// but refers to them until settle().
  /// The message is compressed if that was agreed on, if `options` do not forbid it, and if it
  /// becomes smaller or later messages may refer to it (see Deflate). The limit of the queue counts
  /// its size before compression.
  /// Errors: `not_utf8` for text that is not UTF-8, unless `options` switch the check off or the
  /// text is the message that next() returned last. RFC 6455 §5.6.
  SendStatus send(Message message, SendOptions options = {}) noexcept;
  /// The same. A small frame is copied unless output waits. Connections share the compressed form,
  /// except those with context takeover for our messages or too small a window.
  SendStatus send(const SharedMessage& message, SendOptions options = {}) noexcept;
  /// The same. A server refers to the payload and does not copy it.
  /// Lifetime of `message`: until settle().
  SendStatus send_borrowed(Message message, SendOptions options = {}) noexcept;
  /// Returns the frame of the message if this is a server without waiting output. The driver may
  /// then write it; if it is empty, the driver calls send(). Lifetime: that of `message`.
  std::span<const std::byte> direct_frame(const SharedMessage& message,
                                          SendOptions options = {}) const noexcept;
  /// Queues the rest of a direct frame. `begun`: a part of it is written already.
  void send_rest(const SharedMessage& message, std::span<const std::byte> rest,
                 bool begun) noexcept;
  /// Copies the parts of output() that lie in lent bytes or were sent by send_borrowed().
  void settle() noexcept;
  /// Queues a ping of at most 125 bytes, ahead of queued messages. A longer payload is cut. At most
  /// 16 pings wait to be written; another one replaces the last of them. RFC 6455 §5.5.2.
  void ping(std::span<const std::byte> payload = {}) noexcept;
  /// Queues a Close frame behind the messages that were sent. No message is delivered afterwards. A
  /// reason over 123 bytes is cut at a character. A reason that is not UTF-8 is left out. A code
  /// that may not be sent becomes 1011. Before Kind::open it ends the connection instead, and a
  /// server answers a waiting request with 503. Later calls do nothing. RFC 6455 §5.5.1, §7.1.2.
  void close(CloseCode code, std::string_view reason = {}) noexcept;
  /// Like close(), but messages are delivered until the peer's Close frame comes. Pings are not
  /// answered any more. timeouts.close starts again with every byte that is received, and stands
  /// still after reading(false). close() afterwards ends the delivery. RFC 6455 §5.5.1.
  void finish(CloseCode code, std::string_view reason = {}) noexcept;
  /// Fails the connection: it queues a Close frame with close_code(why) and close_reason(why), and
  /// ends. If there is no memory, the frame has no reason. RFC 6455 §7.1.7.
  void fail(std::error_code why) noexcept;
  /// Ends the connection at once, without a Close frame. Queued output is dropped.
  void terminate(std::error_code why) noexcept;
  /// Returns the bytes to write, in at most 256 pieces; empty when all is written.
  /// Lifetime: until the next call on this engine.
  std::span<const iovec> output() noexcept;
  /// Returns the first part of output() that a file has as well, for drivers with sendfile().
  OutputFile output_file() const noexcept;
  /// Removes the first `written` bytes of output(), because they were written.
  void consume_output(std::size_t written) noexcept;
  /// Returns the number of bytes that are queued and not yet consumed.
  std::size_t queued_bytes() const noexcept;
  /// Returns whether a message of so many bytes would overflow the queue now. A driver that can
  /// still write does so before it sends. See Limits::max_queued_bytes.
  bool would_overflow(std::size_t bytes) const noexcept;
  /// Returns the same, or true if more than `most` bytes are queued already.
  bool is_crowded(std::size_t bytes, std::size_t most) const noexcept;
  /// Returns whether the connection has ended, all is written, and this end has to end TCP. RFC
  /// 6455 §7.1.1.
  bool finished() const noexcept;

  // ---- time comes from the driver

  /// Sets the time. The first call starts the handshake deadline.
  void advance(TimePoint now) noexcept;
  /// Sets the time and does what is due. Call it at the end of the turn in which deadline() has
  /// come.
  void tick(TimePoint now) noexcept;
  /// The same, for a driver that knows what the peer has acknowledged: acknowledged bytes move the
  /// deadlines of pong, close and stall. Such a driver uses only this tick(), from the first one
  /// on.
  void tick(TimePoint now, PeerProgress delivery) noexcept;
  /// Moves the deadlines that have come to `until`, at most by a whole limit from now. A driver
  /// calls it if it was late itself or if input is unread. Returns false if nothing is due, or if
  /// one of the clocks was moved three times already; then call tick().
  bool postpone(TimePoint until) noexcept;
  /// Returns when tick() must be called at the latest; TimePoint::max() for never. Every call may
  /// move it, so call this at the end of each turn. Before the first advance() or tick() it is
  /// TimePoint::min().
  TimePoint deadline() const noexcept;

  /// Returns the time from pings of the keepalive (Timeouts::silence) to their pongs; nothing
  /// before the first pong. A round trip lasts from the call of consume_output() that takes the
  /// ping to the next() that reads its pong, by the times that advance() gave. Only the pong with
  /// the payload of the newest ping counts, and no ping that waits when reading(false) is called.
  /// RFC 6455 §5.5.3.
  std::optional<RoundTrip> rtt() const noexcept { return round_trip_.read(); }
  /// Returns how the connection ended. Valid after Kind::closed, which comes exactly once.
  /// Lifetime: the engine.
  const CloseInfo& close_info() const noexcept;
  /// Returns whether the connection is open and idle: until more is fed or sent, next() and
  /// output() return nothing.
  bool rests() const noexcept { return phase_ == Phase::open && !active_; }
  /// Returns whether send() accepts messages: from Kind::open to the first Close frame or the end.
  bool is_open() const noexcept { return phase_ == Phase::open; }
  /// Returns whether messages may still come: it is open, or finish() was called.
  bool delivers() const noexcept { return phase_ == Phase::open || phase_ == Phase::finishing; }
  /// Returns the limits of this connection.
  const Limits& limits() const noexcept { return options_->limits; }

 private:
  enum class Phase : std::uint8_t {
    opening,  // HTTP: an engine::ServerOpening or engine::ClientOpening has the state
    open,
    finishing,  // our Close frame is queued by finish(), and messages still come
    closing,    // our Close frame is queued, or the peer's came
    ended,      // Kind::closed is the next event
    closed,     // Kind::closed was reported
  };
  // Which Close frames there were, RFC 6455 §7.
  enum class CloseFrames : std::uint8_t {
    none,
    sent,      // ours is queued or written; the peer's is still to come
    received,  // the peer's came; ours is not queued yet
    both,
    both_await_fin,  // client: the server ends TCP first (§7.1.1), and has not yet
  };
  // The next event that an open connection waits for.
  enum class Keepalive : std::uint8_t {
    listening,     // any byte; after timeouts.silence a ping is sent
    ping_queued,   // nothing yet: until our ping is written, only the stall clock runs
    ping_written,  // any byte must come within timeouts.pong
    paused,        // nothing, because the driver does not read
  };

  Engine(Role role, const EngineOptions& options, Workspace& workspace) noexcept
      : workspace_(&workspace), options_(&options), role_(role) {}

  // engine.cc
  void activate();
  void rest() noexcept;
  engine::Kept& keep();
  void adopt(const Agreement& agreement);
  void take_compressed() noexcept;
  template <class F>
  void guarded(F&& function) noexcept;
  void restart_silence() noexcept;
  Event next_event();
  Event next_frame();
  Event next_of_any_kind() noexcept;
  // opening.cc
  engine::ServerOpening* server_opening() const noexcept;
  engine::ClientOpening* client_opening() const noexcept;
  engine::ServerOpening* undecided() const noexcept;
  void start_opening();
  void rest_between_requests() noexcept;
  bool begin_request() noexcept;
  Event next_opening();
  void follow(const engine::OpeningStep& step);
  void opened() noexcept;
  std::string_view date_line() const noexcept;
  Timeouts::Duration opening_limit() const noexcept;
  void on_opening_timeout();
  void close_opening();
  // closing.cc
  bool has_ended() const noexcept { return phase_ >= Phase::ended; }
  bool peer_has_closed() const noexcept { return close_frames_ >= CloseFrames::received; }
  bool may_send_close() const noexcept;
  Event next_end() noexcept;
  void complete_close() noexcept;
  void on_peer_close(Message payload);
  void stop_awaiting_fin() noexcept;
  void start_close(CloseCode code, std::string_view reason, Phase next = Phase::closing);
  void end(CloseCode code, std::error_code why) noexcept;
  void drop() noexcept;
  // sending.cc
  SendStatus send_any(Message message, SendOptions options) noexcept;
  template <class F>
  SendStatus send_with(Message message, F&& append) noexcept;
  bool is_plain_echo(Message message) const noexcept;
  bool refuses(Message message, SendOptions options) const noexcept;
  std::size_t queued() const noexcept;
  std::size_t least_shared() const noexcept;
  bool overflows(std::size_t queued, std::size_t bytes) const noexcept;
  SendStatus queue_status(std::size_t queued) const noexcept;
  bool append_compressed(frame::Header header, Message message);
  bool append_compressed(frame::Header header, const SharedMessage& message);
  bool compresses(Message message, SendOptions options) const noexcept;
  bool draw_key(std::uint32_t& key) noexcept;
  void append_control(bool pong, std::span<const std::byte> payload);
  // keepalive.cc
  TimePoint silence_deadline() const noexcept;
  TimePoint next_deadline() const noexcept;
  TimePoint phase_deadline() const noexcept;
  TimePoint stall_deadline() const noexcept;
  TimePoint active_deadline() const noexcept;
  void on_deadline(const PeerProgress* delivery) noexcept;
  void on_stall(const PeerProgress* delivery);
  void on_silence(const PeerProgress* delivery);
  bool is_answer_late(const PeerProgress* delivery, Timeouts::Duration limit);
  void on_written(std::size_t bytes) noexcept;
  void on_pong(Message payload) noexcept;

  Workspace* workspace_;
  const EngineOptions* options_;
  // Borrowed from the workspace while there is something to remember.
  std::unique_ptr<engine::Active, engine::ReturnActive> active_{};
  // Few connections have one: a subprotocol, options of a route, contexts of compression.
  std::unique_ptr<engine::Kept, engine::DeleteKept> kept_{};
  TimePoint now_ = TimePoint::min();
  // Counts the one deadline of the phase: handshake, silence, pong or close.
  base::Patience clock_{};
  base::RoundTripMeter round_trip_{};
  std::optional<DeflateAgreement> deflate_{};
  Role role_;
  Phase phase_ = Phase::opening;
  Keepalive keepalive_ : 2 = Keepalive::listening;
  CloseFrames close_frames_ : 3 = CloseFrames::none;
  bool tells_delivery_ : 1 = false;    // the driver reports what the peer has acknowledged
  bool between_requests_ : 1 = false;  // server: an answer was given, and active_ is given back
};

}  // namespace tern
