// The rules that every request must follow: it names its host, and its fields tell where its body
// ends. If two servers on the way of a request disagree about these rules, an attacker can smuggle
// a request past one of them.
#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include <cstdint>
#include <optional>

namespace tern::http {

/// Checks that there is exactly one Host field and that its value is a valid host with an optional
/// port; else returns host_invalid. An empty Host is refused: the grammar allows it, but no request
/// to a server like this one has it. A request of HTTP/1.0 may have no Host, because HTTP/1.0 does
/// not define the field. RFC 9112 §3.2.
std::optional<Errc> check_host(const Request& request) noexcept;

/// The end of a request's body, as its head tells it. RFC 9112 §6.3.
struct BodyFraming {
  enum class Kind : std::uint8_t {
    none,     // the request ends with its head
    counted,  // `bytes` bytes follow, at least one
    chunked,  // chunks follow, RFC 9112 §7.1
  };

  Kind kind = Kind::none;
  std::uint64_t bytes = 0;  // a length over 64 bits becomes the largest number
};

/// Reads from the fields of a request where its body ends. Returns http_malformed if two readers
/// could disagree about that, and transfer_coding_unsupported for a coding besides chunked.
/// RFC 9112 §6.
std::optional<Errc> read_framing(const Request& request, BodyFraming& framing) noexcept;

}  // namespace tern::http
