// Measures UTF-8 validation on texts of four scripts: the front function, the stream and every
// kernel, beside memcpy, which reads the same bytes and also writes them.

#include "simd/utf8.h"

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using tern::simd::Level;

constexpr std::int64_t sizes[] = {16, 64, 125, 512, 1024, 4096, 16384, 65536, 1 << 20};

struct Script {
  std::string_view name;
  std::string_view sample;  // repeated, cut between characters and filled up with ASCII
};

constexpr Script scripts[] = {
    {"ascii", "The quick brown fox jumps over the lazy dog. "},
    {"latin",
     "Gr\xC3\xBC\xC3\x9F"
     "e aus K\xC3\xB6ln, \xC3\xA0 bient\xC3\xB4t \xC3\xA9t\xC3\xA9. "},
    {"cjk", "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x81\xAF\xE8\x89\xAF\xE3\x81\x84\xE5\xA4\xA9\xE6\xB0\x97"},
    {"emoji", "\xF0\x9F\x98\x80\xF0\x9F\x9A\x80\xF0\x9F\x8E\x89\xF0\x9F\x92\xA1"},
};

std::string text_of(const Script& script, std::size_t size) {
  std::string text;
  while (text.size() < size) text += script.sample;
  while (text.size() > size || (!text.empty() && static_cast<signed char>(text.back()) < 0)) {
    if (text.size() <= size && tern::simd::utf8_valid(std::as_bytes(std::span(text)))) break;
    text.pop_back();
  }
  text.append(size - text.size(), 'x');
  return text;
}

template <typename Check>
void run(benchmark::State& state, const Script& script, Check check) {
  const std::string text = text_of(script, static_cast<std::size_t>(state.range(0)));
  std::span<const std::byte> span = std::as_bytes(std::span(text));
  for (auto _ : state) {
    benchmark::DoNotOptimize(span);
    bool valid = check(span);
    benchmark::DoNotOptimize(valid);
    if (!valid) state.SkipWithError("not valid");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}

void register_all(const std::string& name, const Script& script, auto check) {
  auto* bench = benchmark::RegisterBenchmark(
      (name + "/" + std::string(script.name)).c_str(),
      [&script, check](benchmark::State& state) { run(state, script, check); });
  for (const std::int64_t size : sizes) bench->Arg(size);
}

const bool registered = [] {
  static std::vector<std::byte> copy(1 << 20);
  register_all("memcpy", scripts[0], [](std::span<const std::byte> text) {
    std::memcpy(copy.data(), text.data(), text.size());
    benchmark::ClobberMemory();
    return true;
  });
  for (const Script& script : scripts) {
    register_all("utf8_valid", script,
                 [](std::span<const std::byte> text) { return tern::simd::utf8_valid(text); });
    register_all("stream", script, [](std::span<const std::byte> text) {
      tern::simd::Utf8Stream stream;
      return stream.feed(text) && stream.complete();
    });
    for (const Level level : tern::simd::all_levels) {
      if (level > tern::simd::detect() || level == Level::sse2) continue;  // sse2 checks as scalar
      const auto kernel = tern::simd::utf8_kernel(level);
      register_all(
          "kernel_" + std::string(tern::simd::name(level)), script,
          [kernel](std::span<const std::byte> text) { return kernel(text.data(), text.size()); });
    }
  }
  return true;
}();

}  // namespace
