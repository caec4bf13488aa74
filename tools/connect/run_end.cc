// How a run ends.
#include "connect/run.h"
#include "exit_code.h"

#include <iostream>

namespace command {
namespace {

using namespace std::chrono_literals;

// The time for the closing handshake when the user does not want to wait.
constexpr auto patience = 1s;

}  // namespace

// While there is no connection, at most one piece of stdin is read: it may be the end.
void Run::on_close(const tern::CloseInfo& end) {
  connection_ = nullptr;
  paused_ = false;
  input_.want(options_.retry && phase_ == Phase::talking && !input_.front());
  figures_.close_code = static_cast<int>(end.code);
  figures_.close_reason = end.reason;
  if (phase_ == Phase::stopping) return;
  // With all messages that were asked for, it does not matter what the server said then.
  exit_code_ = end.clean && has_enough() ? done : exit_code(end, options_.close_code);
  report_->closed(end, exit_code_ == done);
  if (phase_ == Phase::talking) phase_ = Phase::connecting;
}

void Run::on_ended(const tern::Ended& end) {
  if (phase_ != Phase::stopping) {
    report_->ended(end);
    if (end.failure != nullptr) exit_code_ = exit_code(*end.failure, end.stage);
  }
  if (end.failure != nullptr && end.stage != tern::Stage::proxy) {
    figures_.http_code = end.failure->http_status();
  }
  if (end.failure != nullptr && phase_ != Phase::stopping) figures_.times = end.times;
  if (end.wait) return;
  phase_ = Phase::over;
  report_->finish();
  leave_if_written();
}

// The first signal closes, the second one ends at once.
void Run::on_signal(int signo) {
  if (phase_ == Phase::stopping) return loop_.stop();
  stop(128 + signo);
}

// Ends with this code, whatever the connection says.
void Run::stop(int code) {
  if (phase_ == Phase::stopping) return;
  exit_code_ = code;
  if (phase_ == Phase::over) return loop_.stop();  // only stdout is not written
  if (phase_ == Phase::connecting) figures_.times = client_->times();
  phase_ = Phase::stopping;
  input_.want(false);
  loop_.after(patience, [this] { loop_.stop(); });
  client_->stop(options_.close_code, options_.close_reason);
}

void Run::leave_if_written() {
  if (phase_ == Phase::over && output_.is_empty()) loop_.stop();
}

void Run::problem(std::string_view text) {
  had_problem_ = true;
  report_->problem(text);
}

// ---- --idle and --wait

void Run::look_at_idle() {
  const auto left = heard_ + *options_.idle - Clock::now();
  if (left > 0ns) {
    loop_.after(left, [this] { look_at_idle(); });
  } else if (phase_ != Phase::stopping && phase_ != Phase::over) {
    report_->problem("--idle is over: no message came");
    stop(timed_out);
  }
}

// stdin has been sent.
void Run::look_at_wait() {
  const auto left = heard_ + options_.wait - Clock::now();
  if (left > 0ns) {
    loop_.after(left, [this] { look_at_wait(); });
  } else {
    waits_ = false;  // the next connection waits again
    close();
  }
}

// ---- the figures

void Run::write_figures() {
  if (options_.write_out.empty()) return;
  figures_.url = options_.url.substr(0, options_.url.find('?'));
  figures_.attempts = attempts_;
  figures_.exit_code = exit_code_;
  figures_.time_total = report_ ? report_->now() : 0;
  std::cerr << write_out(options_.write_out, figures_) << std::flush;
}

}  // namespace command
