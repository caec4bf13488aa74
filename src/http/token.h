#pragma once

#include "tern/http.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The small words of HTTP (RFC 9110 §5): field names and values, comma lists, parameters. All of it
// runs once over the bytes, allocates nothing and gives views into them.

namespace tern::http {

/// 1*tchar, RFC 9110 §5.6.2.
bool is_token(std::string_view text) noexcept;
/// Whether it may stand in a field line: no controls except HTAB, RFC 9110 §5.5. Empty is fine.
bool is_field_value(std::string_view text) noexcept;
/// A target in origin form: '/' and visible ASCII without '#', RFC 9112 §3.2.1. The other
/// characters that RFC 3986 would have percent-encoded pass, since browsers send some of them.
bool is_origin_form(std::string_view text) noexcept;

namespace detail {
bool iequals_same_size(std::string_view a, std::string_view b) noexcept;
}

/// Equal but for the case of ASCII letters. Most names that are compared differ in length already.
inline bool iequals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && detail::iequals_same_size(a, b);
}
/// One of OWS, RFC 9110 §5.6.3.
constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
/// Without the spaces and tabs at both ends.
inline std::string_view trim(std::string_view text) noexcept {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin != end && is_space(*begin)) ++begin;
  while (begin != end && is_space(end[-1])) --end;
  return {begin, end};
}

/// The value of the first field of this name, in any case; empty when absent.
std::string_view find(std::span<const HeaderField> fields, std::string_view name) noexcept;
/// The value of the field that alone has this name, in any case; nothing when none or more have it.
std::optional<std::string_view> only(std::span<const HeaderField> fields,
                                     std::string_view name) noexcept;
/// How many field lines have this name, in any case.
std::size_t count(std::span<const HeaderField> fields, std::string_view name) noexcept;

/// Walks the elements of a comma list over all field lines of one name (RFC 9110 §5.3, §5.6.1).
/// Empty elements are skipped; a comma inside a quoted-string does not separate.
class ListReader {
 public:
  ListReader(std::span<const HeaderField> fields, std::string_view name) noexcept
      : fields_(fields), name_(name) {}
  /// The next element without the white space around it; nothing at the end, or when malformed().
  std::optional<std::string_view> next() noexcept;
  /// A quoted-string was not closed within its line.
  bool malformed() const noexcept { return malformed_; }

 private:
  bool next_line() noexcept;

  std::span<const HeaderField> fields_;  // the lines not begun yet
  std::string_view name_;
  std::string_view rest_{};  // of the line in progress
  bool malformed_ = false;
};

/// Whether the list has this token, in any case; false for a malformed list.
bool list_contains(std::span<const HeaderField> fields, std::string_view name,
                   std::string_view token) noexcept;

/// One parameter of a list element: `name`, `name=token` or `name="quoted"`.
struct Parameter {
  std::string_view name{};
  std::string_view value{};  ///< what stands between the quotes, as received: see unescape
  bool has_value = false;
};

/// Reads a list element of the form `token *( ";" parameter )`, the grammar of extensions in
/// RFC 6455 §9.1; white space may stand around ';' and '='. A quoted value must be a token after
/// unescaping (the rule of §9.1).
class ParameterReader {
 public:
  /// The element as ListReader gives it.
  explicit ParameterReader(std::string_view element) noexcept;
  /// The token in front; empty when malformed.
  std::string_view name() const noexcept { return name_; }
  /// The next parameter; nothing at the end, or when malformed().
  std::optional<Parameter> next() noexcept;
  /// What was read so far breaks the grammar.
  bool malformed() const noexcept { return malformed_; }

 private:
  std::optional<Parameter> fail() noexcept;
  bool read_quoted(std::string_view& value) noexcept;

  std::string_view rest_;
  std::string_view name_{};
  bool malformed_ = false;
};

/// A quoted value without its backslashes (quoted-pair, RFC 9110 §5.6.4).
std::string unescape(std::string_view quoted);

}  // namespace tern::http
