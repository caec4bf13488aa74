#pragma once

#include <array>
#include <string_view>

namespace tern::simd {

/// The instruction sets that kernels are written for; each includes those before it.
enum class Level {
  scalar,  ///< plain C++, any machine
  sse2,    ///< every x86-64
  ssse3,   ///< byte shuffles of 16
  avx2,    ///< vectors of 32
  avx512,  ///< vectors of 64: F, BW, VL and VBMI
};

inline constexpr std::array all_levels{Level::scalar, Level::sse2, Level::ssse3, Level::avx2,
                                       Level::avx512};

/// The best level that this processor and its operating system support; the same at every call.
/// Whoever needs it often keeps the answer. May be called by static initialisers.
/// Thread: any.
Level detect() noexcept;

/// The name of a level for tests and benchmarks, e.g. "avx2".
std::string_view name(Level level) noexcept;

}  // namespace tern::simd
