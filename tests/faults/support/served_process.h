// A program of this tree under attack. Its resources are read from /proc, and its aftermath is that
// of any other row. The heap blocks of another process cannot be counted, so resident memory takes
// their place.
#pragma once

#include "faults/support/aftermath.h"
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "support/process.h"

#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

/// build/bin/echo_server, and the resources that it held before the attack.
class AttackedProgram : public EchoServer {
 public:
  /// `echoes(port)` must return 1 001.
  using Echoes = std::function<std::size_t(std::uint16_t port)>;

  explicit AttackedProgram(const std::vector<std::string>& flags = {}, Echoes echoes = plain())
      : EchoServer(flags), echoes_(std::move(echoes)) {
    take_level();
  }

  /// Takes the level again. Later comparisons use this one.
  void take_level() {
    EXPECT_EQ(echoes_(port()), 1'001u);
    base_ = settled();
    resident_ = resident_bytes(pid());
  }
  /// The growth of its resident memory since the level, in bytes.
  std::size_t grown() const {
    const std::size_t now = resident_bytes(pid());
    return now > resident_ ? now - resident_ : 0;
  }
  void expect_fired(std::uint64_t fired) {
    EXPECT_GE(fired, 1u) << "no fault fired: the test proves nothing";
    fired_ = fired_ || fired > 0;
  }
  /// Expects that it echoes, holds as many descriptors as before, and ends with exit code 0.
  void expect_clean_end() {
    EXPECT_TRUE(fired_) << "no fault fired";
    EXPECT_EQ(echoes_(port()), 1'001u) << "echoes and a close";
    EXPECT_TRUE(eventually([&] { return descriptors_of(pid()) == base_; }))
        << descriptors_of(pid()) << " descriptors, " << base_ << " before";
    signal(SIGTERM);
    EXPECT_EQ(exit_code(), 0) << err();
  }

 private:
  static Echoes plain() {
    return [](std::uint16_t port) { return clean_echoes(port); };
  }

  // The server closes the last connection of the echoes a little later than its peer sees the end.
  std::size_t settled() const {
    std::size_t count = descriptors_of(pid());
    for (int same = 0; same < 20; ++same) {
      ::poll(nullptr, 0, 2);
      const std::size_t next = descriptors_of(pid());
      if (next != count) same = 0;
      count = next;
    }
    return count;
  }

  const Echoes echoes_;
  std::size_t base_ = 0;
  std::size_t resident_ = 0;
  bool fired_ = false;
};

}  // namespace tern::test
