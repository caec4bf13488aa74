#pragma once

#include <array>
#include <string_view>

namespace tern::simd {

/// The instruction sets that have kernels. Each level includes the levels before it.
enum class Level {
  scalar,  ///< plain C++, on any machine
  sse2,    ///< vectors of 16 bytes, on every x86-64
  ssse3,   ///< adds a shuffle of 16 bytes
  avx2,    ///< vectors of 32 bytes
  avx512,  ///< vectors of 64 bytes: F, BW, VL and VBMI
};

inline constexpr std::array all_levels{Level::scalar, Level::sse2, Level::ssse3, Level::avx2,
                                       Level::avx512};

/// Returns the best level that this processor and its operating system support. The result never
/// changes; a caller that needs it often stores it. Static initialisers may call it.
/// Thread: any.
Level detect() noexcept;

/// Returns the name of a level for tests and benchmarks, for example "avx2".
std::string_view name(Level level) noexcept;

}  // namespace tern::simd
