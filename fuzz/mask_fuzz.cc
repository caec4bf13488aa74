// Checks that every masking kernel gives the same result as a loop over single bytes (RFC 6455
// §5.3): in place, into a copy, and in two pieces. Input: four bytes of key, one byte that chooses
// phase and alignment, one byte that chooses the cut, then the payload.
//
// Subject: src/simd/mask.cc

#include "simd/mask.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A block of exactly `size` bytes behind `offset` bytes that must keep their values.
class Block {
 public:
  Block(std::size_t offset, std::size_t size)
      : offset_(offset), size_(size), memory_(new std::byte[offset + size]) {
    std::fill_n(memory_.get(), offset_, std::byte{0x5A});
  }
  std::span<std::byte> span() const { return {memory_.get() + offset_, size_}; }
  bool front_untouched() const {
    return std::all_of(memory_.get(), memory_.get() + offset_,
                       [](std::byte byte) { return byte == std::byte{0x5A}; });
  }

 private:
  std::size_t offset_;
  std::size_t size_;
  std::unique_ptr<std::byte[]> memory_;
};

struct Input {
  std::uint32_t key;
  unsigned phase;
  std::size_t offset;
  std::size_t cut;
  std::span<const std::byte> payload;
};

template <typename Mask>
void check(const Input& in, std::span<const std::byte> expected, Mask mask) {
  const Block in_place(in.offset, in.payload.size());
  std::ranges::copy(in.payload, in_place.span().begin());
  mask(in_place.span().data(), in_place.span(), in.phase);
  require(std::ranges::equal(in_place.span(), expected) && in_place.front_untouched());

  const Block copy(63 - in.offset, in.payload.size());
  mask(copy.span().data(), in.payload.first(in.cut), in.phase);
  mask(copy.span().data() + in.cut, in.payload.subspan(in.cut),
       static_cast<unsigned>((in.phase + in.cut) % 4));
  require(std::ranges::equal(copy.span(), expected) && copy.front_untouched());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t parameters = 6;
  if (size < parameters) return 0;
  std::uint32_t key;
  std::memcpy(&key, data, sizeof key);
  const std::size_t payload = size - parameters;
  const Input in{key, data[4] % 4U, data[4] / 4U, payload == 0 ? 0 : data[5] * payload / 255,
                 std::as_bytes(std::span(data + parameters, payload))};
  std::vector<std::byte> expected(in.payload.begin(), in.payload.end());
  for (std::size_t i = 0; i < expected.size(); ++i)
    expected[i] ^= static_cast<std::byte>(data[(in.phase + i) % 4]);

  for (const auto level : tern::simd::all_levels) {
    if (level > tern::simd::detect()) continue;
    const auto kernel = tern::simd::mask_kernel(level);
    check(in, expected, [&](std::byte* dst, std::span<const std::byte> src, unsigned phase) {
      kernel(dst, src.data(), src.size(), tern::simd::rotate_key(key, phase));
    });
  }
  check(in, expected, [&](std::byte* dst, std::span<const std::byte> src, unsigned phase) {
    tern::simd::mask_copy(dst, src, key, phase);
  });
  return 0;
}
