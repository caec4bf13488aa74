#pragma once

#include "tern/unique_function.h"

#include "connection/registry.h"
#include "net/loop_core.h"

#include <cstddef>
#include <cstdint>
#include <deque>

namespace tern::server {

/// Calls functions for all connections of a worker, a part of the connections in each turn of the
/// loop. Thread: the worker's.
class Sweep final : private net::Watcher {
 public:
  using Function = UniqueFunction<void(connection::LiveConnection&)>;

  /// Throws std::bad_alloc.
  Sweep(net::LoopCore& core, connection::Registry& registry) : core_(core), registry_(registry) {}

  /// Begins to call `function`. Several functions follow each other. Throws std::bad_alloc.
  void add(Function function);

 private:
  struct Round {
    Function function;
    std::size_t next = 0;  // a slot of the registry
  };

  void on_ready(std::uint32_t events) noexcept override;

  net::LoopCore& core_;
  connection::Registry& registry_;
  std::deque<Round> rounds_{};
};

}  // namespace tern::server
