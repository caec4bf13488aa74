// The progress of a peer: how many bytes its system acknowledged, and how long a deadline waits for
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tern {

/// The bytes that were written to a socket. They are counted as they travel: over TLS they are its
/// records.
struct PeerProgress {
  std::uint32_t acknowledged = 0;  ///< by the peer's system since the start, modulo 2^32
  std::uint32_t waiting = 0;       ///< written and not acknowledged yet
};

namespace base {

/// A time limit that moves while the peer takes bytes. Each byte gives 1/rate seconds more, up to
/// the whole limit from now. So a peer that takes bytes at that rate or faster never reaches its
/// limit, and a peer that takes single bytes gains nearly nothing. Eight looks divide one limit, so
/// a peer that stops is found at most an eighth of the limit late.
class Patience {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  /// Which bytes are a sign of life.
  enum class Counts : std::uint8_t {
    all,       ///< each byte that the peer acknowledges
    question,  ///< bytes written before the first look: a question follows them
  };

  /// Starts the limit now.
  void start(TimePoint now) noexcept { *this = Patience(now); }
  /// Starts the limit now and keeps the state of deliveries, for a limit that does not use them.
  void restart(TimePoint now) noexcept { since_ = now; }
  TimePoint since() const noexcept { return since_; }

  /// The time at which look() is due, or is_over() if the driver does not report deliveries
  /// (`reports_delivery` is false). TimePoint::max() for a limit of Duration::max().
  TimePoint next_look(Duration limit, bool reports_delivery) const noexcept;
  /// Credits `bytes` that the peer took. `rate` is in bytes per second; 0: one byte gives the whole
  /// limit.
  void credit(TimePoint now, std::size_t bytes, std::size_t rate) noexcept;
  /// Credits the bytes that the peer has acknowledged since the last look.
  void look(TimePoint now, PeerProgress delivery, Duration limit, std::size_t rate,
            Counts counts) noexcept;
  bool is_over(TimePoint now, Duration limit) const noexcept;
  /// Moves the end of the limit to `end` or later, but not beyond one whole limit from now.
  /// Returns false and has no effect if this was granted three times since the start, or since the
  /// peer last took bytes at the rate.
  bool postpone(TimePoint now, TimePoint end, Duration limit) noexcept;

  Patience() noexcept = default;

 private:
  explicit Patience(TimePoint since) noexcept : since_(since) {}

  TimePoint since_ = TimePoint::min();
  std::uint32_t acknowledged_ = 0;  // at the last look
  std::uint32_t ahead_ : 26 = 0;    // at the last look: bytes that count and were not acknowledged
  std::uint32_t postponed_ : 2 = 0;
  std::uint32_t looks_ : 3 = 0;  // eighths of the limit that have passed
  std::uint32_t known_ : 1 = 0;  // there was a look
};

static_assert(sizeof(Patience) == 16);

}  // namespace base
}  // namespace tern
