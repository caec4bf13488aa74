// The output for the user: payloads and events on stdout, all else on stderr.
#pragma once

#include "connect/events.h"
#include "connect/options.h"
#include "connect/printer.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace command {

/// Tells each event to the user in the way that the options ask for.
class Report {
 public:
  /// `with_prompt`: stdin and the output are a terminal.
  Report(const ConnectOptions& options, Output& output, bool with_prompt);

  void attempt(std::size_t number);
  /// The head of a request, which may hold secrets.
  void request(std::string_view head);
  void open(const tern::Connection& connection, const tern::ResponseHead& response);
  void message(tern::Message message);
  void ping(std::span<const std::byte> payload, Events::Direction direction);
  void pong(std::span<const std::byte> payload, std::optional<double> rtt_ms);
  void ended(const tern::Ended& end);
  /// `as_wanted`: it is nothing to report.
  void closed(const tern::CloseInfo& end, bool as_wanted);
  /// A problem of the command itself, for example with stdin.
  void problem(std::string_view text);
  /// The user may type the next line.
  void prompt() { printer_.prompt(); }
  /// Nothing follows.
  void finish() { printer_.remove_prompt(); }

  /// The URL without its query, which may hold a secret.
  const std::string& shown_url() const noexcept { return shown_url_; }
  double now() const noexcept { return events_.now(); }

 private:
  void notice(std::string_view text);
  // Shows the head of an answer that is not 101, if there was one.
  void show_answer(const tern::Error& failure);

  const ConnectOptions& options_;
  Printer printer_;
  Events events_;
  std::string shown_url_;
  const bool errors_on_terminal_;
};

}  // namespace command
