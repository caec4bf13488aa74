// Builds the lines of --json. nlohmann::ordered_json keeps the members in one order, and bytes that
// are not UTF-8 are written in base64.
#include "connect/events.h"

#include "connect/printer.h"
#include "text.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace command {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value) { return std::round(value * 1e6) / 1e6; }

std::string_view characters(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The first members of each line, in this order.
Json event(std::string_view name, double t, bool with_date) {
  Json line;
  line["t"] = rounded(t);
  if (with_date) line["time"] = utc_now();
  line["event"] = name;
  return line;
}

std::string text_of(const Json& line, bool ascii) {
  return line.dump(-1, ' ', ascii, Json::error_handler_t::replace);
}

}  // namespace

double Events::now() const noexcept {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

std::string Events::attempt(std::size_t number, std::string_view url) const {
  Json line = event("attempt", now(), with_date_);
  line["number"] = number;
  line["url"] = url;
  return text_of(line, ascii_);
}

std::string Events::open(const tern::Connection& connection, std::string_view url) const {
  Json line = event("open", now(), with_date_);
  line["url"] = url;
  line["address"] = connection.remote_address();
  line["protocol"] = connection.protocol();
  line["compressed"] = connection.deflate().has_value();
  return text_of(line, ascii_);
}

std::string Events::message(tern::Message message) const {
  Json line = event("message", now(), with_date_);
  line["dir"] = "in";
  line["type"] = message.is_text() ? "text" : "binary";
  line["bytes"] = message.size();
  if (message.is_text()) {
    line["data"] = message.text();
  } else {
    line["base64"] = to_base64(message.text());
  }
  return text_of(line, ascii_);
}

std::string Events::ping(std::span<const std::byte> payload, Direction direction) const {
  Json line = event("ping", now(), with_date_);
  line["dir"] = direction == Direction::in ? "in" : "out";
  line["base64"] = to_base64(characters(payload));
  return text_of(line, ascii_);
}

std::string Events::pong(std::span<const std::byte> payload, std::optional<double> rtt_ms) const {
  Json line = event("pong", now(), with_date_);
  line["dir"] = "in";
  line["base64"] = to_base64(characters(payload));
  if (rtt_ms) line["rtt_ms"] = rounded(*rtt_ms);
  return text_of(line, ascii_);
}

std::string Events::close(const tern::CloseInfo& end) const {
  Json line = event("close", now(), with_date_);
  line["code"] = static_cast<int>(end.code);
  line["reason"] = end.reason;
  line["clean"] = end.clean;
  line["by_peer"] = end.by_peer;
  if (end.error) line["error"] = end.error.message();
  return text_of(line, ascii_);
}

std::string Events::error(const tern::Error& failure, tern::Stage stage) const {
  Json line = event("error", now(), with_date_);
  line["stage"] = tern::stage_name(stage);
  line["message"] = failure.message();
  if (failure.http_status() != 0) line["status"] = failure.http_status();
  return text_of(line, ascii_);
}

std::string Events::error(std::string_view text) const {
  Json line = event("error", now(), with_date_);
  line["message"] = text;
  return text_of(line, ascii_);
}

}  // namespace command
