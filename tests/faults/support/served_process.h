// A program of this tree under attack: what it holds is read from /proc, and the aftermath is that
// of any other row. Heap blocks of another process cannot be counted; its resident memory can.
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

/// build/bin/echo_server, and what it held before.
class AttackedProgram : public EchoServer {
 public:
  /// `echoes(port)`: 1 001 when all is well.
  using Echoes = std::function<std::size_t(std::uint16_t port)>;

  explicit AttackedProgram(const std::vector<std::string>& flags = {}, Echoes echoes = plain())
      : EchoServer(flags), echoes_(std::move(echoes)) {
    take_level();
  }

  /// The level is that of now from here on.
  void take_level() {
    EXPECT_EQ(echoes_(port()), 1'001u);
    base_ = settled();
    resident_ = resident_bytes(pid());
  }
  /// What its resident memory has grown by since.
  std::size_t grown() const {
    const std::size_t now = resident_bytes(pid());
    return now > resident_ ? now - resident_ : 0;
  }
  void expect_fired(std::uint64_t fired) {
    EXPECT_GE(fired, 1u) << "no fault fired: nothing is shown";
    fired_ = fired_ || fired > 0;
  }
  /// Echoes, as many descriptors as before, and a proper end.
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

  // The last connection of the echoes is closed a little later than its peer sees it.
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
