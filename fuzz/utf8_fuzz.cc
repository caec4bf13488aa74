// Checks that every UTF-8 kernel agrees with a plain decoder, and that a stream fails in exactly
// the piece that holds the first impossible byte, however it is cut. Input: one byte that is the
// seed of the cuts, then the text.
//
// Subject: src/simd/utf8.cc
// Subject: src/simd/utf8_x86.cc

#include "../tests/support/utf8_reference.h"
#include "simd/utf8.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A copy in a heap block of exactly its size, which AddressSanitizer guards on both sides.
class ExactBlock {
 public:
  explicit ExactBlock(std::string_view text) : size_(text.size()), block_(new std::byte[size_]) {
    const auto bytes = std::as_bytes(std::span(text));
    std::copy(bytes.begin(), bytes.end(), block_.get());
  }
  std::span<const std::byte> span() const { return {block_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> block_;
};

// Feeds pieces of 1 to 1 + most bytes. A simple generator chooses the sizes.
void check_cut(std::string_view text, std::uint32_t seed, std::uint32_t most) {
  const auto impossible = tern::test::first_impossible(text);
  tern::simd::Utf8Stream stream;
  for (std::size_t at = 0; at < text.size();) {
    seed = seed * 1664525 + 1013904223;
    const std::string_view piece = text.substr(at, 1 + (seed >> 16) % (1 + most));
    const bool fine = stream.feed(ExactBlock(piece).span());
    require(fine == (!impossible || *impossible >= at + piece.size()));
    if (!fine) break;
    at += piece.size();
  }
  require(stream.complete() == tern::test::reference_valid(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint32_t seed = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const bool expected = tern::test::reference_valid(text);
  const ExactBlock block(text);
  for (const auto level : tern::simd::all_levels) {
    if (level > tern::simd::detect()) continue;
    require(tern::simd::utf8_kernel(level)(block.span().data(), block.span().size()) == expected);
  }
  require(tern::simd::utf8_valid(block.span()) == expected);
  check_cut(text, seed, 0);
  check_cut(text, seed, 3);
  check_cut(text, seed, 200);
  return 0;
}
