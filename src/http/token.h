// The small parts of HTTP (RFC 9110 §5): field names and values, comma lists, parameters. The
// readers pass over the bytes once, allocate nothing and return views into them.
#pragma once

#include "tern/http.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::http {

/// Whether `text` is a token: one or more tchar. RFC 9110 §5.6.2.
bool is_token(std::string_view text) noexcept;
/// Whether `text` may be the value of a field line: it has no controls except HTAB. It may be
/// empty. RFC 9110 §5.5.
bool is_field_value(std::string_view text) noexcept;
/// Whether `text` is a target in origin form: '/' and then visible ASCII without '#'. Characters
/// that RFC 3986 percent-encodes pass as well, because browsers send some of them. RFC 9112 §3.2.1.
bool is_origin_form(std::string_view text) noexcept;
/// Whether `text` can be a reference to a URL: at least one character, and only visible ASCII, as
/// in is_origin_form(). RFC 3986 §4.1.
bool is_reference(std::string_view text) noexcept;

namespace detail {
bool iequals_same_size(std::string_view a, std::string_view b) noexcept;
}

/// Compares without the case of ASCII letters. The size is compared inline, because most names that
/// are compared differ in size.
inline bool iequals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && detail::iequals_same_size(a, b);
}
/// Whether `c` is white space of the grammar (OWS). RFC 9110 §5.6.3.
constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
/// Returns `text` without the spaces and tabs at both ends.
inline std::string_view trim(std::string_view text) noexcept {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin != end && is_space(*begin)) ++begin;
  while (begin != end && is_space(end[-1])) --end;
  return {begin, end};
}

/// The value of the first field of this name, in any case; empty if there is none.
std::string_view find(std::span<const HeaderField> fields, std::string_view name) noexcept;
/// The value of the only field of this name, in any case; nothing if there is none or more than
/// one.
std::optional<std::string_view> only(std::span<const HeaderField> fields,
                                     std::string_view name) noexcept;
/// How many field lines have this name, in any case.
std::size_t count(std::span<const HeaderField> fields, std::string_view name) noexcept;

/// Reads the elements of a comma list over all field lines of one name. Skips empty elements. A
/// comma inside of a quoted-string does not separate elements. RFC 9110 §5.3, §5.6.1.
class ListReader {
 public:
  ListReader(std::span<const HeaderField> fields, std::string_view name) noexcept
      : fields_(fields), name_(name) {}
  /// The next element without the white space around it; nothing at the end, or if the list is
  /// malformed().
  std::optional<std::string_view> next() noexcept;
  /// Whether a quoted-string did not end within its line.
  bool malformed() const noexcept { return malformed_; }

 private:
  bool next_line() noexcept;

  std::span<const HeaderField> fields_;  // the lines that follow
  std::string_view name_;
  std::string_view rest_{};  // of the current line
  bool malformed_ = false;
};

/// Whether the list has this token, in any case; false for a malformed list.
bool list_contains(std::span<const HeaderField> fields, std::string_view name,
                   std::string_view token) noexcept;

/// One parameter of a list element: `name`, `name=token` or `name="quoted"`.
struct Parameter {
  std::string_view name{};
  std::string_view value{};  ///< the text between the quotes as received, with its backslashes
  bool has_value = false;
};

/// Reads a list element `token *( ";" parameter )`: the form of extensions. White space may stand
/// around ';' and '='. A quoted value must be a token after unescaping. RFC 6455 §9.1.
class ParameterReader {
 public:
  /// Takes an element that ListReader has returned.
  explicit ParameterReader(std::string_view element) noexcept;
  /// The token at the front; empty if the element is malformed.
  std::string_view name() const noexcept { return name_; }
  /// The next parameter; nothing at the end, or if the element is malformed().
  std::optional<Parameter> next() noexcept;
  /// Whether the part that was read breaks the grammar.
  bool malformed() const noexcept { return malformed_; }

 private:
  std::optional<Parameter> fail() noexcept;
  bool read_quoted(std::string_view& value) noexcept;

  std::string_view rest_;
  std::string_view name_{};
  bool malformed_ = false;
};

}  // namespace tern::http
