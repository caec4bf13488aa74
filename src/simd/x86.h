// The marks of the kernels for x86-64. A kernel is compiled for its instruction set, whatever the
// machine that compiles it has; simd/cpu.h decides at run time which kernel may run.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#define TERN_SSSE3 __attribute__((target("ssse3")))
#define TERN_AVX2 __attribute__((target("avx2")))
#define TERN_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))
// A part of a kernel. A call from one instruction set to a part of another would not be inlined,
// and vectors would go through memory.
#define TERN_INLINE __attribute__((always_inline)) inline

#endif
