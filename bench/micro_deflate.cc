// Measures compressed messages through the engine of a server, without sockets. The messages are
// JSON: compressed by us (send), by a client (receive), and by both (echo), at several levels, with
// and without context takeover. `ratio` is plain bytes for each byte on the wire, of the messages
// that we compressed. A message is sent again only after 64 others, because with takeover a message
// that is still in the window would cost nothing.

#include "tern/engine.h"

#include "deflate/codec.h"
#include "frame/header.h"

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

using tern::Deflate;
using tern::DeflateAgreement;
using tern::Engine;
using tern::Event;

std::string json(std::size_t size, std::uint32_t seed = 1) {
  std::string text = "[";
  std::uint32_t state = seed;
  for (int id = 0; text.size() < size; ++id) {
    state = state * 1664525u + 1013904223u;
    text += R"({"id":)" + std::to_string(id) + R"(,"name":"user )" + std::to_string(state >> 20) +
            R"(","active":)" + (state >> 31 != 0 ? "true" : "false") + R"(,"score":)" +
            std::to_string(state % 100'000) + R"(,"tags":["new","north"]},)";
  }
  text.resize(size);
  return text;
}

// A masked frame with the message compressed at level 6, without references to others.
std::vector<std::byte> packed_frame(const std::string& message) {
  tern::base::ChunkPool pool;
  tern::base::ChunkRef chunk;
  tern::deflate::Deflater deflater({.level = 6, .window_bits = 15, .memory_level = 8});
  const std::size_t size = deflater.compress(std::as_bytes(std::span(message)), false, pool, chunk);
  std::vector<std::byte> frame(tern::frame::max_header_bytes + size);
  const std::size_t head =
      tern::frame::encode_header(frame.data(),
                                 {.length = size,  // the key is 0: masked bytes are plain
                                  .opcode = tern::frame::Opcode::text,
                                  .fin = true,
                                  .compressed = true},
                                 tern::frame::Masking::masked);
  std::memcpy(frame.data() + head, chunk.data(), size);
  frame.resize(head + size);
  return frame;
}

struct OpenServer {
  OpenServer(int level, bool takeover)
      : options{.limits = {.max_queued_bytes = std::size_t{16} << 20},
                .deflate = Deflate{.level = level, .min_bytes = 0}},
        engine(*Engine::established(
            tern::Role::server,
            {.deflate = DeflateAgreement{.takeover = takeover, .peer_takeover = takeover}}, options,
            workspace)) {
    engine.tick({});
    engine.next();  // Kind::open
  }

  std::size_t write() {
    std::size_t written = 0;
    for (auto output = engine.output(); !output.empty(); output = engine.output()) {
      std::size_t size = 0;
      for (const iovec& piece : output) size += piece.iov_len;
      engine.consume_output(size);
      written += size;
    }
    engine.settle();
    return written;
  }

  tern::EngineOptions options;
  tern::Workspace workspace{};
  Engine engine;
};

void send(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::string> messages;
  for (std::uint32_t seed = 1; seed <= 64; ++seed) messages.push_back(json(size, seed));
  OpenServer server(static_cast<int>(state.range(1)), state.range(2) != 0);
  std::size_t written = 0;
  std::size_t turn = 0;
  for (auto _ : state) {
    server.engine.send(messages[turn++ % messages.size()]);
    written += server.write();
  }
  const auto sent = static_cast<double>(state.iterations()) * static_cast<double>(size);
  state.counters["ratio"] = sent / static_cast<double>(written);
  state.SetBytesProcessed(static_cast<std::int64_t>(sent));
}
BENCHMARK(send)
    ->ArgNames({"bytes", "level", "takeover"})
    ->ArgsProduct({{1 << 10, 64 << 10}, {1, 6, 9}, {0, 1}});

void receive(benchmark::State& state) {
  const std::string message = json(static_cast<std::size_t>(state.range(0)));
  const std::vector<std::byte> frame = packed_frame(message);
  std::vector<std::byte> lent(frame.size());
  OpenServer server(1, state.range(1) != 0);
  std::size_t received = 0;
  for (auto _ : state) {
    std::memcpy(lent.data(), frame.data(), frame.size());
    server.engine.feed(0, lent);
    while (const Event event = server.engine.next()) received += event.message().size();
    server.engine.settle();
  }
  if (received != message.size() * static_cast<std::size_t>(state.iterations())) {
    state.SkipWithError("not every message was received");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(received));
}
BENCHMARK(receive)->ArgNames({"bytes", "takeover"})->ArgsProduct({{1 << 10, 64 << 10}, {0, 1}});

void echo(benchmark::State& state) {
  const std::string message = json(static_cast<std::size_t>(state.range(0)));
  const std::vector<std::byte> frame = packed_frame(message);
  std::vector<std::byte> lent(frame.size());
  OpenServer server(1, state.range(1) != 0);
  for (auto _ : state) {
    std::memcpy(lent.data(), frame.data(), frame.size());
    server.engine.feed(0, lent);
    while (const Event event = server.engine.next()) server.engine.send(event.message());
    server.write();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(message.size()));
}
BENCHMARK(echo)->ArgNames({"bytes", "takeover"})->ArgsProduct({{1 << 10, 64 << 10}, {0, 1}});

}  // namespace
