// Counts the heap blocks that tern and the test hold. heap.cc replaces operator new in every
// program of tests/faults, and the linker sends calls of malloc there. Blocks that shared libraries
// allocate with malloc for themselves are not counted.
#pragma once

#include <cstdint>

namespace tern::test {

/// The number of blocks that are allocated now.
std::int64_t live_blocks() noexcept;

}  // namespace tern::test
