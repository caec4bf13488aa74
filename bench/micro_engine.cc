// Measures the whole engine of a server, without sockets. A round feeds 64 KiB (or one frame) of
// masked frames and takes their events; the echo also sends the messages and consumes the output.
// Items are frames. The engine unmasks in place, so each round begins with a copy of the masked
// bytes. `copy_only` measures that copy alone.

#include "tern/engine.h"

#include "frame/header.h"
#include "simd/mask.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace {

using tern::Engine;
using tern::Event;

constexpr std::size_t batch_bytes = std::size_t{64} << 10;
constexpr std::uint32_t key = 0xA53C'96F1;
constexpr std::string_view many_scripts = "äλЖ漢🙂éδ語€हы🚀ñ字";

void append_frame(std::vector<std::byte>& out, tern::frame::Opcode opcode,
                  std::span<const std::byte> payload) {
  const std::size_t at = out.size();
  out.resize(at + tern::frame::max_header_bytes + payload.size());
  const std::size_t head = tern::frame::encode_header(
      out.data() + at, {.length = payload.size(), .key = key, .opcode = opcode, .fin = true},
      tern::frame::Masking::masked);
  tern::simd::mask_copy(out.data() + at + head, payload, key);
  out.resize(at + head + payload.size());
}

/// Frames of one size that fill 64 KiB, but at least one.
struct Batch {
  Batch(tern::frame::Opcode opcode, std::span<const std::byte> payload) {
    do {
      append_frame(masked, opcode, payload);
      ++frames;
    } while (masked.size() + payload.size() + tern::frame::max_header_bytes <= batch_bytes);
    lent.resize(masked.size());
  }
  static Batch binary(std::int64_t size) {
    return {tern::frame::Opcode::binary,
            std::vector<std::byte>(static_cast<std::size_t>(size), std::byte{0x55})};
  }

  std::span<std::byte> fresh() noexcept {
    std::memcpy(lent.data(), masked.data(), masked.size());
    return lent;
  }
  void count(benchmark::State& state) const {
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(frames));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(masked.size()));
  }

  std::vector<std::byte> masked{};
  std::vector<std::byte> lent{};
  std::size_t frames = 0;
};

struct OpenServer {
  OpenServer() : engine(*Engine::established(tern::Role::server, {}, options, workspace)) {
    engine.tick({});
    engine.next();  // Kind::open
  }
  tern::EngineOptions options{.limits = {.max_queued_bytes = std::size_t{16} << 20}};
  tern::Workspace workspace{};
  Engine engine;
};

void copy_only(benchmark::State& state) {
  Batch batch = Batch::binary(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(batch.fresh().data());
    benchmark::ClobberMemory();
  }
  batch.count(state);
}
BENCHMARK(copy_only)->Arg(16);

void receive_batch(benchmark::State& state, Batch batch) {
  OpenServer server;
  std::size_t received = 0;
  for (auto _ : state) {
    server.engine.feed(0, batch.fresh());
    while (const Event event = server.engine.next()) {
      benchmark::DoNotOptimize(event.message().bytes().data());
      ++received;
    }
    server.engine.settle();
  }
  if (received != batch.frames * static_cast<std::size_t>(state.iterations())) {
    state.SkipWithError("not every frame was received");
  }
  batch.count(state);
}

void receive(benchmark::State& state) { receive_batch(state, Batch::binary(state.range(0))); }
BENCHMARK(receive)->Arg(16)->Arg(125)->Arg(1024)->Arg(16 << 10);

// The engine checks text. Mixed scripts cost most.
void receive_text(benchmark::State& state) {
  std::vector<std::byte> payload;
  const auto unit = std::as_bytes(std::span(many_scripts));
  while (payload.size() + unit.size() <= static_cast<std::size_t>(state.range(0))) {
    payload.insert(payload.end(), unit.begin(), unit.end());
  }
  receive_batch(state, Batch(tern::frame::Opcode::text, payload));
}
BENCHMARK(receive_text)->Arg(64)->Arg(1024)->Arg(16 << 10);

void echo(benchmark::State& state) {
  Batch batch = Batch::binary(state.range(0));
  OpenServer server;
  bool queued = true;
  for (auto _ : state) {
    server.engine.feed(0, batch.fresh());
    while (const Event event = server.engine.next()) {
      queued = server.engine.send(event.message()) != tern::SendStatus::closed && queued;
    }
    for (auto output = server.engine.output(); !output.empty(); output = server.engine.output()) {
      std::size_t size = 0;
      for (const iovec& piece : output) size += piece.iov_len;
      server.engine.consume_output(size);
    }
    server.engine.settle();
  }
  if (!queued) state.SkipWithError("a message was not sent");
  batch.count(state);
}
BENCHMARK(echo)->Arg(16)->Arg(125)->Arg(1024)->Arg(16 << 10)->Arg(128 << 10);

}  // namespace
