// Reads what proxies wrote about a client.
//
//   Forwarded       = 1#element                          over all lines, RFC 7239 §4
//   element         = [ pair ] *( ";" [ pair ] )
//   pair            = token "=" ( token / quoted-string )
//   node            = nodename [ ":" port ]              RFC 7239 §6
//   X-Forwarded-For = 1#node                             no RFC; commas always separate
//
// A list is read from its end, because only its end is from proxies that are known. The begin may
// be from an attacker, who may leave a quoted-string open. From the end, the quotes of the last
// elements pair up among themselves, so what stands before them does not matter.
#include "http/forwarded.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"

#include <algorithm>
#include <array>

namespace tern::http {
namespace {

// Returns the place of the quote that opens the quoted-string that ends at `end`, or 0.
std::size_t open_quote(std::string_view text, std::size_t end) noexcept {
  for (std::size_t at = end; at-- > 0;) {
    if (text[at] != '"') continue;
    std::size_t backslashes = 0;
    while (backslashes < at && text[at - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return at;  // else it is a quoted-pair: the text has a quote
  }
  return 0;
}

std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5 || !all(text, digit)) return {};
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port > 0xFFFF) return {};
  return static_cast<std::uint16_t>(port);
}

// "_" and then letters, digits, '.', '_' and '-'. RFC 7239 §6.3.
bool is_obfuscated(std::string_view text) noexcept {
  if (text.size() < 2 || text.front() != '_') return false;
  return std::ranges::all_of(text.substr(1), [](char c) {
    return is(c, alpha | digit) || c == '.' || c == '_' || c == '-';
  });
}

// Takes a token or a quoted-string from the front of `rest`, without the quotes and backslashes.
std::optional<std::string> take_value(std::string_view& rest) {
  std::string value;
  if (!rest.starts_with('"')) {
    while (value.size() < rest.size() && is(rest[value.size()], tchar)) value += rest[value.size()];
    rest.remove_prefix(value.size());
    return value;
  }
  for (std::size_t at = 1; at < rest.size(); ++at) {
    if (rest[at] == '"') {
      rest.remove_prefix(at + 1);
      return value;
    }
    if (rest[at] == '\\' && ++at == rest.size()) break;
    value += rest[at];
  }
  return {};
}

}  // namespace

// ---- lists from their end

bool LastElements::next_line() noexcept {
  while (!fields_.empty()) {
    const HeaderField& field = fields_.back();
    fields_ = fields_.first(fields_.size() - 1);
    if (iequals(field.name, name_)) {
      rest_ = field.value;
      return true;
    }
  }
  return false;
}

std::size_t LastElements::begin_of_last() const noexcept {
  std::size_t at = rest_.size();
  while (at > 0 && rest_[at - 1] != ',') {
    --at;
    if (commas_ == Commas::quoted && rest_[at] == '"') at = open_quote(rest_, at);
  }
  return at;
}

std::optional<std::string_view> LastElements::next() noexcept {
  for (;;) {
    if (!in_line_ && !next_line()) return {};
    const std::size_t begin = begin_of_last();
    const std::string_view element = trim(rest_.substr(begin));
    in_line_ = begin > 0;
    if (in_line_) rest_ = rest_.substr(0, begin - 1);
    if (!element.empty()) return element;
  }
}

// ---- one element

std::optional<Node> parse_node(std::string_view text) noexcept {
  if (text == "unix:") return Node{.kind = Node::Kind::unix_socket};
  if (is_ipv6_address(text)) return Node{.kind = Node::Kind::address, .host = text};
  Node node;
  std::size_t end = 0;
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos) return {};
    node.host = text.substr(1, end - 1);
    if (!is_ipv6_address(node.host)) return {};
    node.kind = Node::Kind::address;
    ++end;
  } else {
    end = std::min(text.find(':'), text.size());
    node.host = text.substr(0, end);
    if (is_ipv4_address(node.host)) {
      node.kind = Node::Kind::address;
    } else if (!iequals(node.host, "unknown") && !is_obfuscated(node.host)) {
      return {};
    }
  }
  if (end == text.size()) return node;
  if (text[end] != ':') return {};
  const std::string_view port = text.substr(end + 1);
  node.port = parse_port(port);
  if (!node.port && !is_obfuscated(port)) return {};
  return node;
}

std::optional<ForwardedElement> parse_forwarded(std::string_view element) {
  ForwardedElement parsed;
  std::string by;
  const std::array<std::pair<std::string_view, std::string*>, 4> known{{
      {"for", &parsed.node},
      {"proto", &parsed.proto},
      {"host", &parsed.host},
      {"by", &by},
  }};
  for (std::string_view rest = element;;) {
    rest = trim(rest);
    if (rest.empty()) return parsed;
    if (rest.front() != ';') {
      const std::string_view name = rest.substr(0, rest.find('='));
      if (!is_token(name) || name.size() == rest.size()) return {};
      rest.remove_prefix(name.size() + 1);
      std::optional<std::string> value = take_value(rest);
      if (!value || value->empty()) return {};
      for (const auto& [known_name, into] : known) {
        if (!iequals(name, known_name)) continue;
        if (!into->empty()) return {};
        *into = *std::move(value);
        break;
      }
      rest = trim(rest);
      if (rest.empty()) return parsed;
      if (rest.front() != ';') return {};
    }
    rest.remove_prefix(1);
  }
}

}  // namespace tern::http
