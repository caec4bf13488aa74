// Each check returns a text that names the option, because listen() shows it to people.
#include "server/validate.h"

#include "engine/validate.h"
#include "http/token.h"
#include "net/address.h"
#include "net/unix_socket.h"
#include "server/pattern.h"
#include "server/places.h"
#include "server/trusted_peers.h"

#include <algorithm>
#include <csignal>

namespace tern::server {
namespace {

// The characters of names in DNS and in /etc/hosts, RFC 952 and RFC 1123 §2.1. A name does not end
// with a number, because an address does.
bool is_host_name(std::string_view host) noexcept {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto fits = [&](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  };
  if (host.empty() || host.size() > 253 || !std::ranges::all_of(host, fits)) return false;
  const std::string_view last = host.substr(host.rfind('.') + 1);
  return std::ranges::any_of(last, is_letter);
}

std::string why_invalid_unix(std::string_view path) {
  const bool is_abstract = path.starts_with('@');
  if (path.size() <= (is_abstract ? 1 : 0)) return "is empty";
  if (path.size() > net::max_unix_path) return "is longer than 107 bytes";
  if (path.find('\0') != path.npos) return "has a NUL";
  return {};
}

std::string why_invalid_host(const std::string& host) {
  if (host.starts_with("unix:")) {
    const std::string why = why_invalid_unix(unix_path(host));
    return why.empty() ? why : "host: the path of the Unix socket " + quoted(host) + ' ' + why;
  }
  if (net::Address::parse(numeric_host(host), 0) || is_host_name(host)) return {};
  if (host.empty()) return "host is empty; \"0.0.0.0\" or \"::\" stands for every address";
  return "host must be an address, a name or \"unix:\" and a path, and " + quoted(host) +
         " is none of them";
}

std::string why_invalid_listeners(const ServerOptions& options) {
  if (options.unix_mode && *options.unix_mode > 0777) return "unix_mode is above 0777";
  if (options.listeners.empty()) return why_invalid_host(options.host);
  for (std::size_t i = 0; i < options.listeners.size(); ++i) {
    const tern::Listener& each = options.listeners[i];
    if (each.descriptor >= 0) continue;
    const std::string why = why_invalid_host(each.host);
    if (!why.empty()) return "listeners[" + std::to_string(i) + "]." + why;
  }
  return {};
}

std::string why_invalid_signals(const std::vector<int>& signals) {
  for (const int signal : signals) {
    sigset_t set;  // sigaddset takes only signals that exist and that the C library does not use
    ::sigemptyset(&set);
    const bool caught = ::sigaddset(&set, signal) == 0 && signal != SIGKILL && signal != SIGSTOP;
    if (!caught) return "stop_on: signal " + std::to_string(signal) + " cannot be waited for";
  }
  return {};
}

std::string why_invalid_peers(std::string_view option, const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    const std::string why = TrustedPeers::why_invalid(entry);
    if (why.empty()) continue;
    return std::string(option).append(": \"").append(entry).append("\" ").append(why);
  }
  return {};
}

std::string why_invalid_drain(const ServerOptions& options) {
  if (options.on_hangup != Hangup::untouched &&
      std::ranges::find(options.stop_on, SIGHUP) != options.stop_on.end()) {
    return "stop_on has SIGHUP, which on_hangup takes";
  }
  if (!options.drain_on_stop) return {};
  const Drain& drain = *options.drain_on_stop;
  if (options.stop_on.empty()) return "drain_on_stop needs a signal in stop_on";
  if (!may_be_sent(drain.code)) {
    return "drain_on_stop.code: " + std::to_string(static_cast<int>(drain.code)) +
           " may not be sent (RFC 6455 §7.4)";
  }
  std::string why = engine::why_invalid_time("drain_on_stop.spread", drain.spread, true);
  if (why.empty()) {
    why = engine::why_invalid_time("drain_on_stop.deadline", drain.deadline, true);
  }
  if (why.empty() && drain.spread > drain.deadline) {
    why = "drain_on_stop.spread is above drain_on_stop.deadline";
  }
  return why;
}

std::string why_invalid_counts(const ServerOptions& options) {
  if (options.max_unfinished_handshakes == 0) {
    return "max_unfinished_handshakes is 0, so no client could connect";
  }
  if (options.max_posted == 0) return "max_posted is 0, so nothing could be posted";
  if (options.max_posted_bytes == 0) return "max_posted_bytes is 0, so nothing could be posted";
  return {};
}

// Writes each byte that a target cannot contain as %XX.
std::string percent_encoded(std::string_view path) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && c != '#') {
      text += c;
    } else {
      (text += '%').append({digits[byte >> 4], digits[byte & 15]});
    }
  }
  return text;
}

}  // namespace

std::string_view numeric_host(std::string_view host) noexcept {
  return http::iequals(host, "localhost") ? "127.0.0.1" : host;
}

std::string why_invalid(const ServerOptions& options) {
  std::string why = why_invalid_listeners(options);
  if (why.empty()) why = why_invalid_signals(options.stop_on);
  if (why.empty()) why = why_invalid_drain(options);
  if (why.empty()) why = engine::why_invalid_time("spin", options.spin, true);
  if (why.empty()) why = engine::why_invalid_time("stop_deadline", options.stop_deadline, true);
  if (why.empty()) why = engine::why_invalid(options.limits);
  if (why.empty()) why = engine::why_invalid(options.timeouts);
  if (why.empty()) why = engine::why_invalid_origins(options.allowed_origins);
  if (why.empty()) why = why_invalid_peers("trusted_proxies", options.trusted_proxies);
  if (why.empty()) why = why_invalid_peers("proxy_protocol.from", options.proxy_protocol.from);
  if (why.empty()) why = why_invalid_counts(options);
  return why;
}

std::string why_invalid_path(std::string_view path) {
  if (!path.starts_with('/')) return "a path begins with '/': \"/" + std::string(path) + '"';
  const std::size_t end = path.find_first_of("?#");
  if (end != std::string_view::npos) {
    return "query and fragment are not part of a path: \"" + std::string(path.substr(0, end)) + '"';
  }
  if (!http::is_origin_form(path)) {
    return "no request has such characters; clients encode them: \"" + percent_encoded(path) + '"';
  }
  return why_invalid_pattern(path);
}

}  // namespace tern::server
