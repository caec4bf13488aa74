#pragma once

#include <cstdio>
#include <cstdlib>

// Checks of conditions that the program itself must guarantee. Errors are different: they come from
// outside and are returned. TERN_ASSERT stays in release builds, so its condition must cost O(1).
// TERN_DEBUG_ASSERT checks nothing if NDEBUG is defined.

namespace tern::base {

/// Prints the broken condition and its place on stderr, then aborts the process.
[[noreturn]] inline void assertion_failed(const char* condition, const char* file,
                                          int line) noexcept {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace tern::base

#define TERN_ASSERT(condition)                       \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::tern::base::assertion_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
// The condition is compiled but not evaluated, so it stays correct and its variables count as used.
#define TERN_DEBUG_ASSERT(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define TERN_DEBUG_ASSERT(condition) TERN_ASSERT(condition)
#endif
