// The run as a state machine on one loop. stdin is read only while the connection takes messages,
// so a slow server slows down the program in front of the pipe.
#include "connect/run.h"

#include "connect/request.h"
#include "exit_code.h"

#include <csignal>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace command {
namespace {

// Tells the run what happens on one connection.
class Talk {
 public:
  explicit Talk(Run& run) noexcept : run_(run) {}

  void on_open(tern::Connection& connection) { run_.on_open(connection); }
  void on_message(tern::Connection& connection, tern::Message message) {
    run_.on_message(connection, message);
  }
  void on_ping(tern::Connection&, std::span<const std::byte> payload) { run_.on_ping(payload); }
  void on_pong(tern::Connection&, std::span<const std::byte> payload) { run_.on_pong(payload); }
  void on_drain(tern::Connection&) { run_.on_drain(); }
  void on_close(tern::Connection&, const tern::CloseInfo& end) { run_.on_close(end); }

 private:
  Run& run_;
};

constexpr const char* too_long = "a message is longer than --max-message";

std::string without_port(std::string address) {
  if (address.starts_with("unix:")) return address;
  address.resize(address.rfind(':'));
  if (address.starts_with('[')) return address.substr(1, address.size() - 2);
  return address;
}

}  // namespace

Run::Run(ConnectOptions options)
    : options_(std::move(options)),
      output_(loop_, [this] { on_output(); }),
      input_(loop_, options_.separator, options_.dial.limits.max_message_bytes,
             [this] { on_input(); }) {}

int Run::run() {
  if (start()) {
    if (auto ran = loop_.run(); !ran) {
      report_->problem(ran.error().message());
      exit_code_ = other;
    }
  }
  client_.reset();
  if (exit_code_ == done && had_problem_) exit_code_ = other;
  write_figures();
  return exit_code_;
}

bool Run::start() {
  if (auto opened = output_.open(options_.output_file); !opened) {
    std::cerr << "tern: " << opened.error().message() << '\n';
    exit_code_ = other;
    return false;
  }
  report_.emplace(options_, output_,
                  output_.is_terminal() && ::isatty(STDIN_FILENO) == 1 && !options_.json);
  for (const int signo : {SIGINT, SIGTERM}) {
    const auto watched = loop_.on_signal(signo, [this](int number) { on_signal(number); });
    if (!watched) report_->problem(watched.error().message());
  }
  if (options_.max_time) {
    loop_.after(*options_.max_time, [this] {
      report_->problem("--max-time is over");
      stop(timed_out);
    });
  }
  if (options_.idle) look_at_idle();
  client_.emplace(loop_, options_.url, client_options());
  if (auto begun = client_->connect<Talk>(std::ref(*this)); !begun) {
    report_->ended({.failure = &begun.error()});
    exit_code_ = exit_code(begun.error(), tern::Stage::prepare);
    phase_ = Phase::over;
    leave_if_written();
  }
  return true;
}

tern::ClientOptions Run::client_options() {
  tern::ClientOptions client;
  client.dial = options_.dial;
  client.dial.limits.max_fragments = 1u << 20;
  if (options_.retry) {
    if (options_.retries > 0) client.retry.attempts = options_.retries + 1;
    if (options_.retry_max) client.retry.most = *options_.retry_max;
    client.retry.again = [this](const tern::Ended& end) {
      return end.transient && (phase_ == Phase::connecting || phase_ == Phase::talking);
    };
  } else {
    client.retry = tern::Retry::never();
  }
  client.before_attempt = [this](const tern::Attempt& attempt) {
    report_->attempt(++attempts_);
    attempt.go();
  };
  if (options_.verbose) {
    client.on_request = [this](std::string_view head) { report_->request(head); };
  }
  client.on_ended = [this](const tern::Ended& end) { on_ended(end); };
  return client;
}

// ---- sending

void Run::on_open(tern::Connection& connection) {
  connection_ = &connection;
  phase_ = Phase::talking;
  congested_ = false;
  figures_.http_code = 101;
  figures_.times = client_->times();
  figures_.protocol = connection.protocol();
  figures_.remote_ip = without_port(connection.remote_address());
  report_->open(connection, *connection.response());
  for (const std::string& text : options_.first_messages) {
    if (!connection.send({options_.type, text})) continue;
    ++figures_.messages_sent;
    figures_.bytes_sent += text.size();
  }
  if (options_.ping) {
    connection.every(*options_.ping, [this](tern::Connection& each) { ping(each); });
  }
  heard_ = loop_.now();
  report_->prompt();
  pump();
}

// Sends what stdin has, and reads on when that is sent. Nothing is read while the connection is
// congested or not open.
void Run::pump() {
  while (phase_ == Phase::talking && !congested_ && send_front()) {
  }
  if (phase_ != Phase::talking) return input_.want(false);
  if (input_.is_over()) return at_eof();
  input_.want(!congested_);
}

// Returns whether there may be another record to send.
bool Run::send_front() {
  const auto record = input_.front();
  if (!record) return false;
  if (record->size() > options_.dial.limits.max_message_bytes) return end_input(too_long), false;
  try {
    std::string decoded;
    std::string_view bytes = *record;
    if (options_.encoding != Encoding::plain) {
      bytes = decoded = decode_message(options_, std::string(bytes));
    }
    const tern::SendStatus sent = connection_->send({options_.type, bytes});
    if (sent == tern::SendStatus::closed) return false;  // the next connection sends it
    congested_ = sent == tern::SendStatus::congested || sent == tern::SendStatus::full;
    if (sent == tern::SendStatus::full) return false;
    if (sent == tern::SendStatus::not_utf8) throw std::invalid_argument("not UTF-8; use -B");
    ++figures_.messages_sent;
    figures_.bytes_sent += bytes.size();
  } catch (const std::invalid_argument& wrong) {
    problem("stdin: a message is not sent: " + std::string(wrong.what()));
  }
  input_.pop();
  report_->prompt();
  return true;
}

void Run::on_input() {
  if (input_.error()) {
    const bool is_size = input_.error() == std::errc::message_size;
    return end_input(is_size ? too_long : input_.error().message());
  }
  if (phase_ == Phase::talking) return pump();
  if (input_.front()) return input_.want(false);  // the next connection sends it
  if (phase_ == Phase::connecting && input_.is_over() && has_enough()) stop(done);
}

// Nothing more of stdin is sent.
void Run::end_input(std::string_view why) {
  problem("stdin: " + std::string(why));
  close();
}

void Run::on_drain() {
  congested_ = false;
  pump();
}

void Run::at_eof() {
  const bool closes = options_.at_eof == AtEof::close || options_.at_eof == AtEof::exit;
  if (options_.count ? has_enough() : closes) return close();
  if (options_.at_eof != AtEof::wait || std::exchange(waits_, true)) return;
  heard_ = loop_.now();
  look_at_wait();
}

void Run::close() {
  if (phase_ != Phase::talking) return;
  phase_ = Phase::closing;
  if (options_.at_eof == AtEof::exit) {
    connection_->close(options_.close_code, options_.close_reason);
  } else {
    connection_->finish(options_.close_code, options_.close_reason);
  }
}

// ---- receiving

void Run::on_message(tern::Connection& connection, tern::Message message) {
  heard_ = loop_.now();
  ++figures_.messages_received;
  figures_.bytes_received += message.size();
  if (has_enough()) return;
  ++received_;
  report_->message(message);
  if (output_.is_behind() && !std::exchange(paused_, true)) connection.pause();
  if (has_enough() && input_.is_over()) close();
}

// The reader of stdout took something, or is gone.
void Run::on_output() {
  if (const std::error_code why = output_.error()) {
    if (phase_ == Phase::stopping) return;
    const bool reader_is_gone = why == std::errc::broken_pipe;
    if (!reader_is_gone) problem("stdout: " + why.message());
    return stop(done);
  }
  if (paused_ && !output_.is_behind()) {
    paused_ = false;
    if (connection_ != nullptr) connection_->resume();
  }
  leave_if_written();
}

void Run::ping(tern::Connection& connection) {
  const std::string payload = std::to_string(++pings_);
  const std::span bytes = std::as_bytes(std::span(payload));
  pinged_ = Clock::now();
  connection.ping(bytes);
  report_->ping(bytes, Events::Direction::out);
}

void Run::on_ping(std::span<const std::byte> payload) {
  report_->ping(payload, Events::Direction::in);
}

void Run::on_pong(std::span<const std::byte> payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  std::optional<double> rtt;
  if (pings_ > 0 && text == std::to_string(pings_)) {
    rtt = std::chrono::duration<double, std::milli>(Clock::now() - pinged_).count();
    figures_.rtt = *rtt / 1000;
  }
  report_->pong(payload, rtt);
}

}  // namespace command
