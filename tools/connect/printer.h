// The form of received messages on stdout.
#pragma once

#include "tern/message.h"

#include "connect/options.h"
#include "connect/output.h"

namespace command {

/// Writes payloads to the output, and the prompt if stdin and the output are a terminal.
class Printer {
 public:
  Printer(const ConnectOptions& options, Output& output, bool with_prompt) noexcept
      : options_(options), output_(output), with_prompt_(with_prompt) {}

  /// Writes one payload: escaped or as a hex dump on a terminal, as it is elsewhere.
  void message(tern::Message message);
  /// Writes a line as it is.
  void line(std::string_view text);
  /// Shows the prompt behind all that was written.
  void prompt();
  /// Removes the prompt, before something else is written.
  void remove_prompt();

 private:
  void write_raw(tern::Message message);
  std::string shown(tern::Message message) const;

  const ConnectOptions& options_;
  Output& output_;
  const bool with_prompt_;
  bool prompts_ = false;  // the prompt is the last that was written
};

/// The time of day, as "2026-11-30T09:21:16.123Z".
std::string utc_now();

}  // namespace command
