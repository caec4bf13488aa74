#pragma once

#include <cstddef>

// The kernels that check UTF-8. utf8.cc defines the scalar one and chooses among them; utf8_x86.cc
// defines those with vectors.

namespace tern::simd {

bool utf8_valid_scalar(const std::byte* data, std::size_t size) noexcept;
#if defined(__x86_64__)
bool utf8_valid_ssse3(const std::byte* data, std::size_t size) noexcept;
bool utf8_valid_avx2(const std::byte* data, std::size_t size) noexcept;
bool utf8_valid_avx512(const std::byte* data, std::size_t size) noexcept;
#endif

}  // namespace tern::simd
