// A part of an engine's output that also lies in a file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

/// Bytes of Engine::output() that a file has as well, so that a driver may send them by sendfile().
/// The file never changes. Lifetime of the descriptor: until these bytes are consumed.
struct OutputFile {
  int descriptor = -1;       ///< -1: there is no such part
  std::uint64_t offset = 0;  ///< of its first byte in the file
  std::size_t bytes = 0;
  std::size_t before = 0;  ///< bytes of output() in front of it; whole pieces
};

}  // namespace tern
