// The content codings that a client takes. RFC 9110 §12.5.3.
#pragma once

#include "tern/http.h"

#include <cstdint>
#include <span>

namespace tern::http {

/// A content coding that files may have, in the order in which they are preferred.
enum class Coding : std::uint8_t { br, gzip, identity };

/// How much a client wants each coding, in thousandths. 0: it does not take it. 1 for an identity
/// that the field does not name: it is taken, and each other coding that is taken goes before it.
struct CodingQualities {
  int br = 0;
  int gzip = 0;
  int identity = 1000;

  int of(Coding coding) const noexcept;
  /// Returns whether a file with this coding is a better answer than the plain file.
  bool prefers(Coding coding) const noexcept { return of(coding) > 0 && of(coding) >= identity; }
  bool operator==(const CodingQualities&) const = default;
};

/// Reads Accept-Encoding. Without that field a client takes `identity` alone, because that is what
/// every client understands. An element that breaks the grammar is skipped.
CodingQualities read_accept_encoding(std::span<const HeaderField> fields) noexcept;

}  // namespace tern::http
