// The common part of the programs whose connections share one tern::Loop.
#pragma once

#include "tern/close.h"
#include "tern/loop.h"

#include "clients/client_program.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tern::bench {

/// State that all connections share. They report their results here.
struct LoopLoad {
  explicit LoopLoad(const ClientOptions& asked)
      : options(asked),
        payload(asked),
        measurement(asked),
        loop({.on_exception = [this](std::string_view what) { fail(what); }}) {}

  /// The measurement begins when the last connection is open.
  void on_open() {
    if (++opened < options.connections) return;
    loop.every(Measurement::interval, [this] {
      if (measurement.is_over(replies)) loop.stop();
    });
  }

  void fail(std::string_view what) {
    if (failure.empty()) failure = what;
    loop.stop();
  }

  /// Runs to the end of the measurement. Throws std::runtime_error if a connection failed.
  void run() {
    loop.run().value();
    if (!failure.empty()) throw std::runtime_error(failure);
  }

  const ClientOptions& options;
  Payload payload;
  Measurement measurement;
  Loop loop;
  std::size_t opened = 0;
  std::uint64_t replies = 0;
  std::string failure{};
};

inline std::string explain(const CloseInfo& end) {
  const std::string why = end.error ? end.error.message() : end.reason;
  return "a connection ended with " + std::to_string(static_cast<int>(end.code)) + ": " + why;
}

}  // namespace tern::bench
