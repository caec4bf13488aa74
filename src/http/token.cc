// Parses field names, values and lists, RFC 9110 §5.
//
//   list     = #element                      over all lines of a name; empty elements do not count
//   element  = token *( OWS ";" OWS param )  the only form that the fields of WebSocket need
//   param    = token [ OWS "=" OWS ( token / quoted-string ) ]
//
// Regular expressions for lists took seconds in other servers, because they backtrack in quadratic
// time. So each reader here keeps the unread rest as a view and only shortens it.
#include "http/token.h"

#include "http/chars.h"

#include <algorithm>

namespace tern::http {
namespace {

std::string_view skip_space(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size() && is_space(text[i])) ++i;
  return text.substr(i);
}

// Removes the longest token from the front of `rest` and returns it.
std::string_view take_token(std::string_view& rest) noexcept {
  std::size_t size = 0;
  while (size < rest.size() && is(rest[size], tchar)) ++size;
  const std::string_view token = rest.substr(0, size);
  rest.remove_prefix(size);
  return token;
}

}  // namespace

bool is_token(std::string_view text) noexcept { return !text.empty() && all(text, tchar); }

bool is_field_value(std::string_view text) noexcept { return none_of(text, ends_value); }

bool is_origin_form(std::string_view text) noexcept {
  return text.starts_with('/') && none_of(text, ends_target);
}

bool is_reference(std::string_view text) noexcept {
  return !text.empty() && none_of(text, is_invisible);
}

namespace detail {

bool iequals_same_size(std::string_view a, std::string_view b) noexcept {
  if (a == b) return true;  // nearly all peers write a name in the same case
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

}  // namespace detail

std::string_view find(std::span<const HeaderField> fields, std::string_view name) noexcept {
  for (const HeaderField& field : fields) {
    if (iequals(field.name, name)) return field.value;
  }
  return {};
}

std::size_t count(std::span<const HeaderField> fields, std::string_view name) noexcept {
  std::size_t lines = 0;
  for (const HeaderField& field : fields) lines += iequals(field.name, name);
  return lines;
}

std::optional<std::string_view> only(std::span<const HeaderField> fields,
                                     std::string_view name) noexcept {
  std::optional<std::string_view> value;
  for (const HeaderField& field : fields) {
    if (!iequals(field.name, name)) continue;
    if (value) return {};
    value = field.value;
  }
  return value;
}

bool ListReader::next_line() noexcept {
  while (!fields_.empty()) {
    const HeaderField& field = fields_.front();
    fields_ = fields_.subspan(1);
    if (iequals(field.name, name_)) {
      rest_ = field.value;
      return true;
    }
  }
  return false;
}

std::optional<std::string_view> ListReader::next() noexcept {
  while (!malformed_) {
    if (rest_.empty() && !next_line()) break;
    bool quoted = false;
    std::size_t end = 0;
    for (; end < rest_.size() && (quoted || rest_[end] != ','); ++end) {
      if (rest_[end] == '"') quoted = !quoted;
      if (quoted && rest_[end] == '\\') ++end;  // a quoted-pair: the next character is no delimiter
    }
    malformed_ = quoted;
    const std::string_view element = trim(rest_.substr(0, end));
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (!malformed_ && !element.empty()) return element;
  }
  return {};
}

bool list_contains(std::span<const HeaderField> fields, std::string_view name,
                   std::string_view token) noexcept {
  ListReader list(fields, name);
  bool found = false;
  while (const auto element = list.next()) found = found || iequals(*element, token);
  return found && !list.malformed();
}

ParameterReader::ParameterReader(std::string_view element) noexcept : rest_(element) {
  name_ = take_token(rest_);
  malformed_ = name_.empty();
}

std::optional<Parameter> ParameterReader::next() noexcept {
  if (malformed_) return {};
  rest_ = skip_space(rest_);
  if (rest_.empty()) return {};
  if (rest_.front() != ';') return fail();
  rest_ = skip_space(rest_.substr(1));
  Parameter parameter;
  parameter.name = take_token(rest_);
  if (parameter.name.empty()) return fail();
  rest_ = skip_space(rest_);
  if (!rest_.starts_with('=')) return parameter;
  rest_ = skip_space(rest_.substr(1));
  parameter.has_value = true;
  if (rest_.starts_with('"')) {
    if (!read_quoted(parameter.value)) return fail();
  } else {
    parameter.value = take_token(rest_);
    if (parameter.value.empty()) return fail();
  }
  return parameter;
}

std::optional<Parameter> ParameterReader::fail() noexcept {
  malformed_ = true;
  return {};
}

bool ParameterReader::read_quoted(std::string_view& value) noexcept {
  std::size_t end = 1;
  while (end < rest_.size() && rest_[end] != '"') {
    if (rest_[end] == '\\') ++end;
    // RFC 6455 §9.1: the value must be a token after unescaping, so other characters are refused.
    if (end == rest_.size() || !is(rest_[end], tchar)) return false;
    ++end;
  }
  if (end >= rest_.size() || end == 1) return false;
  value = rest_.substr(1, end - 1);
  rest_.remove_prefix(end + 1);
  return true;
}

}  // namespace tern::http
