// The part of a file that a request asks for. RFC 9110 §14.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::http {

/// The request of a Range field.
struct RangeChoice {
  enum class Kind : std::uint8_t {
    whole,          ///< there is no usable Range, so the answer is 200 with all bytes
    part,           ///< 206 with `length` bytes from `first` on
    unsatisfiable,  ///< 416
  };
  Kind kind = Kind::whole;
  std::uint64_t first = 0;
  std::uint64_t length = 0;

  bool operator==(const RangeChoice&) const = default;
};

/// Reads the value of a Range field for a file of `size` bytes. A value that breaks the grammar,
/// another unit than bytes, and several ranges mean `whole`, because a server may ignore the field
/// (RFC 9110 §14.2). A part ends at the end of the file at the latest.
RangeChoice choose_range(std::string_view value, std::uint64_t size) noexcept;

/// Returns the value of Content-Range: "bytes 0-99/1000" for a part, "bytes */1000" for a range
/// that is not satisfiable. RFC 9110 §14.4. Throws std::bad_alloc.
std::string content_range(const RangeChoice& range, std::uint64_t size);

}  // namespace tern::http
