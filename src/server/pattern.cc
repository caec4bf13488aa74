// A parameter is a whole segment. So a request's path is cut at its slashes only, and one segment
// fits one pattern in at most one way.
#include "server/pattern.h"

#include "http/chars.h"

#include <algorithm>
#include <vector>

namespace tern::server {
namespace {

constexpr std::string_view ellipsis = "...";

bool is_name(std::string_view text) noexcept {
  const auto fits = [](char c) {
    return http::is(c, http::digit) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return std::ranges::all_of(text, fits);
}

std::string why_invalid_segment(std::string_view text) {
  if (!is_pattern(text)) return {};
  const bool whole = text.front() == '{' && text.find('}') == text.size() - 1;
  if (!whole) {
    return quoted(text) +
           ": a parameter is a whole segment between slashes, as {name}; the characters { and } "
           "themselves are %7B and %7D";
  }
  const Segment segment = parse_segment(text);
  if (segment.text.empty()) return quoted(text) + ": a parameter has a name";
  if (!is_name(segment.text)) {
    return quoted(text) + ": the name of a parameter has only letters, digits and '_'";
  }
  return {};
}

}  // namespace

std::string_view take_segment(std::string_view& path) noexcept {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

Segment parse_segment(std::string_view text) noexcept {
  if (!text.starts_with('{')) return {.kind = Segment::Kind::literal, .text = text};
  std::string_view name = text.substr(1, text.size() - 2);
  if (!name.ends_with(ellipsis)) return {.kind = Segment::Kind::parameter, .text = name};
  name.remove_suffix(ellipsis.size());
  return {.kind = Segment::Kind::rest, .text = name};
}

std::string why_invalid_pattern(std::string_view path) {
  std::vector<std::string_view> names;
  while (!path.empty()) {
    const std::string_view text = take_segment(path);
    if (std::string why = why_invalid_segment(text); !why.empty()) return why;
    const Segment segment = parse_segment(text);
    if (segment.kind == Segment::Kind::literal) continue;
    if (std::ranges::find(names, segment.text) != names.end()) {
      return quoted(text) + ": two parameters have this name";
    }
    names.push_back(segment.text);
    if (segment.kind == Segment::Kind::rest && !path.empty()) {
      return quoted(text) + " takes the rest of the path, so nothing may follow it";
    }
  }
  if (names.size() <= max_parameters) return {};
  return "it has more than " + std::to_string(max_parameters) + " parameters";
}

}  // namespace tern::server
