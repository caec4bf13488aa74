// The publications that the broker of a bridge refuses.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tern::server {

/// Counts them, and limits the lines of the log. Thread: any.
class Refusals {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes period{1};
  /// Beyond it all other kinds are one.
  static constexpr std::size_t max_kinds = 8;

  /// Counts one. The first word of `why` is its kind. Returns the end of a line for the log; empty
  /// if such a line was returned for this kind within the period. Throws std::bad_alloc.
  std::string add(std::string_view why, TimePoint now);
  std::uint64_t total() const noexcept;
  /// Returns the last reason; empty if it is older than the period. Throws std::bad_alloc.
  std::string last(TimePoint now) const;

 private:
  struct Kind {
    std::string word;
    TimePoint next_line;
  };

  bool is_due(std::string_view why, TimePoint now);

  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  std::uint64_t total_ = 0;
  std::vector<Kind> kinds_{};
  std::string last_{};
  TimePoint last_at_{};
};

}  // namespace tern::server
