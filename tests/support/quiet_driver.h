// A driver that makes no allocation itself, for tests that count the allocations of an engine. It
// echoes.
#pragma once

#include "tern/engine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace tern::test {

constexpr std::size_t kib = 1024;
constexpr Role roles[] = {Role::server, Role::client};
constexpr auto start_time = Engine::TimePoint() + std::chrono::hours(1);

constexpr Role peer_of(Role role) { return role == Role::server ? Role::client : Role::server; }

class QuietDriver {
 public:
  /// The engine is open. It points to `options` and `workspace`.
  QuietDriver(Role role, const EngineOptions& options, Workspace& workspace,
              const Agreement& agreement = {})
      : engine(std::move(*Engine::established(role, agreement, options, workspace))) {
    turn({});
  }

  /// Receives the bytes in pieces of 64 KiB, and writes all output.
  void turn(std::string_view bytes) {
    do {
      const std::size_t size = std::min(bytes.size(), buffer_->size());
      std::memcpy(buffer_->data(), bytes.data(), size);
      bytes.remove_prefix(size);
      engine.tick(start_time);
      engine.feed(0, std::span(*buffer_).first(size));
      while (const Event event = engine.next()) {
        events += event.kind() != Event::Kind::working;
        if (event.kind() == Event::Kind::message && echo) engine.send(event.message());
      }
      write();
      engine.settle();
    } while (!bytes.empty());
  }

  void write() {
    for (;;) {
      std::size_t size = 0;
      for (const iovec& piece : engine.output()) size += piece.iov_len;
      if (size == 0) return;
      written += size;
      engine.consume_output(size);
    }
  }

  Engine engine;
  bool echo = true;
  std::size_t events = 0;
  std::size_t written = 0;

 private:
  using Buffer = std::array<std::byte, 64 * kib>;
  std::unique_ptr<Buffer> buffer_ = std::make_unique<Buffer>();
};

}  // namespace tern::test
