// Parses hosts and ports, RFC 3986 §3.2.2 and §3.2.3:
//
//   authority = ( "[" IPv6address "]" / reg-name ) [ ":" *DIGIT ]
//   reg-name  = 1*( unreserved / sub-delims / "%" HEXDIG HEXDIG )    includes IPv4address
//
// An IPv6address has eight pieces of up to four hexadecimal digits. "::" stands, at most once, for
// one or more pieces of zeros. The last two pieces may be written as an IPv4 address.
//
// Nothing is decoded: the results are views into the text, so that a host is compared and sent as
// it was received.
#include "http/authority.h"

#include "http/chars.h"

#include <cstddef>

namespace tern::http {
namespace {

bool is_reg_name(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3 || !is(text[i + 1], hex_digit) || !is(text[i + 2], hex_digit)) {
        return false;
      }
      i += 2;
    } else if (!is(text[i], reg_name_char)) {
      return false;
    }
  }
  return !text.empty();
}

}  // namespace

bool is_ipv4_address(std::string_view text) noexcept {
  int numbers = 0;
  while (true) {
    std::size_t size = 0;
    unsigned number = 0;
    while (size < text.size() && size < 3 && is(text[size], digit)) {
      number = number * 10 + static_cast<unsigned>(text[size++] - '0');
    }
    if (size == 0 || number > 255 || (size > 1 && text[0] == '0')) return false;
    text.remove_prefix(size);
    if (++numbers == 4) return text.empty();
    if (!text.starts_with('.')) return false;
    text.remove_prefix(1);
  }
}

bool is_ipv6_address(std::string_view text) noexcept {
  int pieces = 0;
  bool shortened = text.starts_with("::");
  if (shortened) text.remove_prefix(2);
  while (!text.empty()) {
    std::size_t size = 0;
    while (size < text.size() && is(text[size], hex_digit)) ++size;
    if (size < text.size() && text[size] == '.') {
      pieces += 2;
      if (!is_ipv4_address(text)) return false;
      break;
    }
    if (size == 0 || size > 4) return false;
    ++pieces;
    text.remove_prefix(size);
    if (text.empty()) break;
    if (text.starts_with("::")) {
      if (shortened) return false;
      shortened = true;
      text.remove_prefix(2);
    } else {
      if (!text.starts_with(':') || text.size() == 1) return false;
      text.remove_prefix(1);
    }
  }
  return shortened ? pieces < 8 : pieces == 8;
}

std::optional<Authority> parse_authority(std::string_view text) noexcept {
  Authority authority;
  std::size_t end = 0;
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos) return {};
    authority.host = text.substr(1, end - 1);
    if (!is_ipv6_address(authority.host)) return {};
    ++end;
  } else {
    end = text.find(':');
    authority.host = text.substr(0, end);
    if (!is_reg_name(authority.host)) return {};
  }
  if (end >= text.size()) return authority;
  if (text[end] != ':') return {};
  const std::string_view digits = text.substr(end + 1);
  unsigned port = 0;
  for (const char c : digits) {
    if (!is(c, digit)) return {};
    port = port * 10 + static_cast<unsigned>(c - '0');
    if (port > 0xFFFF) return {};
  }
  if (!digits.empty()) authority.port = static_cast<std::uint16_t>(port);
  return authority;
}

std::string format_authority(std::string_view host, std::optional<std::uint16_t> port) {
  const bool ipv6 = host.find(':') != host.npos;
  std::string text = ipv6 ? '[' + std::string(host) + ']' : std::string(host);
  if (port) text += ':' + std::to_string(*port);
  return text;
}

}  // namespace tern::http
