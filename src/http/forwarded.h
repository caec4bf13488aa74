// The fields in which proxies tell about a client: Forwarded (RFC 7239) and X-Forwarded-*.
#pragma once

#include "tern/http.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::http {

/// Reads the elements of a comma list over all field lines of one name, from the last element to
/// the first. Empty elements are skipped. Each proxy appends its element, so the last ones are from
/// the proxies that are nearest. A client cannot make them unreadable by what it wrote before them.
class LastElements {
 public:
  /// `quoted`: a comma inside of a quoted-string does not separate elements (RFC 9110 §5.6.4).
  enum class Commas : std::uint8_t { separate, quoted };

  LastElements(std::span<const HeaderField> fields, std::string_view name, Commas commas) noexcept
      : fields_(fields), name_(name), commas_(commas) {}
  /// The element before, without the white space around it; nothing if there is no more.
  std::optional<std::string_view> next() noexcept;

 private:
  bool next_line() noexcept;
  std::size_t begin_of_last() const noexcept;

  std::span<const HeaderField> fields_;  // the lines before
  std::string_view name_;
  std::string_view rest_{};  // of the current line
  bool in_line_ = false;
  Commas commas_;
};

/// The name of a client or proxy. Lifetime of the views: the text that was parsed.
struct Node {
  enum class Kind : std::uint8_t {
    address,      ///< `host` is an IPv4 or IPv6 address, without brackets
    unix_socket,  ///< a peer of a Unix socket, as nginx writes it: "unix:"
    hidden,       ///< `host` is "unknown" or an identifier that only the proxy understands
  };
  Kind kind = Kind::hidden;
  std::string_view host{};
  std::optional<std::uint16_t> port{};
};

/// Parses "192.0.2.7", "192.0.2.7:80", "[2001:db8::7]:80", "2001:db8::7", "unknown", "_hidden" or
/// "unix:". An obfuscated port ("_abc") counts as no port. Returns nothing for any other text.
/// RFC 7239 §6.
std::optional<Node> parse_node(std::string_view text) noexcept;

/// One element of Forwarded: what one proxy knows about the request that it received. Parameters
/// that are absent are empty; no value is empty.
struct ForwardedElement {
  std::string node{};   ///< of "for"
  std::string proto{};  ///< "http", "https" …
  std::string host{};   ///< the Host that the proxy received
};

/// Parses `[ pair ] *( ";" [ pair ] )` with pair = token "=" ( token / quoted-string ). White space
/// may stand around ';'. Returns nothing if the element is malformed or has a parameter of the
/// four of RFC 7239 twice. Throws std::bad_alloc. RFC 7239 §4.
std::optional<ForwardedElement> parse_forwarded(std::string_view element);

}  // namespace tern::http
