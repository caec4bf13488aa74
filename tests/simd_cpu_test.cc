// The detection of the CPU, and the kernels of each level that it may return.
#include "simd/cpu.h"
#include "simd/mask.h"
#include "simd/utf8.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <gtest/gtest.h>
#include <set>
#include <string_view>
#include <vector>

namespace tern::simd {
namespace {

// These static initialisers call kernels before main, and perhaps before any initialiser of the
// library. The payloads are too long for the inline functions.
const bool valid_before_main = [] {
  const std::vector<std::byte> text(200, std::byte{'a'});
  return utf8_valid(text);
}();
const std::byte masked_before_main = [] {
  std::vector<std::byte> data(200);
  mask(data, 0x01010101);
  return data[199];
}();

TEST(Cpu, KernelsWorkInStaticInitialisers) {
  EXPECT_TRUE(valid_before_main);
  EXPECT_EQ(masked_before_main, std::byte{1});
}

TEST(Cpu, DetectsTheSameEachTime) {
  EXPECT_EQ(detect(), detect());
  EXPECT_NE(std::ranges::find(all_levels, detect()), all_levels.end());
#if defined(__x86_64__)
  EXPECT_GE(detect(), Level::sse2);
#else
  EXPECT_EQ(detect(), Level::scalar);
#endif
}

TEST(Cpu, LevelsAscendAndHaveNames) {
  EXPECT_TRUE(std::ranges::is_sorted(all_levels));
  std::set<std::string_view> names;
  for (const Level level : all_levels) names.insert(name(level));
  EXPECT_EQ(names.size(), all_levels.size());
  EXPECT_EQ(names.count("unknown"), 0U);
}

TEST(Cpu, EveryLevelHasKernels) {
  for (const Level level : all_levels) {
    EXPECT_NE(mask_kernel(level), nullptr) << name(level);
    EXPECT_NE(utf8_kernel(level), nullptr) << name(level);
  }
#if defined(__x86_64__)
  EXPECT_NE(mask_kernel(Level::avx2), mask_kernel(Level::scalar));
  EXPECT_NE(utf8_kernel(Level::avx2), utf8_kernel(Level::scalar));
#endif
}

}  // namespace
}  // namespace tern::simd
