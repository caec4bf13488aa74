#pragma once

#include "tern/bridge.h"
#include "tern/unique_function.h"

#include "bridge/driver.h"
#include "bridge/link.h"
#include "bridge/queue.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tern::bridge {

/// The counts of a driver. Any thread reads them.
struct MachineCounts {
  std::atomic<bool> up{false};
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> dropped_down{0};
  std::atomic<std::uint64_t> wanted{0};
  std::atomic<std::uint64_t> probe_microseconds{0};
};

/// The clock and the random numbers of a machine, so that tests have their own.
struct MachineSources {
  UniqueFunction<TimePoint()> now;         // any thread
  UniqueFunction<std::uint64_t()> random;  // uniform over all values
};

/// The states of a driver, without its thread: connects, waits, subscribes, publishes, notices a
/// dead connection. Thread: one for all functions; the link's for the events.
class Machine final : private LinkEvents {
 public:
  /// All of them must outlive the machine. `sources` may change no more.
  Machine(Link& link, Queue& queue, MachineCounts& counts, MachineSources& sources,
          BridgeSink& sink, const BridgeOptions& bridge, const DriverOptions& options);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  /// Does what is due. While it is connected, it waits in Link::poll(), at most until the next
  /// time at which something is due, or until the queue's wake_fd() is readable. While it is not
  /// connected, it does not wait, and returns the time until which the caller should.
  TimePoint step() noexcept;
  /// Sends what waits, if it is connected, and ends the connection.
  void finish(TimePoint deadline) noexcept;
  bool is_up() const noexcept { return up_; }

 private:
  // LinkEvents
  void on_publication(std::string_view topic, Message message, const Origin& origin,
                      std::optional<Position> position) noexcept override;
  void on_history(std::string_view topic, const BridgeHistory& answer) noexcept override;
  void on_gap(std::string_view topic, GapCause cause) noexcept override;
  void on_refused(std::string_view why) noexcept override { sink_.refused(why); }
  void on_alive() noexcept override { heard_.store(true, std::memory_order_relaxed); }
  void on_probe() noexcept override;
  void log(LogLevel level, std::string_view line) noexcept override { sink_.log(level, line); }

  struct Wanted {
    bool subscribed = false;
    bool missed = false;  // publications may be missing since the last time
  };

  TimePoint step_down(TimePoint now);
  void step_up();
  void connect();
  Result<void> subscribe_wanted();
  void report_missed() noexcept;
  void lose(std::string_view why) noexcept;
  void plan_attempt(TimePoint now) noexcept;
  void drop_held() noexcept;
  void drop_publications() noexcept;
  void sort_commands();
  void want(const Command& command);
  Result<void> run_commands(TimePoint end);
  Result<void> run(Command& command);
  Result<void> publish(const Command& command);
  Result<void> ask(const Command& command);
  void answer_nothing(std::string_view topic) noexcept;
  void fail_questions() noexcept;
  void release_done() noexcept;
  Result<void> judge();
  Result<void> check_life(TimePoint now);
  TimePoint next_check() const noexcept;
  std::chrono::milliseconds time_to_poll() const noexcept;

  Link& link_;
  Queue& queue_;
  MachineCounts& counts_;
  MachineSources& sources_;
  BridgeSink& sink_;
  const BridgeOptions bridge_;
  const DriverOptions options_;

  std::unordered_map<std::string, Wanted> wanted_{};
  std::mutex questions_mutex_{};
  std::deque<std::string> questions_{};  // guarded by it: topics whose history was asked for
  CommandList commands_{};               // taken from the queue, and not done
  std::size_t done_bytes_ = 0;           // of publications that are to be released
  std::size_t server_ = 0;               // in the list: this one, or the next to try
  unsigned failures_ = 0;                // in a row
  bool up_ = false;
  bool was_up_ = false;   // once
  bool refuses_ = false;  // what waited for a broker was dropped
  TimePoint connected_at_{};
  TimePoint down_since_{};
  TimePoint next_attempt_{};
  TimePoint last_heard_{};
  TimePoint last_publication_{};
  std::atomic<TimePoint::rep> probed_at_{0};
  unsigned pings_ = 0;    // without an answer
  bool probing_ = false;  // a probe is under way
  std::atomic<bool> heard_{false};
  std::atomic<bool> publication_heard_{false};
};

}  // namespace tern::bridge
