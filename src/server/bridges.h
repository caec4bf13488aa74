// All bridges of a server, and what the first worker does for them.
#pragma once

#include "tern/bridge.h"
#include "tern/observe.h"
#include "tern/unique_function.h"

#include "net/loop_core.h"
#include "server/bridge_line.h"
#include "topics/table.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tern::server {

class Core;

class Bridges final : private LineOwner, private net::Timer {
 public:
  explicit Bridges(Core& core) noexcept : core_(core) {}
  ~Bridges();
  Bridges(const Bridges&) = delete;
  Bridges& operator=(const Bridges&) = delete;

  /// Adds a bridge; null: the topics have none. Call it before the server runs. Throws
  /// std::bad_alloc.
  void add(std::unique_ptr<Bridge> bridge, BridgeOptions options);
  /// The reason why one of them can never work; empty if there is none. Throws std::bad_alloc.
  std::string problem() const;

  /// Begins a run: attaches all of them, or none. `loop` is that of the first worker, and the inbox
  /// of each worker is there. Errors: those of Bridge::attach(). Throws std::bad_alloc.
  Result<void> begin(net::LoopCore& loop, const std::vector<const topics::Inbox*>& inboxes);
  /// Ends the run. No worker runs any more.
  void end(std::chrono::nanoseconds deadline) noexcept;

  /// Throw std::bad_alloc. Thread: any.
  std::vector<BridgeStatus> statuses() const;
  void add_to(Counters& total) const;

  UniqueFunction<void(std::string_view, GapCause)> on_gap{};  // set before the server runs

 private:
  // LineOwner
  void wake() noexcept override;
  bool tell_history(const topics::TopicRef& topic, bool known) noexcept override;
  void log(LogLevel level, std::string_view line) noexcept override;
  // net::Timer
  void on_timer(net::Timer::time_point now) noexcept override;

  void serve() noexcept;
  void detach_all(std::chrono::nanoseconds deadline) noexcept;
  bool tell_gaps() noexcept;

  Core& core_;
  std::vector<std::shared_ptr<BridgeLine>> lines_{};  // the table has shares
  net::LoopCore* loop_ = nullptr;                     // during a run
  std::shared_ptr<net::Mailbox> mailbox_{};           // during a run
  std::atomic<bool> awake_{false};                    // serve() is posted
  bool gaps_untold_ = false;                          // to some worker. Thread: the first worker's
};

}  // namespace tern::server
