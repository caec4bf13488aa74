// How many blocks of the heap live that tern and the test asked for: by operator new, which heap.cc
// replaces in every program of tests/faults, and by malloc, whose calls the linker sends there.
// What shared libraries take by malloc for themselves is not among them.
#pragma once

#include <cstdint>

namespace tern::test {

std::int64_t live_blocks() noexcept;

}  // namespace tern::test
