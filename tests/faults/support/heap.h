// How many blocks of operator new live. heap.cc replaces it in every program of tests/faults.
#pragma once

#include <cstdint>

namespace tern::test {

std::int64_t live_blocks() noexcept;

}  // namespace tern::test
