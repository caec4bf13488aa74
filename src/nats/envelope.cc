// Reads and writes the header fields of a publication. A field that another program wrote in
// another form counts as none.
#include "nats/envelope.h"

#include <charconv>
#include <cstdint>

namespace tern::nats {
namespace {

// Unlike std::from_chars, it takes the whole text, or nothing.
bool read_number(std::string_view digits, std::uint64_t& number) noexcept {
  const char* end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, number, 16);
  return error == std::errc() && stopped == end;
}

}  // namespace

OriginText::OriginText(const Origin& origin) noexcept : text_{} {
  char* const last = text_.data() + text_.size() - 1;
  char* at = std::to_chars(text_.data(), last, origin.server, 16).ptr;
  *at++ = '-';
  *std::to_chars(at, last, origin.connection, 16).ptr = '\0';
}

std::optional<Origin> parse_origin(std::string_view text) noexcept {
  const std::size_t dash = text.find('-');
  if (dash == text.npos) return std::nullopt;
  Origin origin;
  if (!read_number(text.substr(0, dash), origin.server)) return std::nullopt;
  if (!read_number(text.substr(dash + 1), origin.connection)) return std::nullopt;
  return origin;
}

}  // namespace tern::nats
