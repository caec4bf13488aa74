#pragma once

#include "tern/bridge.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

// The origin of a publication, as the value of a header field of NATS. The payload stays as it is,
// so that any program reads it.

namespace tern::nats {

/// The field that has the origin: two hexadecimal numbers with a '-' between them.
inline constexpr const char* origin_field = "Tern-Origin";
/// The field that has the type; only with a binary message, because a text is recognised.
inline constexpr const char* type_field = "Tern-Type";
/// The value of type_field.
inline constexpr const char* binary_type = "binary";

/// The text of an origin with a NUL at its end.
class OriginText {
 public:
  explicit OriginText(const Origin& origin) noexcept;
  const char* c_str() const noexcept { return text_.data(); }

 private:
  std::array<char, 34> text_;  // 16 digits, '-', 16 digits, NUL
};

/// Reads the text of an origin; nothing if it is none.
std::optional<Origin> parse_origin(std::string_view text) noexcept;

}  // namespace tern::nats
