// Measures masking: every kernel and the front functions, in place and copying, beside memcpy. The
// payload is not aligned, as behind a client's header.

#include "simd/mask.h"

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

using tern::simd::Level;

constexpr std::int64_t sizes[] = {16, 32, 64, 125, 512, 1024, 4096, 16384, 65536, 1 << 20};
constexpr std::size_t header_bytes = 6;

class Payload {
 public:
  explicit Payload(std::size_t size) : memory_(size + 64 + header_bytes, std::byte{0x55}) {
    const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(memory_.data()) % 64;
    span_ = std::span(memory_).subspan(64 - misaligned + header_bytes, size);
  }
  std::span<std::byte> span() const { return span_; }

 private:
  std::vector<std::byte> memory_;
  std::span<std::byte> span_;
};

void count(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}

void mask_in_place(benchmark::State& state) {
  const Payload payload(static_cast<std::size_t>(state.range(0)));
  std::uint32_t key = 0x12345678;
  for (auto _ : state) {
    benchmark::DoNotOptimize(key);
    tern::simd::mask(payload.span(), key);
    benchmark::ClobberMemory();
  }
  count(state);
}

void mask_copy(benchmark::State& state) {
  const Payload from(static_cast<std::size_t>(state.range(0)));
  const Payload to(static_cast<std::size_t>(state.range(0)));
  std::uint32_t key = 0x12345678;
  for (auto _ : state) {
    benchmark::DoNotOptimize(key);
    tern::simd::mask_copy(to.span().data(), from.span(), key);
    benchmark::ClobberMemory();
  }
  count(state);
}

void memcpy_only(benchmark::State& state) {
  const Payload from(static_cast<std::size_t>(state.range(0)));
  const Payload to(static_cast<std::size_t>(state.range(0)));
  std::size_t size = from.span().size();
  for (auto _ : state) {
    benchmark::DoNotOptimize(size);  // otherwise the compiler reduces it to one or two instructions
    std::memcpy(to.span().data(), from.span().data(), size);
    benchmark::ClobberMemory();
  }
  count(state);
}

void kernel_in_place(benchmark::State& state, Level level) {
  const Payload payload(static_cast<std::size_t>(state.range(0)));
  const auto kernel = tern::simd::mask_kernel(level);
  std::uint32_t key = 0x12345678;
  for (auto _ : state) {
    benchmark::DoNotOptimize(key);
    kernel(payload.span().data(), payload.span().data(), payload.span().size(), key);
    benchmark::ClobberMemory();
  }
  count(state);
}

void register_all(benchmark::internal::Benchmark* bench) {
  for (const std::int64_t size : sizes) bench->Arg(size);
}

const bool registered = [] {
  register_all(benchmark::RegisterBenchmark("memcpy", memcpy_only));
  register_all(benchmark::RegisterBenchmark("mask", mask_in_place));
  register_all(benchmark::RegisterBenchmark("mask_copy", mask_copy));
  for (const Level level : tern::simd::all_levels) {
    if (level > tern::simd::detect() || level == Level::ssse3) continue;  // ssse3 masks as sse2
    const std::string name = "kernel_" + std::string(tern::simd::name(level));
    register_all(benchmark::RegisterBenchmark(
        name.c_str(), [level](benchmark::State& state) { kernel_in_place(state, level); }));
  }
  return true;
}();

}  // namespace
