// An engine without its driver, for tests of states that a driver would end too early.
#pragma once

#include "support/engine_peer.h"

#include <gtest/gtest.h>
#include <span>
#include <string>
#include <vector>

namespace tern::test {

inline bool contains(std::span<const std::byte> range, const iovec& piece) {
  const auto* begin = static_cast<const std::byte*>(piece.iov_base);
  return begin >= range.data() && begin + piece.iov_len <= range.data() + range.size();
}

/// How many bytes of the output lie inside of `range`.
inline std::size_t referenced(Engine& engine, std::span<const std::byte> range) {
  std::size_t result = 0;
  for (const iovec& piece : engine.output()) result += contains(range, piece) ? piece.iov_len : 0;
  return result;
}

/// An open engine, the memory that it borrows, and its options.
struct Bare {
  explicit Bare(Role role, EngineOptions given = {}) : us(role), options(given) {
    engine.tick(Engine::TimePoint() + 1h);
    EXPECT_EQ(engine.next().kind(), Event::Kind::open);
  }
  std::span<std::byte> lend(const std::vector<Frame>& frames) {
    lent = wire(us == Role::server ? Role::client : Role::server, frames);
    return std::as_writable_bytes(std::span(lent));
  }
  std::string write(std::size_t most = Peer::all) {
    std::string result;
    for (const iovec& piece : engine.output()) {
      result.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    result.resize(std::min(most, result.size()));
    engine.consume_output(result.size());
    return result;
  }

  Role us;
  EngineOptions options;
  Workspace workspace{};
  std::string lent{};
  Engine engine = *Engine::established(us, {}, options, workspace);
};

}  // namespace tern::test
