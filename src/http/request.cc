// The members of Request and ResponseHead, which look up parts of a head that HeadParser has
// parsed. Values are decoded at the call and not before, because most handlers need few of them.
#include "tern/http.h"

#include "http/percent.h"
#include "http/token.h"

namespace tern {
namespace {

// Decodes percent-encoded text. A '%' that no two hexadecimal digits follow stands for itself.
// `plus` is the character that '+' stands for: a space in application/x-www-form-urlencoded text.
std::string decode(std::string_view text, char plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+') {
      c = plus;
    } else if (const auto byte = http::percent_encoded_byte(text.substr(i))) {
      c = *byte;
      i += 2;
    }
    decoded += c;
  }
  return decoded;
}

// Removes the text up to `separator` from the front and returns it. The separator is removed, too.
std::string_view take_until(std::string_view& rest, char separator) noexcept {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
  return part;
}

}  // namespace

std::string_view Request::path() const noexcept {
  return parts_.target.substr(0, parts_.target.find('?'));
}

std::string Request::parameter(std::string_view name) const {
  for (const PathParameter& parameter : parts_.parameters) {
    if (parameter.name == name) return decode(parameter.value, '+');
  }
  return {};
}

std::string Request::query(std::string_view name) const {
  std::string_view rest = parts_.target.substr(path().size());
  if (rest.starts_with('?')) rest.remove_prefix(1);
  while (!rest.empty()) {
    std::string_view value = take_until(rest, '&');
    const std::string_view key = take_until(value, '=');
    if (decode(key, ' ') == name) return decode(value, ' ');
  }
  return {};
}

std::string_view Request::cookie(std::string_view name) const noexcept {
  for (const HeaderField& field : parts_.fields) {
    if (!http::iequals(field.name, "Cookie")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      std::string_view value = take_until(rest, ';');
      const std::string_view key = http::trim(take_until(value, '='));
      if (key.empty() || key != name) continue;
      value = http::trim(value);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      return value;
    }
  }
  return {};
}

std::string_view Request::header(std::string_view name) const noexcept {
  return http::find(parts_.fields, name);
}

bool Request::has_header(std::string_view name) const noexcept {
  return http::count(parts_.fields, name) != 0;
}

std::string_view ResponseHead::header(std::string_view name) const noexcept {
  return http::find(fields, name);
}

}  // namespace tern
