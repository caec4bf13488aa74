// Writes received messages in the form that the flags choose. At a terminal it removes the prompt
// first, and writes it again below the message.
#include "connect/printer.h"

#include "text.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace command {
namespace {

// Back to the start of the line, and erase it (ECMA-48).
constexpr std::string_view erase_line = "\r\x1b[K";

}  // namespace

void Printer::message(tern::Message message) {
  const bool prompted = prompts_;
  remove_prompt();
  if (options_.timestamps) output_.write(utc_now() + ' ');
  if (options_.encoding == Encoding::plain && !output_.is_terminal()) {
    write_raw(message);
  } else {
    output_.write(shown(message));
  }
  if (prompted) prompt();
}

void Printer::write_raw(tern::Message message) {
  output_.write(message.text());
  const char separator = options_.separator;
  if (message.is_text() || separator == '\0') output_.write({&separator, 1});
}

std::string Printer::shown(tern::Message message) const {
  const char separator = output_.is_terminal() ? '\n' : options_.separator;
  switch (options_.encoding) {
    case Encoding::hex:
      return to_hex(message.text()) + separator;
    case Encoding::base64:
      return to_base64(message.text()) + separator;
    case Encoding::plain:
      break;
  }
  if (message.is_text()) return escape(message.text()) + '\n';
  return message.empty() ? "(empty)\n" : hex_dump(message.text());
}

void Printer::line(std::string_view text) {
  const bool prompted = prompts_;
  remove_prompt();
  output_.write(std::string(text) + '\n');
  if (prompted) prompt();
}

void Printer::prompt() {
  if (!with_prompt_) return;
  remove_prompt();
  prompts_ = true;
  output_.write("> ");
}

void Printer::remove_prompt() {
  if (std::exchange(prompts_, false)) output_.write(erase_line);
}

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto fraction = std::chrono::floor<std::chrono::milliseconds>(now - seconds);
  const std::time_t whole = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(fraction.count()));
  return text.data();
}

}  // namespace command
