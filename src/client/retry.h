#pragma once

#include "tern/close.h"
#include "tern/error.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

// When a client tries again: rules without a clock and without random numbers of their own.

namespace tern::client {

/// The meaning of an end for the next attempt.
enum class Verdict : std::uint8_t {
  fatal,      ///< another attempt would end in the same way
  transient,  ///< another attempt may work
  failure,    ///< as transient, but the connection counts as a failure, however long it was open
};

/// Judges why an attempt failed.
Verdict judge(const Error& failure) noexcept;
/// Judges how an opened connection ended.
Verdict judge(const CloseInfo& end) noexcept;

/// The earliest time for the next attempt that a Retry-After field asks for: a number of seconds,
/// or a date that is compared with `now`. At most 10 minutes. Returns nothing if the field is empty
/// or malformed. RFC 9110 §10.2.3.
std::optional<std::chrono::nanoseconds> parse_retry_after(std::string_view field,
                                                          std::chrono::sys_seconds now) noexcept;

/// How long a client waits. Times are not negative.
struct BackoffOptions {
  std::chrono::nanoseconds first{};            ///< longest first wait after a failed attempt
  std::chrono::nanoseconds first_after_end{};  ///< longest first wait after an open connection
  std::chrono::nanoseconds most{};             ///< longest wait
  std::chrono::nanoseconds stable{};           ///< open for so long: failures are forgotten
  std::size_t attempts = 0;                    ///< most failures in a row; 0: no limit
};

/// Counts failures and says how long to wait: a random time between 100 ms and a limit that doubles
/// with each failure in a row ("full jitter", so that clients do not come back together).
class Backoff {
 public:
  /// The shortest wait, so that a server that accepts and closes at once is not flooded.
  static constexpr std::chrono::milliseconds floor{100};

  /// Lifetime: `options` must outlive this object.
  explicit Backoff(const BackoffOptions& options) noexcept : options_(&options) {}
  explicit Backoff(const BackoffOptions&&) = delete;

  /// An attempt failed. `random` is uniform over all its values; `at_least` is what the server asks
  /// for. Returns the time until the next attempt, or nothing if there were enough.
  std::optional<std::chrono::nanoseconds> after_failure(
      std::uint64_t random, std::chrono::nanoseconds at_least = {}) noexcept;
  /// A connection that was open for this time ended.
  std::optional<std::chrono::nanoseconds> after_end(Verdict verdict,
                                                    std::chrono::nanoseconds open_for,
                                                    std::uint64_t random) noexcept;
  /// Forgets the failures: the application says that the open connection works.
  void settle() noexcept { failures_ = 0; }
  /// Failures in a row.
  std::size_t failures() const noexcept { return failures_; }

 private:
  std::chrono::nanoseconds wait(std::chrono::nanoseconds first, std::size_t doublings,
                                std::uint64_t random) const noexcept;
  bool may_go_on() const noexcept {
    return options_->attempts == 0 || failures_ < options_->attempts;
  }

  const BackoffOptions* options_;
  std::size_t failures_ = 0;
};

}  // namespace tern::client
