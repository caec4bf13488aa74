// A connection that threads share without a loop. All work is done under one mutex; only waiting is
// not. One thread drives the waiting: the first thread that has to wait polls the socket for all
// threads, and then does the work that is due. The others wait for its report.
//
//   call ─▶ lock ─▶ pull events, append, write ─▶ done? ─yes─▶ unlock ─▶ return
//                     ▲                             │no
//                     │         ┌── no thread drives: poll, unlocked; then tick, read, write ◀─┐
//                     └─ report ┤                                                              │
//                               └── a thread drives: wait; if it polls for too little, wake it ┘
//
// So a pipe that is full in one direction never stops the other direction: a thread that sends also
// reads for the thread that receives, and the reverse. When the driver is done with its own call,
// the next waiting thread drives.
//
// A thread that sends also reads input. So pings are answered, and the peer's Close frame is
// processed, even if no thread receives. Messages then wait in `inbox_`, up to the size of the
// largest message. If it is full, nothing more is read.
//
// The engine borrows the bytes that were read into `buffer_`. They stay there until all events were
// pulled: receive() pulls one at a time, and a call in between does not disturb them.
//
// The peer is judged only after all available input was read and all waiting output was written.
// Silence is judged only when no input waits in the kernel, because unread bytes are a sign of
// life, too. So the clocks run on while no thread receives, and across calls with short timeouts.
#include "client/session.h"

#include "base/close_name.h"
#include "base/errc_kind.h"
#include "client/failure.h"
#include "engine/text.h"
#include "http/token.h"
#include "net/event.h"
#include "net/socket.h"

#include <algorithm>
#include <new>

namespace tern::client {
namespace {

// How often close() checks whether the peer has acknowledged our last bytes.
constexpr std::chrono::milliseconds look_again(5);

// Counts a thread as reading while it is in scope. Needs the mutex.
class Reading {
 public:
  explicit Reading(int& readers) noexcept : readers_(readers) { ++readers_; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() { --readers_; }

 private:
  int& readers_;
};

// Returns e.g. " was closed by the server with 1000 (normal): "bye"". The text of a normal end does
// not read like a failure.
std::string describe_close(const CloseInfo& info) {
  std::string text = info.by_peer ? " was closed by the server" : " is closed";
  if (info.code == CloseCode::no_status) {
    text += " without a code";
  } else {
    text += " with " + std::to_string(static_cast<int>(info.code));
    const std::string_view name = base::close_name(info.code);
    if (!name.empty()) text.append(" (").append(name).append(")");
  }
  return info.reason.empty() ? text : text + ": \"" + info.reason + '"';
}

}  // namespace

Session::Session(std::unique_ptr<net::Transport> transport, std::unique_ptr<tls::Scratch[]> scratch,
                 const DialOptions& options, std::string url, std::string remote_address,
                 const StageClock& clock)
    : url_(std::move(url)),
      remote_address_(std::move(remote_address)),
      clock_(clock),
      options_{.limits = options.limits, .timeouts = options.timeouts, .deflate = options.deflate},
      scratch_(std::move(scratch)),
      transport_(std::move(transport)),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_bytes)) {}

Result<void> Session::begin(ClientRequest request, Clock::time_point deadline) {
  const Lock lock(mutex_);
  if (!bell_) return Error(bell_.error, "eventfd");
  const auto now = Clock::now();
  request.timeout =
      deadline == Clock::time_point::max() ? Timeouts::Duration::max() : deadline - now;
  auto made = Engine::client(request, options_, workspace_);
  if (!made) {
    return Error::described(made.error().code(), "upgrade " + url_ + ": " + made.error().message());
  }
  engine_.emplace(*std::move(made));
  engine_->tick(now, PeerProgress{});
  return {};
}

Result<void> Session::open() {
  Lock lock(mutex_);
  const Reading reading(readers_);
  for (;;) {
    flush();
    if (pull().kind() == Event::Kind::open) break;
    if (end_error_) return *end_error_;
    wait(lock, Clock::time_point::max());  // the engine has the deadline
  }
  clock_.secured(transport_->ready_since());
  clock_.done(Step::upgrade, Clock::now());
  protocol_ = engine_->protocol();
  for (const HeaderField& field : engine_->response().fields) {
    fields_.emplace_back(field.name, field.value);
  }
  return {};
}

// ---- receiving

Result<MessageType> Session::receive(std::string& payload, Clock::time_point deadline) {
  Lock lock(mutex_);
  if (!end_error_) judge();
  if (!inbox_.empty()) {
    const MessageType type = inbox_.front().type;
    inbox_bytes_ -= inbox_.front().payload.size() + sizeof(Waiting);
    payload = std::move(inbox_.front().payload);
    inbox_.pop_front();
    receives_until_ = Clock::now() + returns_within;
    return type;
  }
  const Reading reading(readers_);
  for (bool looked = false;; looked = true) {
    if (const Event event = pull()) {
      try {
        payload.assign(event.message().text());
      } catch (const std::bad_alloc&) {
        engine_->terminate(Errc::no_memory);
        continue;
      }
      flush();
      receives_until_ = Clock::now() + returns_within;
      return event.message().type();
    }
    if (end_error_) flush();
    if (end_error_) return *end_error_;
    if (flush()) continue;  // it may have written the answer to a Close frame
    if (!looked && driving_ && wants_read()) {
      read();  // the driver may have begun to wait before a thread received
    } else if (looked && Clock::now() >= deadline) {
      return Errc::timed_out;
    } else {
      wait(lock, deadline);
    }
  }
}

// ---- sending

// Counts the bytes that calls of threads have queued.
template <class F>
void Session::append(F&& function) noexcept {
  const auto before = static_cast<std::int64_t>(engine_->queued_bytes());
  function();
  appended_ += static_cast<std::int64_t>(engine_->queued_bytes()) - before;
}

Result<void> Session::send(Message message, SendOptions options) {
  if (options.check_text && !engine::is_valid_text(message)) {
    return Error(Errc::text_not_utf8, "send " + url_);
  }
  options.check_text = false;
  Lock lock(mutex_);
  if (!end_error_) look(false);
  // Senders take turns in the order of their calls, because otherwise one large message could wait
  // without end behind many small ones.
  const std::uint64_t ticket = next_turn_++;
  while (may_send() && (turn_ != ticket || engine_->would_overflow(message.size()))) {
    if (!flush()) wait(lock, Clock::time_point::max());
  }
  if (!may_send()) return why_not_sent();
  ++turn_;
  if (turn_ != next_turn_) report();
  append([&] { engine_->send(message, options); });
  return written(lock);
}

Result<void> Session::ping(std::span<const std::byte> payload) {
  Lock lock(mutex_);
  if (!end_error_) look(false);
  if (!may_send()) return why_not_sent();
  append([&] { engine_->ping(payload); });
  return written(lock);
}

// Waits until the system has everything that was appended so far, because no other thread might
// write it. Bytes appended later may still wait. Pongs count as if they were ours.
Result<void> Session::written(Lock& lock) {
  for (const std::int64_t mark = appended_;;) {
    flush();
    if (!engine_->is_open()) pull();  // it returns no message any more, so none can be lost
    const bool gone = static_cast<std::int64_t>(engine_->queued_bytes()) <= appended_ - mark;
    if (end_error_ ? engine_->close_info().clean : gone && !has_unsent()) return {};
    if (end_error_ || write_error_) return why_not_sent();
    wait(lock, Clock::time_point::max());
  }
}

Error Session::why_not_sent() {
  if (!engine_->is_open()) pull();
  if (end_error_) return *end_error_;
  if (write_error_) return Error(*write_error_, url_);
  return Error(Errc::closed, url_);
}

// ---- the end

// The timeout follows the peer's progress. So messages sent before are not lost on a slow link,
// whether they wait here or in the system.
bool Session::close(CloseCode code, std::string_view reason, std::chrono::nanoseconds timeout) {
  Lock lock(mutex_);
  receives_until_ = {};
  if (!end_error_) look(true);
  const Reading reading(readers_);
  drop_inbox();
  base::Patience patience;
  patience.start(Clock::now());
  if (engine_->is_open()) {
    options_.timeouts.close = timeout;
    append([&] { engine_->close(code, reason); });
  }
  for (bool looked = false; has_tcp(); looked = true) {
    pull();
    if (!has_tcp()) break;  // the server broke the rules, and TCP has ended
    if (flush()) continue;
    // TCP ends only after our own Close frame is written, because a peer that has sent its last
    // frame may still read.
    const bool nothing_to_come = write_error_ || (input_over_ && engine_->finished());
    const auto now = Clock::now();
    const auto next_look = patience.next_look(timeout, true);
    if (end_error_ && nothing_to_come && has_close_arrived()) {
      end_tcp();
    } else if (!looked || now < next_look) {
      if (end_error_ && nothing_to_come) {
        // No event reports an acknowledgement.
        changed_.wait_until(lock, std::min(next_look, now + look_again));
      } else {
        wait(lock, next_look);
      }
    } else {
      patience.look(now, delivery(), timeout, options_.limits.min_drain_bytes_per_second,
                    base::Patience::Counts::all);
      if (!patience.is_over(now, timeout)) continue;
      engine_->terminate(Errc::close_timeout);
      const bool tried = timeout.count() > 0;
      end_tcp(tried && delivery().waiting > 0 ? Leave::as_it_ended : Leave::by_fin);
      pull();
    }
  }
  return engine_->close_info().clean && !close_lost_;
}

// Runs in the thread that requests the stop, so it does not wait. A thread that is in a call
// receives the server's answer.
void Session::go_away() noexcept {
  const Lock lock(mutex_);
  if (!engine_->is_open()) return;
  engine_->advance(Clock::now());
  append([&] { engine_->close(CloseCode::going_away); });
  flush();
  report();
}

void Session::terminate(Errc why) noexcept {
  const Lock lock(mutex_);
  drop_inbox();
  engine_->terminate(why);
  pull();
  end_tcp();
}

// The engine has reported its end. A Close frame may still have to be written, and close() also
// waits for the peer's FIN (RFC 6455 §7.1.1). If neither is left to do, TCP ends here.
void Session::on_end() noexcept {
  try {
    end_error_.emplace(end_error());
  } catch (const std::bad_alloc&) {
    end_error_.emplace(engine_->close_info().error);
  }
  const bool waits = has_unsent() && !base::is_silence(engine_->close_info().error);
  if (engine_->finished() && !waits && has_close_arrived()) end_tcp();
  report();
}

// If the peer is gone when our Close frame arrives, its system answers with a reset, although
// reading shows a proper end if the peer's Close frame and FIN are here. Returns true if it is
// known which of the two happened.
bool Session::has_close_arrived() noexcept {
  if (!engine_->close_info().clean || close_lost_ || fin_sent_ || !has_tcp()) return true;
  const bool waiting = delivery().waiting > 0;
  pollfd socket{transport_->fd(), 0, 0};
  const bool reset = poll_until({&socket, 1}, Clock::now()) && (socket.revents & POLLERR) != 0;
  close_lost_ = reset && waiting;
  return reset || !waiting;
}

// If a thread drives, it closes the descriptor, because until then no other descriptor may get its
// number. A silent peer that did not keep a deadline gets RST: nothing is left behind for it.
void Session::end_tcp(Leave how) noexcept {
  if (!has_tcp()) return;
  const CloseInfo& info = engine_->close_info();
  // A peer that took everything but never answered our Close frame has nothing left to lose.
  const bool took_all = info.error == Errc::close_timeout && delivery().waiting == 0;
  if (how == Leave::as_it_ended && info.opened && !info.clean && !input_over_ && !fin_sent_ &&
      !took_all) {
    net::reset_on_close(transport_->fd());
  }
  if (info.clean) transport_->shutdown_write();  // TLS sends close_notify
  if (driving_) {
    tcp_over_ = true;
  } else {
    transport_.reset();
  }
  report();
}

Error Session::end_error() const {
  const CloseInfo& info = engine_->close_info();
  if (!info.opened) return handshake_error(*engine_, url_, transport_.get());
  if (info.error) {
    const std::string more = explanation();
    return Error(info.error, more.empty() ? url_ : url_ + ": " + more);
  }
  return Error::described(Errc::closed, url_ + describe_close(info));
}

std::string Session::explanation() const {
  return transport_ ? transport_->explanation() : std::string();
}

CloseInfo Session::close_info() const {
  const Lock lock(mutex_);
  CloseInfo info = engine_->close_info();
  if (info.clean && close_lost_) {
    info.clean = false;
    info.error = Errc::connection_reset;
  }
  // The engine gets this error after the input that arrived before it was received. A failed send()
  // reports it now.
  if (!end_error_ && write_error_) {
    info.error = *write_error_;
    info.opened = true;
  }
  return info;
}

std::optional<DeflateAgreement> Session::deflate() const {
  const Lock lock(mutex_);
  return engine_->deflate();
}

std::optional<RoundTrip> Session::rtt() const {
  const Lock lock(mutex_);
  return engine_->rtt();
}

std::string Session::header(std::string_view name) const {
  for (const auto& [field_name, value] : fields_) {
    if (http::iequals(field_name, name)) return value;
  }
  return {};
}

}  // namespace tern::client
