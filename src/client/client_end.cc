// How attempts and connections end, and what follows: another attempt after a while, or nothing.
#include "base/later.h"
#include "client/loop_client.h"
#include "connection/dispatch.h"
#include "http/url.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::client {

namespace {

std::optional<std::chrono::nanoseconds> retry_after(const Error& failure) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return parse_retry_after(failure.header("Retry-After"), now);
}

std::string in_seconds(std::chrono::nanoseconds time) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(time).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

// The end of a connection as an error; nothing if both sides closed it.
std::optional<Error> error_of(const CloseInfo& info, std::string_view url) noexcept {
  if (info.clean) return {};
  return Error(info.error ? info.error : make_error_code(Errc::end_of_stream), url);
}

}  // namespace

// The URL of the attempt, for people. Empty if memory is out.
std::string LoopClient::shown_url() const noexcept {
  try {
    if (!other_url_.view().empty()) return std::string(other_url_.view());
    const auto url = http::parse_url(url_.view());
    return url ? client::name_of(*url) : std::string();
  } catch (const std::bad_alloc&) {
    return {};
  }
}

// ---- ends

void LoopClient::fail(Error failure, Stage stage) noexcept {
  const auto self = weak_from_this().lock();
  if (!is_running()) return;
  const std::string url = shown_url();
  Ended ended{.url = url, .failure = &failure, .stage = stage, .times = times()};
  close_attempt();
  ended.retry_after = retry_after(failure);
  const auto wait = backoff_.after_failure(group().draw(),
                                           ended.retry_after.value_or(std::chrono::nanoseconds(0)));
  conclude(ended, judge(failure), wait);
}

void LoopClient::end(const CloseInfo& info) noexcept {
  const std::string url = shown_url();
  close_attempt();  // on_open has thrown, or it has replaced the connection
  Ended ended{.url = url, .close = &info, .stage = Stage::open};
  if (state() == ClientState::open && todo_ == Todo::replace) {  // reconnect() ended it
    todo_ = Todo::nothing;
    ended.transient = true;
    ended.failures = backoff_.failures();
    ended.wait = std::chrono::nanoseconds(0);
    set_state(ClientState::connecting);
    schedule(Todo::attempt);
    return tell(ended);
  }
  const Verdict verdict = judge(info);
  const auto wait = backoff_.after_end(verdict, core().now() - since_, group().draw());
  conclude(ended, verdict, wait);
}

// Decides whether another attempt follows. The state is set before the application receives the
// end, so that it may call reconnect() or stop() then.
void LoopClient::conclude(Ended& ended, Verdict verdict,
                          std::optional<std::chrono::nanoseconds> wait) noexcept {
  ended.failures = backoff_.failures();
  ended.transient = verdict != Verdict::fatal;
  const bool goes_on = asks_again(ended);
  if (is_over()) return;
  if (options().dial.stop.stop_requested()) stopping_ = true;
  if (goes_on && wait && !stopping_) {
    since_ = base::later(core().now(), *wait);
    wait_until(since_);
    set_state(ClientState::waiting);
    ended.wait = wait;
  } else {
    std::optional<Error> why;
    if (!stopping_)
      why = ended.failure ? std::optional(*ended.failure) : error_of(*ended.close, ended.url);
    halt(std::move(why));
  }
  tell(ended);
}

// Asks the application whether to go on. A stop() that it calls meanwhile is only noted.
bool LoopClient::asks_again(const Ended& ended) noexcept {
  auto& again = settings_->options->retry.again;
  if (!again || stopping_) return ended.transient;
  set_state(ClientState::connecting);
  judging_ = true;
  bool goes_on = ended.transient;
  try {
    goes_on = again(ended);
  } catch (...) {
    connection::log_exception(options().log, ended.url, "retry.again", {});
  }
  judging_ = false;
  return goes_on;
}

// Stops for good.
void LoopClient::halt(std::optional<Error> why) noexcept {
  error_ = std::move(why);
  set_state(ClientState::stopped);
  if (outbox_) outbox_->clear();
}

// The log comes last, because it may stop the client, too.
void LoopClient::tell(const Ended& ended) noexcept {
  report(ended);
  if (!is_over()) log_end(ended);
}

void LoopClient::report(const Ended& ended) noexcept {
  auto& on_ended = settings_->options->on_ended;
  if (is_over() || !on_ended) return;
  try {
    on_ended(ended);
  } catch (...) {
    connection::log_exception(options().log, ended.url, "on_ended", {});
  }
}

void LoopClient::log_end(const Ended& ended) noexcept {
  connection::log_composed(options().log, [&] {
    std::string text;
    if (ended.failure != nullptr) {
      text = "attempt " + std::to_string(ended.failures) + ": " + ended.failure->message();
    } else {
      text = "the connection to " + std::string(ended.url) + " ended with " +
             std::to_string(static_cast<int>(ended.close->code));
      if (ended.close->error) text += " (" + ended.close->error.message() + ")";
    }
    text += ended.wait ? "; next attempt in " + in_seconds(*ended.wait) : "; no further attempt";
    const bool is_failure =
        ended.failure != nullptr ? ended.failure->code() != Errc::stopped : !ended.close->clean;
    connection::log(options().log, is_failure ? LogLevel::warning : LogLevel::info, text);
  });
}

void LoopClient::on_timer(net::Timer::time_point) noexcept {
  wait_until(no_attempt);
  if (state() == ClientState::waiting) prepare();
}

// ---- stopping

bool LoopClient::stop(CloseCode code, std::string_view reason) noexcept {
  if (group().registry->mailbox().reader() == std::this_thread::get_id()) {
    stop_here(code, reason);
    return true;
  }
  try {
    return group().registry->mailbox().post(
        [client = weak_from_this(), code, reason = std::string(reason)] {
          if (const auto self = client.lock()) self->stop_here(code, reason);
        },
        {.bounded = false});
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void LoopClient::stop_here(CloseCode code, std::string_view reason) noexcept {
  if (!is_running() || stopping_ || state() == ClientState::stopped) return;
  stopping_ = true;
  if (judging_) return;  // conclude() follows
  if (state() == ClientState::open) {
    set_state(ClientState::closing);
    todo_ = Todo::nothing;
    return connection_->close(code, reason);
  }
  note_stage();
  cancel();
  schedule(Todo::report_stop);
}

// For report_stop(), because cancel() closes the attempt. The connection makes the TLS handshake
// with the server, so the attempt does not know when it is over.
void LoopClient::note_stage() noexcept {
  stopped_at_ = attempt_ != nullptr ? attempt_->stage() : Stage::prepare;
  if (stopped_at_ == Stage::upgrade && connection_ != nullptr &&
      !connection_->transport().is_ready()) {
    stopped_at_ = Stage::tls;
  }
}

void LoopClient::report_stop(std::optional<std::chrono::nanoseconds> wait) noexcept {
  const std::string url = shown_url();
  const Error stopped(Errc::stopped, url);
  tell({.url = url,
        .failure = &stopped,
        .stage = stopped_at_,
        .failures = backoff_.failures(),
        .wait = wait});
}

// The loop ended the open connection.
void LoopClient::report_end(const CloseInfo& info) noexcept {
  const std::string url = shown_url();
  tell({.url = url,
        .close = &info,
        .stage = Stage::open,
        .failures = backoff_.failures(),
        .transient = judge(info) != Verdict::fatal});
}

void LoopClient::StopPost::operator()() const noexcept {
  try {
    mailbox->post(
        [client = client] {
          if (const auto self = client.lock()) self->stop_here(CloseCode::going_away, {});
        },
        {.bounded = false});
  } catch (const std::bad_alloc&) {  // the next attempt sees the stop
  }
}

void LoopClient::reconnect() noexcept {
  if (!is_running() || maker_ == nullptr) return;
  Todo next = Todo::attempt;
  switch (state()) {
    case ClientState::idle:
    case ClientState::connecting:
      return;
    case ClientState::waiting:
      wait_until(no_attempt);
      break;
    case ClientState::open:
    case ClientState::closing:
      stopping_ = false;
      set_state(ClientState::open);
      connection_->close(CloseCode::normal, {});
      return schedule(Todo::replace);
    case ClientState::stopped:
      stopping_ = false;
      error_.reset();
      backoff_.settle();
      if (todo_ == Todo::report_stop) next = Todo::restart;
      break;
  }
  set_state(ClientState::connecting);
  schedule(next);
}

void LoopClient::settle() noexcept {
  if (state() == ClientState::open) backoff_.settle();
}

void LoopClient::abandon() noexcept {
  if (is_over()) return;
  life_ = Life::over;
  const auto self = weak_from_this().lock();
  static_cast<GroupMember*>(this)->unlink();
  on_stop_.reset();
  cancel();
  core().timers().cancel(*this);
}

void LoopClient::on_loop_end() noexcept {
  const auto self = weak_from_this().lock();
  const bool begun = maker_ != nullptr && state() != ClientState::stopped;
  const bool was_open = state() == ClientState::open || state() == ClientState::closing;
  const connection::LiveConnection* const connection = was_open ? connection_ : nullptr;
  life_ = Life::ending;
  note_stage();
  on_stop_.reset();
  cancel();  // the loop frees the connection later
  core().timers().cancel(*this);
  if (begun) {
    connection != nullptr ? report_end(connection->engine().close_info()) : report_stop();
  }
  life_ = Life::over;
}

// ---- what an application reads

std::optional<Loop::Clock::time_point> LoopClient::next_attempt() const noexcept {
  if (state() != ClientState::waiting) return {};
  return since_;
}

std::optional<Error> LoopClient::error() const { return error_; }

}  // namespace tern::client
