#pragma once

#include <cstddef>

// Between utf8.cc, which has the grammar and chooses, and utf8_x86.cc, which has the vector
// kernels.

namespace tern::simd {

bool utf8_valid_scalar(const std::byte* data, std::size_t size) noexcept;
#if defined(__x86_64__)
bool utf8_valid_ssse3(const std::byte* data, std::size_t size) noexcept;
bool utf8_valid_avx2(const std::byte* data, std::size_t size) noexcept;
bool utf8_valid_avx512(const std::byte* data, std::size_t size) noexcept;
#endif

}  // namespace tern::simd
