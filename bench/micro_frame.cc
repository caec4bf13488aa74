// Measures frame headers alone: decoding each form that a client sends, and encoding each form that
// a server sends.

#include "frame/header.h"

#include <array>
#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace {

using tern::frame::Decoded;
using tern::frame::Header;
using tern::frame::Masking;
using tern::frame::Opcode;

Header header_for(std::int64_t length) {
  return {.length = static_cast<std::uint64_t>(length),
          .key = 0x12345678,
          .opcode = Opcode::binary,
          .fin = true};
}

// Decodes headers that follow each other without payloads.
void decode_header(benchmark::State& state) {
  constexpr std::size_t count = 1024;
  std::vector<std::byte> bytes(count * tern::frame::max_header_bytes);
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    size += encode_header(bytes.data() + size, header_for(state.range(0)), Masking::masked);
  }
  for (auto _ : state) {
    std::span<const std::byte> rest = std::span(bytes).first(size);
    while (!rest.empty()) {
      Header header;
      const Decoded decoded = decode_header(rest, Masking::masked, header);
      if (decoded.size == 0) return state.SkipWithError("not a header");
      benchmark::DoNotOptimize(header);
      rest = rest.subspan(decoded.size);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
}
BENCHMARK(decode_header)->Arg(16)->Arg(1024)->Arg(1 << 20);

void encode_header(benchmark::State& state) {
  Header header = header_for(state.range(0));
  std::array<std::byte, tern::frame::max_header_bytes> out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(header);
    benchmark::DoNotOptimize(encode_header(out.data(), header, Masking::unmasked));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encode_header)->Arg(16)->Arg(1024)->Arg(1 << 20);

}  // namespace
