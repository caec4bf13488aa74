// Shows the progress on a terminal.
#pragma once

#include "throughput/system.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace tern::bench {

/// One line on stderr that each call replaces and the destructor removes. If stderr is not a
/// terminal, it prints nothing.
class Progress {
 public:
  /// With `wanted` false it never prints anything.
  explicit Progress(bool wanted = true) noexcept;
  ~Progress() { wipe(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const std::string& line);
  void wipe() noexcept;

 private:
  bool shows_;
  bool any_ = false;  // a line is on the terminal
};

/// The time between two updates of the line: long enough that they do not affect the measurement.
inline constexpr std::chrono::milliseconds progress_every{100};

/// "1.2 of 3.0 s, 48211 replies".
std::string progress_text(Seconds passed, Seconds all, std::uint64_t count,
                          const std::string& of_what);

}  // namespace tern::bench
