// One run of `tern connect`: stdin to the connection, messages to stdout, and how it ends.
//
//   connecting ◀──── retry ────┐
//       └──▶ talking ──────────┤
//               │ stdin is sent, enough messages came
//               ▼              │
//            closing ──────────┴──▶ over ──▶ stdout has all
//
// A signal, a time that is over, or a reader of stdout that is gone lead to `stopping`: a Close
// frame, and at most 1 s for its answer.
#pragma once

#include "tern/client.h"
#include "tern/loop.h"

#include "connect/input.h"
#include "connect/options.h"
#include "connect/output.h"
#include "connect/report.h"
#include "connect/write_out.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace command {

/// Runs once. Thread: that of run().
class Run {
 public:
  explicit Run(ConnectOptions options);

  /// Connects, talks and returns the exit code. SIGINT and SIGTERM must be blocked, and SIGPIPE
  /// ignored.
  int run();

  // The events of the session of each connection.
  void on_open(tern::Connection& connection);
  void on_message(tern::Connection& connection, tern::Message message);
  void on_ping(std::span<const std::byte> payload);
  void on_pong(std::span<const std::byte> payload);
  void on_drain();
  void on_close(const tern::CloseInfo& end);

 private:
  using Clock = tern::Loop::Clock;
  enum class Phase : std::uint8_t { connecting, talking, closing, stopping, over };

  tern::ClientOptions client_options();
  bool start();
  // Sending.
  void pump();
  bool send_front();
  void on_input();
  void at_eof();
  void end_input(std::string_view why);
  void close();
  // Receiving.
  void on_output();
  bool has_enough() const noexcept { return options_.count && received_ >= *options_.count; }
  void ping(tern::Connection& connection);
  // Ends.
  void on_ended(const tern::Ended& end);
  void on_signal(int signo);
  void stop(int code);
  void leave_if_written();
  void look_at_idle();
  void look_at_wait();
  void problem(std::string_view text);
  void write_figures();

  ConnectOptions options_;
  tern::Loop loop_{};
  Output output_;
  Input input_;
  std::optional<Report> report_{};
  std::optional<tern::Client> client_{};
  tern::Connection* connection_ = nullptr;  // while it is open
  Phase phase_ = Phase::connecting;
  bool congested_ = false;
  bool paused_ = false;
  std::size_t received_ = 0;
  std::uint64_t pings_ = 0;
  Clock::time_point pinged_{};
  Clock::time_point heard_ = Clock::now();  // the last message, for --idle and --wait
  bool waits_ = false;                      // for a silence of --wait
  std::size_t attempts_ = 0;
  int exit_code_ = 0;
  bool had_problem_ = false;
  Figures figures_{};
};

}  // namespace command
