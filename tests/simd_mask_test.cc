// Masking: every kernel, length, phase and alignment against a loop over single bytes.
#include "simd/mask.h"
#include "support/guard_page.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace tern::simd {
namespace {

constexpr std::array key_bytes{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21}, std::byte{0x3D}};

std::uint32_t key_of(std::array<std::byte, 4> bytes) {
  std::uint32_t key;
  std::memcpy(&key, bytes.data(), sizeof key);
  return key;
}

// The reference: byte i is XORed with byte (phase + i) mod 4 of the key.
std::vector<std::byte> masked(std::span<const std::byte> data, unsigned phase) {
  std::vector<std::byte> result(data.begin(), data.end());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] ^= key_bytes[(phase + i) % 4];
  return result;
}

std::vector<std::byte> payload(std::size_t size) {
  std::vector<std::byte> data(size);
  std::uint32_t state = 12345;
  for (std::byte& byte : data)
    byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return data;
}

// The common form of all functions under test: masks `src` into `dst`, which may be the same.
using Mask = std::function<void(std::byte* dst, std::span<const std::byte> src, unsigned phase)>;

struct Subject {
  std::string name;
  Mask run;
};

std::vector<Subject> subjects() {
  const std::uint32_t key = key_of(key_bytes);
  std::vector<Subject> all;
  for (const Level level : all_levels) {
    if (level > detect()) continue;
    const MaskKernel kernel = mask_kernel(level);
    all.push_back({std::string(name(level)),
                   [=](std::byte* dst, std::span<const std::byte> src, unsigned phase) {
                     kernel(dst, src.data(), src.size(), rotate_key(key, phase));
                   }});
  }
  all.push_back({"mask_copy", [=](std::byte* dst, std::span<const std::byte> src, unsigned phase) {
                   mask_copy(dst, src, key, phase);
                 }});
  return all;
}

TEST(Mask, Rfc6455_5_7_UnmasksTheExampleHello) {
  std::array data{std::byte{0x7F}, std::byte{0x9F}, std::byte{0x4D}, std::byte{0x51},
                  std::byte{0x58}};
  mask(data, key_of(key_bytes));
  EXPECT_EQ(std::memcmp(data.data(), "Hello", 5), 0);
}

TEST(Mask, Rfc6455_5_3_RotateKeyContinuesAtAnyByte) {
  for (std::size_t bytes = 0; bytes < 9; ++bytes) {
    std::array<std::byte, 4> rotated{};
    const std::uint32_t key = rotate_key(key_of(key_bytes), bytes);
    std::memcpy(rotated.data(), &key, 4);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(rotated[i], key_bytes[(bytes + i) % 4]);
  }
}

// Each span ends or begins at a guard page, so that a read or write outside it ends the process.
TEST(Mask, Rfc6455_5_3_EveryKernelMasksEveryLengthAndPhase) {
  const test::GuardPage at(512);
  const test::GuardPage to(512);
  for (const Subject& subject : subjects()) {
    for (std::size_t size = 0; size <= 300; ++size) {
      const std::vector<std::byte> data = payload(size);
      for (unsigned phase = 0; phase < 4; ++phase) {
        const std::vector<std::byte> expected = masked(data, phase);
        for (const auto in_place : {at.copy_at_end(data), at.copy_at_begin(data)}) {
          std::ranges::copy(data, in_place.begin());
          subject.run(in_place.data(), in_place, phase);
          ASSERT_TRUE(std::ranges::equal(in_place, expected)) << subject.name << ' ' << size;
        }
        const auto from = at.copy_at_end(data);
        for (const auto copy : {to.at_begin(size), to.at_end(size)}) {
          subject.run(copy.data(), from, phase);
          ASSERT_TRUE(std::ranges::equal(copy, expected)) << subject.name << ' ' << size;
        }
      }
    }
  }
}

// The payload moves towards the front of the buffer, by the bytes that a header shrinks or more.
TEST(Mask, Rfc6455_5_3_EveryKernelMovesThePayloadForward) {
  constexpr std::size_t sizes[] = {0,  1,  3,  4,   7,   8,   15,  16,  31,  32,  33,    63,
                                   64, 65, 96, 127, 128, 200, 257, 511, 512, 513, 1'025, 4'100};
  for (const Subject& subject : subjects()) {
    for (const std::size_t size : sizes) {
      const std::vector<std::byte> data = payload(size);
      const std::vector<std::byte> expected = masked(data, 2);
      for (std::size_t by = 0; by <= 300; by += by < 72 ? 1 : 57) {
        std::vector<std::byte> memory(by);
        memory.insert(memory.end(), data.begin(), data.end());
        subject.run(memory.data(), std::span(memory).subspan(by), 2);
        memory.resize(size);
        ASSERT_EQ(memory, expected) << subject.name << ' ' << size << " by " << by;
      }
    }
  }
}

// Checks every alignment: the span is masked, and the bytes around it keep their values.
void check_alignments(const Subject& subject, std::size_t size) {
  constexpr std::size_t margin = 64;
  const std::vector<std::byte> data = payload(size);
  const std::vector<std::byte> expected = masked(data, 1);
  std::vector<std::byte> memory(size + 3 * margin);
  std::vector<std::byte> source(size + margin);
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % margin;
  for (std::size_t offset = 0; offset < margin; ++offset) {
    const std::size_t begin = margin - misaligned + offset;
    for (const bool in_place : {true, false}) {
      std::ranges::fill(memory, std::byte{0xEE});
      const std::span<std::byte> span = std::span(memory).subspan(begin, size);
      std::span<const std::byte> from = span;
      if (in_place) {
        std::ranges::copy(data, span.begin());
      } else {
        std::ranges::copy(data, source.begin() + static_cast<std::ptrdiff_t>(offset * 7 % margin));
        from = std::span(source).subspan(offset * 7 % margin, size);
      }
      subject.run(span.data(), from, 1);
      ASSERT_TRUE(std::ranges::equal(span, expected))
          << subject.name << ' ' << size << ' ' << offset;
      const auto untouched = [](std::byte byte) { return byte == std::byte{0xEE}; };
      ASSERT_TRUE(std::all_of(memory.begin(), memory.begin() + static_cast<std::ptrdiff_t>(begin),
                              untouched));
      ASSERT_TRUE(std::all_of(memory.begin() + static_cast<std::ptrdiff_t>(begin + size),
                              memory.end(), untouched));
    }
  }
}

TEST(Mask, Rfc6455_5_3_EveryKernelMasksEveryLengthAtAnyAddress) {
  for (const Subject& subject : subjects())
    for (std::size_t size = 0; size <= 300; ++size) check_alignments(subject, size);
}

// Kernels align long payloads first. The sizes lie around the lengths where loops begin and end.
TEST(Mask, Rfc6455_5_3_EveryKernelMasksLongPayloadsAtAnyAddress) {
  for (const Subject& subject : subjects()) {
    for (const std::size_t size :
         {1023U, 1024U, 1025U, 1087U, 1088U, 1151U, 1280U, 1343U, 4099U, 70001U})
      check_alignments(subject, size);
  }
}

// The parts of a payload are unmasked as they arrive, each at the phase where the last one ended.
TEST(Mask, Rfc6455_5_3_MaskingInPartsGivesTheSame) {
  const std::uint32_t key = key_of(key_bytes);
  for (const std::size_t size : {5U, 33U, 131U, 300U}) {
    const std::vector<std::byte> data = payload(size);
    const std::vector<std::byte> expected = masked(data, 0);
    for (std::size_t cut = 0; cut <= size; ++cut) {
      std::vector<std::byte> work = data;
      mask(std::span(work).first(cut), key);
      mask(std::span(work).subspan(cut), key, static_cast<unsigned>(cut % 4));
      ASSERT_EQ(work, expected) << size << ' ' << cut;
      mask(work, key);
      ASSERT_EQ(work, data) << "the second masking restores the payload";
    }
  }
}

}  // namespace
}  // namespace tern::simd
