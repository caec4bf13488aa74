// A file in memory that never changes.
#pragma once

#include "net/fd.h"

#include <cstddef>
#include <span>

namespace tern::net {

/// Makes a file with these bytes that no program can change, for sendfile(). Returns no descriptor
/// if the system has no room for it, or no such files.
Fd sealed_copy(std::span<const std::byte> bytes) noexcept;

}  // namespace tern::net
