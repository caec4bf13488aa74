// Random numbers that are the same in every run.
#pragma once

#include <cstdint>

namespace tern::bench {

/// SplitMix64. Two objects with the same seed give the same numbers.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// Uniform over all values.
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  /// 0 to `count` - 1; `count` is small, so the bias does not matter.
  std::uint32_t below(std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * count) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace tern::bench
