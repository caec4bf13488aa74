// A number that is too large for 64 bits is still a number. It lies behind the end of every file.
#include "http/range.h"

#include "http/chars.h"
#include "http/token.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace tern::http {
namespace {

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();

// Reads digits up to the end of `text`. A number above 64 bits becomes the largest one.
std::optional<std::uint64_t> read_number(std::string_view text) noexcept {
  if (text.empty() || !all(text, digit)) return {};
  std::uint64_t number = 0;
  for (const char c : text) {
    const auto value = static_cast<std::uint64_t>(c - '0');
    if (number > (max_number - value) / 10) return max_number;
    number = number * 10 + value;
  }
  return number;
}

// The last `wanted` bytes.
RangeChoice choose_suffix(std::uint64_t wanted, std::uint64_t size) noexcept {
  if (wanted == 0) return {.kind = RangeChoice::Kind::unsatisfiable};
  if (size == 0) return {};  // Content-Range cannot name a part of nothing
  const std::uint64_t length = std::min(wanted, size);
  return {.kind = RangeChoice::Kind::part, .first = size - length, .length = length};
}

}  // namespace

RangeChoice choose_range(std::string_view value, std::uint64_t size) noexcept {
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || !iequals(value.substr(0, equals), "bytes")) return {};
  const std::string_view range = trim(value.substr(equals + 1));
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view after = range.substr(dash + 1);
  if (dash == 0) {
    const auto wanted = read_number(after);
    return wanted ? choose_suffix(*wanted, size) : RangeChoice{};
  }
  const auto first = read_number(range.substr(0, dash));
  const auto last = after.empty() ? max_number : read_number(after);
  if (!first || !last || *last < *first) return {};
  if (*first >= size) return {.kind = RangeChoice::Kind::unsatisfiable};
  const std::uint64_t end = std::min(*last, size - 1);
  return {.kind = RangeChoice::Kind::part, .first = *first, .length = end - *first + 1};
}

std::string content_range(const RangeChoice& range, std::uint64_t size) {
  std::string text = "bytes ";
  if (range.kind == RangeChoice::Kind::part) {
    text += std::to_string(range.first) + '-' + std::to_string(range.first + range.length - 1);
  } else {
    text += '*';
  }
  return text + '/' + std::to_string(size);
}

}  // namespace tern::http
