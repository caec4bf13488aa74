// Which kernels may run here.
//
// Kernels for all levels are compiled into every library, each function with the instruction set in
// its own `target` attribute: the rest of the program needs no compiler flags and runs on any
// x86-64. A front function (mask_long, utf8_valid_long) jumps through a pointer of its own file
// that at first leads to a function which asks detect(), puts the kernel of that level into the
// pointer and goes on there. So the choice costs nothing later, not even the guard of a
// function-local static; the pointer is constant-initialised, hence right even when a static
// initialiser elsewhere is the first caller; and threads that race all write the same value. Tests
// ask for the kernel of each level by name.
//
// AVX-512 is asked for together with VBMI, which no kernel needs: the processors that have the one
// without the other are those that lower their clock for 512-bit vectors, on which AVX2 is the
// better choice.

#include "simd/cpu.h"

namespace tern::simd {

Level detect() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();  // ours may be the first static initialiser to run
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
