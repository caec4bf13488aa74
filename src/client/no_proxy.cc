// The grammar of no_proxy is nowhere written down. This one is curl's, with `*.name`, ports and
// blocks of addresses, because users expect them from other programs. localhost is not implied.

#include "client/no_proxy.h"

#include "http/authority.h"
#include "http/token.h"

#include <charconv>

namespace tern::client {
namespace {

constexpr std::string_view separators = ", \t\r\n";

// Takes ":port" from the end of the text. Returns false if that is no port.
bool take_port(std::string_view& text, std::optional<std::uint16_t>& port) noexcept {
  const std::size_t colon = text.rfind(':');
  const bool is_part_of_address = text.find(':') != colon && !text.starts_with('[');
  const std::size_t bracket = text.rfind(']');
  if (colon == text.npos || is_part_of_address || (bracket != text.npos && bracket > colon)) {
    return true;
  }
  const std::string_view digits = text.substr(colon + 1);
  const char* const end = digits.data() + digits.size();
  std::uint16_t number = 0;
  const auto result = std::from_chars(digits.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end) return false;
  port = number;
  text = text.substr(0, colon);
  return true;
}

std::string_view without_last_dot(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

}  // namespace

NoProxy::NoProxy(std::string_view list) {
  for (;;) {
    const std::size_t begin = list.find_first_not_of(separators);
    if (begin == list.npos) return;
    list.remove_prefix(begin);
    const std::string_view entry = list.substr(0, list.find_first_of(separators));
    list.remove_prefix(entry.size());
    add(entry);
  }
}

void NoProxy::add(std::string_view text) {
  Entry entry;
  if (!take_port(text, entry.port)) return;
  entry.network = net::Network::parse(text);
  if (text == "*") {
    entry.names = Names::all;
  } else if (!entry.network) {
    entry.names = text.starts_with("*.") ? Names::subdomains : Names::domain;
    if (entry.names == Names::subdomains) text.remove_prefix(1);
    if (text.starts_with('.')) text.remove_prefix(1);
    text = without_last_dot(text);
    const auto host = http::parse_authority(text);
    if (!host || host->port || host->host != text) return;  // matches nothing
    entry.name = text;
  }
  entries_.push_back(std::move(entry));
}

bool NoProxy::matches(std::string_view host, std::uint16_t port) const noexcept {
  const auto address = net::Address::parse(host, port);
  const std::string_view name = without_last_dot(host);
  for (const Entry& entry : entries_) {
    if (entry.port && *entry.port != port) continue;
    if (entry.network) {
      if (address && entry.network->contains(*address)) return true;
      continue;
    }
    if (entry.names == Names::all) return true;
    if (address || name.size() < entry.name.size()) continue;
    const std::size_t in_front = name.size() - entry.name.size();
    if (!http::iequals(name.substr(in_front), entry.name)) continue;
    if (in_front == 0 ? entry.names == Names::domain : name[in_front - 1] == '.') return true;
  }
  return false;
}

}  // namespace tern::client
