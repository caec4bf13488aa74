// The checks of options that server and clients share. Each text names the option and its value,
// because a person reads it.
#include "engine/validate.h"

#include "handshake/origin.h"
#include "handshake/protocols.h"
#include "http/response.h"

namespace tern::engine {
namespace {

// No opening handshake is smaller, RFC 6455 §4.1: "GET / HTTP/1.1" and the fields Host, Upgrade,
// Connection, Sec-WebSocket-Key and Sec-WebSocket-Version. They take 134 bytes if every name and
// value is as short as it can be; this leaves room for a host and a path.
constexpr std::size_t least_head_bytes = 256;
constexpr std::size_t least_request_line_bytes = 14;
constexpr std::size_t least_header_fields = 5;

std::string number(const char* name, std::size_t value) {
  return "limits." + std::string(name) + " (" + std::to_string(value) + ")";
}

std::string in(const char* entry, const std::string& why) {
  return why.empty() ? why : std::string(entry) + ": " + why;
}

}  // namespace

std::string why_invalid(const Limits& limits) {
  struct Size {
    const char* name;
    std::size_t value;
    std::size_t least = 1;
  };
  for (const auto& [name, value, least] :
       {Size{"max_message_bytes", limits.max_message_bytes},
        Size{"max_fragments", limits.max_fragments},
        Size{"max_head_bytes", limits.max_head_bytes, least_head_bytes},
        Size{"max_request_line_bytes", limits.max_request_line_bytes, least_request_line_bytes},
        Size{"max_header_fields", limits.max_header_fields, least_header_fields},
        Size{"max_queued_bytes", limits.max_queued_bytes},
        Size{"high_water_bytes", limits.high_water_bytes}}) {
    if (value == 0) return "limits." + std::string(name) + " is 0, so nothing could ever pass";
    if (value < least) {
      return number(name, value) + " is below " + std::to_string(least) +
             ", so no WebSocket handshake could ever pass; raise it";
    }
  }
  const std::string high = number("high_water_bytes", limits.high_water_bytes);
  if (limits.low_water_bytes > limits.high_water_bytes) {
    return number("low_water_bytes", limits.low_water_bytes) + " is above " + high +
           ", so on_drain would follow while the queue is still congested; lower it";
  }
  if (limits.high_water_bytes > limits.max_queued_bytes) {
    return high + " is above " + number("max_queued_bytes", limits.max_queued_bytes) +
           ", so send() would never return congested; lower it, and low_water_bytes with it";
  }
  return {};
}

std::string why_invalid_time(const char* name, Timeouts::Duration time, bool may_be_zero) {
  if (time < Timeouts::Duration::zero()) {
    return std::string(name) + " is negative; nanoseconds::max() switches a deadline off";
  }
  if (time == Timeouts::Duration::zero() && !may_be_zero) {
    return std::string(name) +
           " is 0, so it would be over at once; nanoseconds::max() switches it off";
  }
  return {};
}

std::string why_invalid(const Timeouts& timeouts) {
  struct Time {
    const char* name;
    Timeouts::Duration value;
    bool may_be_zero = false;
  };
  for (const auto& [name, value, may_be_zero] :
       {Time{"timeouts.handshake", timeouts.handshake}, Time{"timeouts.silence", timeouts.silence},
        Time{"timeouts.pong", timeouts.pong}, Time{"timeouts.stall", timeouts.stall},
        Time{"timeouts.body", timeouts.body}, Time{"timeouts.answer", timeouts.answer},
        Time{"timeouts.close", timeouts.close, true},
        Time{"timeouts.http_idle", timeouts.http_idle, true}}) {
    if (std::string why = why_invalid_time(name, value, may_be_zero); !why.empty()) return why;
  }
  return {};
}

std::string why_invalid_origins(std::span<const std::string> allowed_origins) {
  for (const std::string& entry : allowed_origins) {
    const std::string why = handshake::why_no_origin(entry);
    if (!why.empty()) return std::string("allowed_origins: \"").append(entry).append("\" ") + why;
  }
  return {};
}

std::string why_invalid_protocols(std::span<const std::string> protocols) {
  return in("protocols", handshake::why_unfit_protocols(protocols));
}

std::string why_invalid_headers(std::span<const std::pair<std::string, std::string>> headers) {
  return in("headers", http::why_unfit(headers));
}

std::string why_invalid(const Accept& accept) {
  std::string why = why_invalid_protocols(accept.protocols);
  if (why.empty()) why = why_invalid_headers(accept.headers);
  if (why.empty() && accept.limits) why = why_invalid(*accept.limits);
  return why;
}

}  // namespace tern::engine
