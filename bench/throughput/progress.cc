// Replaces one line of a terminal. Without a terminal nothing is shown.
#include "throughput/progress.h"

#include <cstdio>
#include <unistd.h>

namespace tern::bench {

Progress::Progress(bool wanted) noexcept : shows_(wanted && ::isatty(STDERR_FILENO) != 0) {}

void Progress::show(const std::string& line) {
  if (!shows_) return;
  any_ = true;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
}

void Progress::wipe() noexcept {
  if (any_) std::fputs("\r\033[K", stderr);
  any_ = false;
}

std::string progress_text(Seconds passed, Seconds all, std::uint64_t count,
                          const std::string& of_what) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f of %.1f s, %llu ", passed.count(), all.count(),
                static_cast<unsigned long long>(count));
  return text + of_what;
}

}  // namespace tern::bench
