// The functions that a handler calls. Each one appends or marks; some write. None of them calls the
// application. The public class has no data: each Connection is a LiveConnection.
#include "tern/connection.h"

#include "base/assert.h"
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"
#include "net/socket.h"

#include <algorithm>
#include <array>
#include <new>

namespace tern {
namespace connection {
namespace {

LiveConnection& live(Connection& connection) noexcept {
  return static_cast<LiveConnection&>(connection);
}
const LiveConnection& live(const Connection& connection) noexcept {
  return static_cast<const LiveConnection&>(connection);
}

}  // namespace

// Inside of a turn the engine has the time already.
void LiveConnection::begin_call() noexcept {
  environment_->core.assert_thread();
  if (!in_turn_) engine_.advance(environment_->core.now());
}

// Only a connection with subscriptions or timers looks further.
inline bool LiveConnection::has_pending() const noexcept {
  return extras_ != nullptr && environment_->shared.fanout != nullptr &&
         environment_->shared.fanout->busy();
}

bool LiveConnection::has_room_for(std::size_t bytes) noexcept {
  begin_call();
  make_room(bytes);
  if (!engine_.would_overflow(bytes)) return true;
  congested_ = true;
  return false;
}

// Each message that is sent passes through it, so it is inline. In a turn of the connection nothing
// is deferred.
inline SendStatus LiveConnection::after_send(SendStatus status) noexcept {
  if (status) {
    environment_->metrics.messages_sent.add();
    if (status == SendStatus::congested) congested_ = true;
  } else if (status == SendStatus::not_utf8) {
    report_text();
  }
  if (!in_turn_) defer_to_turn_end();
  return status;
}

// Once for each connection: a handler that ignores what send() returns would fill the log.
[[gnu::cold]] void LiveConnection::report_text() noexcept {
  if (text_reported_) return;
  text_reported_ = true;
  log_composed(environment_->shared.log, [&] {
    log(environment_->shared.log, LogLevel::warning,
        "send: a text message is not UTF-8 and was not sent; send bytes as binary "
        "(logged once for each connection)",
        remote_address());
  });
}

[[gnu::hot]] SendStatus LiveConnection::send(Message message, SendOptions options) noexcept {
  begin_call();
  if (has_pending()) [[unlikely]]
    deliver_pending();
  make_room(message.size());
  return after_send(engine_.send(message, options));
}

[[gnu::hot]] SendStatus LiveConnection::send(const SharedMessage& message,
                                             SendOptions options) noexcept {
  begin_call();
  if (has_pending()) [[unlikely]]
    deliver_pending();
  make_room(message.message().size());
  return after_send(engine_.send(message, options));
}

void LiveConnection::ping(std::span<const std::byte> payload) noexcept {
  begin_call();
  engine_.ping(payload);
  defer_to_turn_end();
}

void LiveConnection::close(CloseCode code, std::string_view reason) noexcept {
  begin_call();
  if (has_pending()) deliver_pending();
  report_code(code);
  engine_.close(code, reason);
  defer_to_turn_end();
}

void LiveConnection::finish(CloseCode code, std::string_view reason) noexcept {
  begin_call();
  if (has_pending()) deliver_pending();
  report_code(code);
  engine_.finish(code, reason);
  defer_to_turn_end();
}

void LiveConnection::report_code(CloseCode code) const noexcept {
  if (code == CloseCode::no_status || may_be_sent(code)) return;
  log_composed(environment_->shared.log, [&] {
    log(environment_->shared.log, LogLevel::warning,
        "close: code " + std::to_string(static_cast<int>(code)) + " may not be sent, 1011 is");
  });
}

void LiveConnection::terminate(std::error_code why) noexcept {
  begin_call();
  engine_.terminate(why);
  defer_to_turn_end();
}

void LiveConnection::pause() noexcept {
  begin_call();
  if (paused_) return;
  paused_ = true;
  engine_.reading(false);
  defer_to_turn_end();
}

void LiveConnection::resume() noexcept {
  begin_call();
  if (!paused_) return;
  paused_ = false;
  engine_.reading(true);
  if (engine_runs()) environment_->core.again(*this);  // what was kept comes first
}

const ResponseHead* LiveConnection::response() const noexcept {
  const ResponseHead& head = engine_.response();
  return shows_head_ && head.status != 0 ? &head : nullptr;
}

Handle LiveConnection::handle() const noexcept {
  const Registry::Place at = place();
  return {environment_->shared.registry, at.slot, at.generation};
}

// ---- timers that die with the connection

struct LiveConnection::TimerTask {
  LiveConnection* connection;
  UniqueFunction<void(Connection&)> function;
  bool repeat;
  TimerId id = TimerId::none;
};

TimerId LiveConnection::start_timer(Loop::Duration delay, bool repeat,
                                    UniqueFunction<void(Connection&)> function) {
  begin_call();
  if (!engine_runs()) return TimerId::none;
  std::vector<TimerId>& timers = make_extras().timers;
  timers.reserve(timers.size() + 1);
  auto task = std::make_unique<TimerTask>(TimerTask{this, std::move(function), repeat});
  TimerTask& entry = *task;
  auto run = [task = std::move(task)] { task->connection->run_timer(*task); };
  entry.id = repeat ? environment_->shared.loop.every(delay, std::move(run))
                    : environment_->shared.loop.after(delay, std::move(run));
  timers.push_back(entry.id);
  return entry.id;
}

void LiveConnection::run_timer(TimerTask& task) noexcept {
  if (!task.repeat) std::erase(extras_->timers, task.id);
  call(task.function);
}

void LiveConnection::call(UniqueFunction<void(Connection&)>& function) noexcept {
  begin_call();
  in_call_ = true;
  const bool fine = call_application("a posted function or timer", [&] { function(*this); });
  in_call_ = false;
  if (!fine) {
    engine_.fail(Errc::handler_threw);
    defer_to_turn_end();
  }
}

void LiveConnection::cancel_timers() noexcept {
  if (!extras_) return;
  for (const TimerId timer : extras_->timers) environment_->shared.loop.cancel(timer);
  extras_->timers = {};
}

bool LiveConnection::cancel_timer(TimerId timer) noexcept {
  if (!extras_ || std::erase(extras_->timers, timer) == 0) return false;
  return environment_->shared.loop.cancel(timer);
}

}  // namespace connection

using connection::live;

[[gnu::hot]] SendStatus Connection::send(Message message, SendOptions options) noexcept {
  return live(*this).send(message, options);
}
[[gnu::hot]] SendStatus Connection::send(const SharedMessage& message,
                                         SendOptions options) noexcept {
  return live(*this).send(message, options);
}
void Connection::ping(std::span<const std::byte> payload) noexcept { live(*this).ping(payload); }
void Connection::close(CloseCode code, std::string_view reason) noexcept {
  live(*this).close(code, reason);
}
void Connection::finish(CloseCode code, std::string_view reason) noexcept {
  live(*this).finish(code, reason);
}
void Connection::terminate() noexcept { live(*this).terminate(Errc::terminated); }
void Connection::pause() noexcept { live(*this).pause(); }
void Connection::resume() noexcept { live(*this).resume(); }
bool Connection::is_open() const noexcept { return live(*this).engine().is_open(); }
std::size_t Connection::queued_bytes() const noexcept {
  return live(*this).engine().queued_bytes();
}
std::string_view Connection::protocol() const noexcept { return live(*this).engine().protocol(); }
std::optional<DeflateAgreement> Connection::deflate() const noexcept {
  return live(*this).engine().deflate();
}
std::optional<RoundTrip> Connection::rtt() const noexcept { return live(*this).engine().rtt(); }
const ResponseHead* Connection::response() const noexcept { return live(*this).response(); }
std::string Connection::remote_address() const { return live(*this).remote_address(); }
Loop& Connection::loop() noexcept { return live(*this).environment().shared.loop; }
Handle Connection::handle() const noexcept { return live(*this).handle(); }

TimerId Connection::after(Loop::Duration delay, UniqueFunction<void(Connection&)> function) {
  return live(*this).start_timer(delay, false, std::move(function));
}
TimerId Connection::every(Loop::Duration interval, UniqueFunction<void(Connection&)> function) {
  return live(*this).start_timer(interval, true, std::move(function));
}
bool Connection::cancel(TimerId timer) noexcept { return live(*this).cancel_timer(timer); }

void* Connection::session_of(const connection::SessionType& type) noexcept {
  TERN_ASSERT(live(*this).session().type() == &type);
  return live(*this).session().get();
}

}  // namespace tern
