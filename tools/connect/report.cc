// Chooses between lines for people and lines of --json. Fields that may hold a secret are not
// shown.
#include "connect/report.h"

#include "text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <unistd.h>

namespace command {
namespace {

std::string quoted(std::string_view text) { return '"' + escape(text) + '"'; }

std::string quoted(std::span<const std::byte> bytes) {
  return quoted({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string tenths(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

// Fields that may hold a secret.
bool is_secret(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower == "authorization" || lower == "proxy-authorization" || lower == "cookie";
}

}  // namespace

Report::Report(const ConnectOptions& options, Output& output, bool with_prompt)
    : options_(options),
      printer_(options, output, with_prompt),
      events_(output.is_terminal(), options.timestamps),
      shown_url_(options.url.substr(0, options.url.find('?'))),
      errors_on_terminal_(with_prompt && ::isatty(STDERR_FILENO) == 1) {}

// A line on stderr. The server's words in it cannot control a terminal. If stdout is a terminal,
// too, the line goes there, behind the messages that came before.
void Report::notice(std::string_view text) {
  if (options_.quiet) return;
  if (errors_on_terminal_) return printer_.line(escape(text));
  std::cerr << escape(text) + '\n' << std::flush;
}

void Report::problem(std::string_view text) {
  notice("tern: " + std::string(text));
  if (options_.json) printer_.line(events_.error(text));
}

// ---- attempts

void Report::attempt(std::size_t number) {
  if (options_.json) printer_.line(events_.attempt(number, shown_url_));
  if (options_.verbose) notice("* attempt " + std::to_string(number) + ": " + shown_url_);
}

// As sent, but without secrets.
void Report::request(std::string_view head) {
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    const std::string_view name = line.substr(0, line.find(':'));
    if (is_secret(name)) {
      notice("> " + std::string(name) + ": (not shown)");
    } else if (!line.empty()) {
      notice("> " + std::string(line));
    }
    head.remove_prefix(std::min(end + 2, head.size()));
  }
}

void Report::open(const tern::Connection& connection, const tern::ResponseHead& response) {
  if (options_.json) printer_.line(events_.open(connection, shown_url_));
  if (!options_.verbose) return;
  notice("< HTTP/1.1 " + std::to_string(response.status) + ' ' + std::string(response.reason));
  for (const tern::HeaderField& field : response.fields) {
    notice("< " + std::string(field.name) + ": " + std::string(field.value));
  }
  notice("* open: " + connection.remote_address() +
         (connection.deflate() ? ", compressed" : ", not compressed"));
}

void Report::show_answer(const tern::Error& failure) {
  if (failure.http_status() == 0) return;
  notice("< HTTP/1.1 " + std::to_string(failure.http_status()));
  for (const auto& [name, value] : failure.headers()) notice("< " + name + ": " + value);
}

// ---- a connection

void Report::message(tern::Message message) {
  options_.json ? printer_.line(events_.message(message)) : printer_.message(message);
}

void Report::ping(std::span<const std::byte> payload, Events::Direction direction) {
  if (!options_.show_control) return;
  if (options_.json) return printer_.line(events_.ping(payload, direction));
  notice((direction == Events::Direction::in ? "< ping " : "> ping ") + quoted(payload));
}

void Report::pong(std::span<const std::byte> payload, std::optional<double> rtt_ms) {
  if (!options_.show_control) return;
  if (options_.json) return printer_.line(events_.pong(payload, rtt_ms));
  notice("< pong " + quoted(payload) + (rtt_ms ? ", " + tenths(*rtt_ms) + " ms" : ""));
}

void Report::closed(const tern::CloseInfo& end, bool as_wanted) {
  if (options_.json) printer_.line(events_.close(end));
  if (as_wanted && !options_.verbose) return;
  std::string text = options_.verbose ? "* " : "tern: ";
  if (end.clean) {
    text += end.by_peer ? "the server closed with " : "closed with ";
    text += std::to_string(static_cast<int>(end.code));
    if (!end.reason.empty()) text += ' ' + quoted(end.reason);
  } else {
    text += "the connection is lost";
    if (end.error) text += ": " + end.error.message();
  }
  notice(text);
}

void Report::ended(const tern::Ended& end) {
  if (end.failure != nullptr) {
    if (options_.json) printer_.line(events_.error(*end.failure, end.stage));
    if (options_.verbose) show_answer(*end.failure);
    notice("tern: " + end.failure->message());
  }
  if (end.wait) {
    const double wait = std::chrono::duration<double>(*end.wait).count();
    notice("tern: next attempt in " + tenths(wait) + " s");
  }
}

}  // namespace command
