// Detects the instruction sets of this processor, so that the best kernels can run.
//
// Every build contains the kernels of all levels. Each kernel names its instruction set in its own
// `target` attribute, so the rest of the program needs no compiler flags and runs on any x86-64.
//
// The files of the kernels choose one at the first call. A front function (mask_long,
// utf8_valid_long) jumps through an atomic pointer. At first this pointer leads to a function that
// calls detect(), stores the kernel of that level in the pointer and calls the kernel. Later calls
// pay nothing for the choice, not even the guard of a function-local static. The pointer is
// constant-initialised, so it is valid even if a static initialiser elsewhere makes the first call.
// Threads that race all write the same value. Tests request the kernel of each level directly.
//
// Level::avx512 requires VBMI although no kernel uses it. Processors that have AVX-512 without VBMI
// lower their clock for 512-bit vectors, so AVX2 is the better choice on them.

#include "simd/cpu.h"

namespace tern::simd {

Level detect() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();  // a static initialiser may call this before libgcc's own constructor runs
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
    return Level::avx512;
  if (__builtin_cpu_supports("avx2")) return Level::avx2;
  if (__builtin_cpu_supports("ssse3")) return Level::ssse3;
  return Level::sse2;
#else
  return Level::scalar;
#endif
}

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::scalar:
      return "scalar";
    case Level::sse2:
      return "sse2";
    case Level::ssse3:
      return "ssse3";
    case Level::avx2:
      return "avx2";
    case Level::avx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace tern::simd
