// The protocol as a value: bytes in, events out, bytes out. No socket, no clock, no thread.
#pragma once

#include "tern/close.h"
#include "tern/delivery.h"
#include "tern/error.h"
#include "tern/event.h"
#include "tern/http.h"
#include "tern/message.h"
#include "tern/options.h"

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
#include <utility>
#include <vector>

namespace tern {

namespace frame {
struct Header;
}

namespace engine {
class Memory;
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

/// Which end of the connection we are: a client masks, a server does not (RFC 6455 §5.1).
enum class Role : std::uint8_t { server, client };

/// How a server accepts an upgrade. Copied where it is needed.
struct Accept {
  /// Subprotocols of this route: the first of the client's list that is among them is chosen; if
  /// none is, the answer names none (RFC 6455 §4.2.2).
  std::vector<std::string> protocols{};
  /// Fields added to the 101, e.g. Set-Cookie; the rules of Response::header hold.
  std::vector<std::pair<std::string, std::string>> headers{};
  /// Limits of this connection, if not those of the options.
  std::optional<Limits> limits{};
  /// Compression on this route, if not that of the options; level 0 switches it off.
  std::optional<Deflate> deflate{};
};

/// What a handshake that ran elsewhere agreed upon.
struct Agreement {
  std::string protocol{};                     ///< the chosen subprotocol; empty: none
  std::optional<DeflateAgreement> deflate{};  ///< compression; absent: none
};

/// Memory that the engines of one thread share: buffers, parsers, random bytes.
/// Lifetime: longer than its engines. Thread: one at a time, with all its engines.
class Workspace {
 public:
  /// Throws std::bad_alloc.
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

  /// Tells what time of day it is at `now`. From then on a server's answers have a Date (RFC 9110
  /// §6.6.1), which follows from the time that Engine::tick() tells; tell it again now and then,
  /// since clocks drift apart. Never told: no Date.
  void set_wall_clock(std::chrono::steady_clock::time_point now,
                      std::chrono::sys_time<std::chrono::nanoseconds> wall) noexcept;
  /// The value of the Date field at `now`; empty without a wall clock. It is written once a second.
  /// Lifetime of the view: the next call.
  std::string_view date(std::chrono::steady_clock::time_point now) noexcept;

  /// For the engine.
  engine::Memory& memory() noexcept { return *memory_; }

 private:
  std::unique_ptr<engine::Memory> memory_;
};

/// One WebSocket connection without its socket, either role, from the first byte of the HTTP
/// upgrade to the last of the closing handshake. Nothing here calls back, blocks or throws.
///
/// A turn: advance(now); feed() what was read; next() until it says none, or what it gave is_last()
/// and the engine is still open; write output() until the socket blocks or it is empty,
/// consume_output() what was taken; settle(). When deadline() has come, tick(now) behind all that:
/// what arrived in time was read in time. When finished(), close: next() tells Kind::closed
/// then at the latest, for the write may be what ended it. Thread: one at a time.
class Engine {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// A server's end, waiting for a request. Lifetime: options and workspace must outlive it.
  static Result<Engine> server(const EngineOptions& options, Workspace& workspace) noexcept;
  static Result<Engine> server(const EngineOptions&& options, Workspace& workspace) = delete;
  /// A client's end; the request stands in output(). Lifetime: options and workspace must outlive
  /// it. Errors: url_invalid, invalid_header, random_unavailable, no_memory. RFC 6455 §4.1.
  static Result<Engine> client(const ClientRequest& request, const EngineOptions& options,
                               Workspace& workspace) noexcept;
  static Result<Engine> client(const ClientRequest& request, const EngineOptions&& options,
                               Workspace& workspace) = delete;
  /// An end whose handshake ran elsewhere. Lifetime: options and workspace must outlive it.
  static Result<Engine> established(Role role, const Agreement& agreement,
                                    const EngineOptions& options, Workspace& workspace) noexcept;
  static Result<Engine> established(Role role, const Agreement& agreement,
                                    const EngineOptions&& options, Workspace& workspace) = delete;
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&&) noexcept = default;
  ~Engine() = default;

  // ---- in

  /// Where the next bytes of a large message are best read to; empty: read to a buffer of yours.
  /// Lifetime: until the next call on this engine other than output() and consume_output().
  std::span<std::byte> read_room() noexcept;
  /// Takes the first `in_room` bytes of read_room(), then `lent`, in the order received.
  /// Lifetime: `lent` is written to: it is unmasked there, and messages may move within it. It
  /// stays lent until next() said none, or gave what is_last(), and settle() was called; or stash()
  /// and settle() were.
  void feed(std::size_t in_room, std::span<std::byte> lent) noexcept;
  /// The peer ended its direction of TCP.
  void feed_eof() noexcept;
  /// The socket failed.
  void feed_error(std::error_code error) noexcept;
  /// The next event. What arrived is reported before an end that came behind it. One call does a
  /// bounded amount of work: it reads at most 256 frames, inflates at most 16 KiB to at most 64
  /// KiB, and then returns Kind::working.
  Event next() noexcept;
  /// Keeps the unread rest of the lent bytes, for who stops before next() said none. Idempotent.
  /// The view that next() gave last stays alive if it was assembled, not if it is lent.
  void stash() noexcept;
  /// Whether feeding makes sense now: false once the peer's input is of no more interest, while
  /// the stash is not empty, while an undecided request has 64 KiB behind it, or while a server's
  /// answers wait that exceed limits.low_water_bytes: until they are written, next() parses no
  /// further request.
  bool wants_input() const noexcept;
  /// Whether stash() kept input that next() could go on with now.
  bool has_stash() const noexcept;
  /// false: we are not reading for a while, so silence proves nothing: silence and pong stand
  /// still. true (the default): they start anew.
  void reading(bool on) noexcept;

  // ---- after Kind::request, exactly one of accept() and respond(), now or later

  /// The request. Lifetime: until it is answered or the engine has closed.
  const Request& request() const noexcept;
  /// Whether accept() would answer 101, and if not, why. RFC 6455 §4.2.1.
  std::error_code upgrade_error() const noexcept;
  /// Answers 101; Kind::open follows. If the request is no proper upgrade, the refusal that fits
  /// is sent instead, its reason returned. Error: invalid_header, after a 500.
  std::error_code accept(const Accept& accept = {}) noexcept;
  /// Answers in plain HTTP. Below 400 the connection stays for the next request, unless this one
  /// asked for an upgrade or for the end. Error: invalid_header, after a 500.
  std::error_code respond(const Response& response) noexcept;

  /// Why the handshake failed, for people and logs: it names the Origin, the header field or what
  /// came instead of an answer. Empty where the text of the error says it all.
  /// Lifetime: server: after accept() or respond() returned an error; client: from Kind::closed;
  /// until the next call of next() or feed().
  std::string_view explanation() const noexcept;

  /// Client: the server's answer. Lifetime: from Kind::open, or from Kind::closed after a refusal,
  /// until the next call of next() or feed().
  const ResponseHead& response() const noexcept;
  /// Client: the first KiB of a refusal's body. Lifetime: as response().
  std::string_view response_body() const noexcept;
  /// The chosen subprotocol; empty: none. Lifetime: the engine.
  std::string_view protocol() const noexcept;
  /// What was agreed on about compression; nothing: messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const noexcept;

  // ---- out

  /// Queues a whole message as one frame (RFC 6455 §5.6). A client masks while copying. Text that
  /// is not UTF-8 is refused (`not_utf8`), unless `options` say that it need not be checked; an
  /// echo of the message that next() gave last was checked already. A server references such an
  /// echo, and large payloads in the lent bytes, instead of copying them. It is compressed if that
  /// was agreed on, `options` do not forbid it, and it becomes smaller or the next messages may
  /// refer to it (see Deflate); the queue is judged before.
  SendStatus send(Message message, SendOptions options = {}) noexcept;
  /// The same; the frame is copied when small, referenced when large. Its compressed form is shared
  /// by all connections without context takeover of ours and with a window that is large enough.
  SendStatus send(const SharedMessage& message, SendOptions options = {}) noexcept;
  /// The same; a server references the payload. Lifetime: `message` until settle().
  SendStatus send_borrowed(Message message, SendOptions options = {}) noexcept;
  /// Copies what output() still borrows: lent bytes and send_borrowed().
  void settle() noexcept;
  /// Queues a ping of at most 125 bytes (more are cut), ahead of queued messages. At most 16 wait
  /// to be written: then the newest replaces the last. RFC 6455 §5.5.2.
  void ping(std::span<const std::byte> payload = {}) noexcept;
  /// Queues a Close frame behind all that was sent; no message is delivered any more. A reason
  /// over 123 bytes is cut at a character, one that is not UTF-8 is left out; a code that may not
  /// be sent becomes 1011. Before the handshake is done it ends the connection: a server answers
  /// 503. Later calls do nothing. RFC 6455 §5.5.1, §7.1.2.
  void close(CloseCode code, std::string_view reason = {}) noexcept;
  /// Fails the connection (RFC 6455 §7.1.7): a Close frame with close_code(why) and
  /// close_reason(why), then the end. Without memory the frame has no reason.
  void fail(std::error_code why) noexcept;
  /// Ends the connection at once, without a Close frame; what is queued is dropped.
  void terminate(std::error_code why) noexcept;
  /// What is to be written: at most 256 pieces; empty when all is written.
  /// Lifetime: until the next call on this engine.
  std::span<const iovec> output() noexcept;
  /// The first `written` bytes of output() were written.
  void consume_output(std::size_t written) noexcept;
  /// Bytes accepted and not yet consumed.
  std::size_t queued_bytes() const noexcept;
  /// Whether a message of so many bytes would overflow the queue now: a driver that can still
  /// write does so before it sends. See Limits::max_queued_bytes.
  bool would_overflow(std::size_t bytes) const noexcept;
  /// The same, or more than `most` bytes are queued already.
  bool is_crowded(std::size_t bytes, std::size_t most) const noexcept;
  /// All is written and it is our turn to end TCP (RFC 6455 §7.1.1).
  bool finished() const noexcept;

  // ---- time is told, never asked

  /// Tells the time. The first call starts the handshake deadline.
  void advance(TimePoint now) noexcept;
  /// Tells the time and does what is due: call it behind the turn in which deadline() has come.
  void tick(TimePoint now) noexcept;
  /// The same, by a driver that knows what the peer has acknowledged: then that moves the deadlines
  /// of pong, close and stall. Such a driver uses it from its first tick on, and no other.
  void tick(TimePoint now, Delivery delivery) noexcept;
  /// The driver could not look after the peer in time: it was late itself, or input is unread. What
  /// is due becomes due at `until`, at most a whole limit from now. False when that was granted
  /// three times to one of the clocks: then tick() judges.
  bool postpone(TimePoint until) noexcept;
  /// When tick() must be called at the latest; TimePoint::max() when never. It moves with every
  /// call: ask again at the end of a turn. Before the first call of the above it is
  /// TimePoint::min().
  TimePoint deadline() const noexcept;

  /// How it ended. After Kind::closed, which comes exactly once. Lifetime: the engine.
  const CloseInfo& close_info() const noexcept;
  /// Open, and nothing is unread, begun, unwritten or to be told: until more is fed or sent, next()
  /// and output() have nothing.
  bool rests() const noexcept { return phase_ == Phase::open && !active_; }
  /// Between Kind::open and the start of the end: send() accepts messages.
  bool is_open() const noexcept { return phase_ == Phase::open; }
  /// The limits that hold for this connection.
  const Limits& limits() const noexcept { return options_->limits; }

 private:
  enum class Phase : std::uint8_t {
    opening,  // HTTP: an engine::ServerOpening or engine::ClientOpening has the state
    open,
    closing,  // our Close frame is queued, or the peer's came
    ended,    // Kind::closed is the next event
    closed,   // Kind::closed was reported
  };
  // Which Close frames there were, RFC 6455 §7.
  enum class CloseFrames : std::uint8_t {
    none,
    sent,      // ours is queued or written; the peer's is still to come
    received,  // the peer's came; ours is not queued yet
    both,
    both_await_fin,  // client: the server ends TCP first (§7.1.1), and has not yet
  };
  // What an open connection waits for.
  enum class Keepalive : std::uint8_t {
    listening,     // any byte; after timeouts.silence a ping is sent
    ping_queued,   // until our ping is written, only the stall clock runs
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
  void start_close(CloseCode code, std::string_view reason);
  void end(CloseCode code, std::error_code why) noexcept;
  void drop() noexcept;
  // sending.cc
  SendStatus send_any(Message message, SendOptions options) noexcept;
  template <class F>
  SendStatus send_with(Message message, F&& append) noexcept;
  bool is_plain_echo(Message message) const noexcept;
  bool refuses(Message message, SendOptions options) const noexcept;
  std::size_t queued() const noexcept;
  bool overflows(std::size_t queued, std::size_t bytes) const noexcept;
  SendStatus queue_status() const noexcept;
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
  void on_deadline(const Delivery* delivery) noexcept;
  void on_stall(const Delivery* delivery);
  void on_silence(const Delivery* delivery);
  bool is_answer_late(const Delivery* delivery, Timeouts::Duration limit);
  void on_written(std::size_t bytes) noexcept;

  Workspace* workspace_;
  const EngineOptions* options_;
  // Borrowed while there is anything to remember.
  std::unique_ptr<engine::Active, engine::ReturnActive> active_{};
  // What few have: a subprotocol, options of a route, contexts of compression.
  std::unique_ptr<engine::Kept, engine::DeleteKept> kept_{};
  TimePoint now_ = TimePoint::min();
  // When began what is waited for: the handshake, the silence, the pong, the end.
  base::Patience clock_{};
  std::optional<DeflateAgreement> deflate_{};
  Role role_;
  Phase phase_ = Phase::opening;
  Keepalive keepalive_ : 2 = Keepalive::listening;
  CloseFrames close_frames_ : 3 = CloseFrames::none;
  bool tells_delivery_ : 1 = false;  // the driver reports what the peer has acknowledged
};

}  // namespace tern
