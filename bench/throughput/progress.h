// What goes on, for whoever waits at a terminal.
#pragma once

#include "throughput/system.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace tern::bench {

/// One line on stderr, written over and over, wiped away at the end; nothing when stderr is not a
/// terminal.
class Progress {
 public:
  /// `wanted`: false shows nothing anywhere.
  explicit Progress(bool wanted = true) noexcept;
  ~Progress() { wipe(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const std::string& line);
  void wipe() noexcept;

 private:
  bool shows_;
  bool any_ = false;  // stands there
};

/// How often a measurement stops to show something: too seldom to be a part of what it measures.
inline constexpr std::chrono::milliseconds progress_every{100};

/// "1.2 of 3.0 s, 48211 replies".
std::string progress_text(Seconds passed, Seconds all, std::uint64_t count,
                          const std::string& of_what);

}  // namespace tern::bench
