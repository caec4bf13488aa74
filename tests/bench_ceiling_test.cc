// The raw echo and the bare echo of tern-bench, under the load of tern-bench. Their answers must be
// right, because they are the ceiling of a comparison. The bare echo must return any frames,
// however the bytes are cut.

#include "simd/mask.h"
#include "support/ceiling_process.h"
#include "throughput/ceiling.h"
#include "throughput/frames.h"
#include "throughput/load.h"
#include "throughput/upgrade.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <gtest/gtest.h>
#include <random>
#include <signal.h>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

using Bytes = std::vector<std::byte>;

/// Runs a short load. Throws the exceptions of run_load().
void load(const CeilingProcess& served, LoadOptions options) {
  options.url = served.url();
  options.warm_up = Seconds(0);  // the messages in flight are answered nevertheless
  options.duration = Seconds(0.1);
  EXPECT_GT(run_load(options).messages, 0u);
}

// The rows of `tern-bench compare`, with fewer connections.
const LoadOptions rows[] = {
    {.connections = 20, .depth = 1, .size = 16},
    {.connections = 20, .depth = 1, .size = 16 << 10},
    {.connections = 20, .depth = 1, .size = 128 << 10},
    {.connections = 20, .depth = 1, .size = 1 << 20},
    {.connections = 20, .depth = 16, .size = 16},
    {.connections = 20, .depth = 16, .size = 125},
    {.connections = 20, .depth = 16, .size = 16 << 10},
    {.connections = 20, .depth = 16, .size = 1024, .kind = PayloadKind::mixed},
    {.connections = 2, .depth = 16, .size = 1 << 20},
};

TEST(BenchCeiling, TheBareEchoReturnsEachMessage) {
  const CeilingProcess served({.bare = true});
  for (const LoadOptions& row : rows) {
    SCOPED_TRACE(std::to_string(row.depth) + " of " + std::to_string(row.size));
    EXPECT_NO_THROW(load(served, row));
  }
}

TEST(BenchCeiling, TheRawEchoReturnsOnlyTheLength) {
  const CeilingProcess served({});
  for (LoadOptions row : rows) {
    SCOPED_TRACE(std::to_string(row.depth) + " of " + std::to_string(row.size));
    row.check_content = false;
    EXPECT_NO_THROW(load(served, row));
    row.check_content = true;
    EXPECT_THROW(load(served, row), std::runtime_error);
  }
}

TEST(BenchCeiling, TheRawEchoSendsTheConfiguredSize) {
  const CeilingProcess served({.message_size = 300});
  EXPECT_NO_THROW(load(served, {.depth = 4, .size = 300, .check_content = false}));
  EXPECT_THROW(load(served, {.size = 600, .check_content = false}), std::runtime_error);
}

TEST(BenchCeiling, EachEchoEndsOnSigterm) {
  for (const Waiting waiting : {Waiting::sleeping, Waiting::spinning, Waiting::on_socket}) {
    for (const bool bare : {false, true}) {
      CeilingProcess served({.waiting = waiting, .bare = bare});
      // The connections come one after the other, because some echoes serve only one at a time.
      EXPECT_NO_THROW(load(served, {.size = 16, .check_content = bare}));
      EXPECT_NO_THROW(load(served, {.depth = 16, .size = 20'000, .check_content = bare}));
      const Wire open = connect_and_upgrade(Target::parse(served.url()));
      const int status = served.stop();
      if (waiting == Waiting::on_socket) {
        EXPECT_TRUE(WIFSIGNALED(status));
      } else {
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 0);
      }
    }
  }
}

TEST(BenchCeiling, TheBareEchoEndsOnUnknownFrames) {
  const CeilingProcess served({.bare = true});
  const std::string text = "text";
  const std::vector<Bytes> wrong = {
      make_frame(frame::Opcode::close, "", frame::Masking::masked),
      make_frame(frame::Opcode::ping, text, frame::Masking::masked),
      make_frame(frame::Opcode::text, text, frame::Masking::unmasked),
      make_frame(frame::Opcode::text, text, frame::Masking::masked, true),
  };
  for (const Bytes& bytes : wrong) {
    Wire wire = connect_and_upgrade(Target::parse(served.url()));
    Bytes into(100);
    send_waiting(wire, bytes);
    EXPECT_THROW(receive_waiting(wire, into), std::runtime_error);
  }
}

/// Frames to send, and the bytes that must come back.
struct Exchange {
  Bytes sent{};
  Bytes expected{};

  void add(std::mt19937& random, std::size_t size) {
    Bytes payload(size);
    for (std::byte& each : payload) each = static_cast<std::byte>(random());
    const frame::Header header{
        .length = size,
        .key = static_cast<std::uint32_t>(random()),
        .opcode = random() % 2 == 0 ? frame::Opcode::binary : frame::Opcode::continuation,
        .fin = random() % 2 == 0};
    append(expected, header, payload, frame::Masking::unmasked);
    simd::mask(payload, header.key);
    append(sent, header, payload, frame::Masking::masked);
  }

 private:
  static void append(Bytes& to, const frame::Header& header, const Bytes& payload,
                     frame::Masking masking) {
    std::array<std::byte, frame::max_header_bytes> encoded;
    const std::size_t size = frame::encode_header(encoded.data(), header, masking);
    to.insert(to.end(), encoded.begin(), encoded.begin() + static_cast<std::ptrdiff_t>(size));
    to.insert(to.end(), payload.begin(), payload.end());
  }
};

/// Sends in pieces of at most `most` bytes. It reads only when the socket takes no more bytes, so
/// that the server has echoes that it cannot send. Returns the bytes that came back.
Bytes exchange(Wire& wire, std::span<const std::byte> sent, std::size_t expected, std::size_t most,
               std::mt19937& random) {
  Bytes got;
  Bytes into(most);
  while (got.size() < expected) {
    const std::size_t size = std::min(sent.size(), 1 + random() % most);
    const ssize_t taken = size > 0 ? wire.send(sent.first(size)) : -1;
    if (taken >= 0) {
      sent = sent.subspan(static_cast<std::size_t>(taken));
      continue;
    }
    const std::size_t read = receive_waiting(wire, into);
    got.insert(got.end(), into.begin(), into.begin() + static_cast<std::ptrdiff_t>(read));
  }
  return got;
}

TEST(BenchCeiling, TheBareEchoReadsFramesCutAnywhere) {
  for (const Waiting waiting : {Waiting::sleeping, Waiting::on_socket}) {
    const CeilingProcess served({.waiting = waiting, .bare = true});
    std::mt19937 random(1);
    for (const std::size_t most : {7u, 4'000u, 300'000u, 5'000'000u}) {
      Exchange frames;
      while (frames.sent.size() < most * 2000 && frames.sent.size() < 5'000'000) {
        for (const std::size_t size : {0u, 1u, 125u, 126u, 3u, 8'191u, 8'192u, 8'193u}) {
          frames.add(random, size);
        }
        if (most < 100) continue;
        for (const std::size_t size : {65'535u, 65'536u, 5u, 600'000u, 40'000u, 3'000'000u}) {
          frames.add(random, size);
        }
      }
      Wire wire = connect_and_upgrade(Target::parse(served.url()));
      const Bytes got = exchange(wire, frames.sent, frames.expected.size(), most, random);
      EXPECT_TRUE(got == frames.expected) << most;
    }
  }
}

}  // namespace
}  // namespace tern::bench
