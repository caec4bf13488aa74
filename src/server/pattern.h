// A path with parameters, as a route gives it: "/rooms/{room}", "/files/{path...}".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern::server {

/// A path has at most so many parameters, so that a request needs no memory for them.
inline constexpr std::size_t max_parameters = 16;

/// The text between two slashes of a route's path.
struct Segment {
  enum class Kind : std::uint8_t {
    literal,    // is equal to the segment of the request, byte by byte
    parameter,  // {name}: one segment that is not empty
    rest,       // {name...}: all segments that follow; the first of them is not empty
  };
  Kind kind = Kind::literal;
  std::string_view text{};  // the literal, or the name of the parameter
};

/// Removes the first segment, with the slash before it, from a path that begins with '/', and
/// returns it.
std::string_view take_segment(std::string_view& path) noexcept;
/// Reads a segment of a route's path, which why_invalid_pattern() has accepted.
Segment parse_segment(std::string_view text) noexcept;
/// Whether a route's path has parameters, or tries to have some.
inline bool is_pattern(std::string_view path) noexcept {
  return path.find_first_of("{}") != std::string_view::npos;
}
/// Returns the text between quotation marks, for a message. Throws std::bad_alloc.
inline std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }
/// Returns the reason why the parameters of this path cannot work; empty if they can, or if there
/// are none. The path begins with '/'. Throws std::bad_alloc.
std::string why_invalid_pattern(std::string_view path);

}  // namespace tern::server
