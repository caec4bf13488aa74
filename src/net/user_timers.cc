// Implements timers that the application names by number. While its function runs, an entry is not
// in the table, so the function may cancel any timer, even its own, and is not destroyed meanwhile.
// A repeating timer returns to the table afterwards unless it was cancelled.
#include "net/user_timers.h"

#include "base/later.h"

#include <algorithm>
#include <utility>

namespace tern::net {

class UserTimers::Entry final : public Timer {
 public:
  Entry(UserTimers& owner, time_point due, Loop::Duration interval, Function function) noexcept
      : owner_(owner), due_(due), interval_(interval), function_(std::move(function)) {}
  ~Entry() { owner_.core_.timers().cancel(*this); }

  void on_timer(time_point now) noexcept override { owner_.fire(*this, now); }
  void call() noexcept { owner_.core_.call_user(function_); }

  /// Arms a repeating timer for its next time in the future, and skips the times that it missed.
  void arm_next(time_point now) {
    const Loop::Duration missed = now - due_;
    due_ = base::later(due_, missed - missed % interval_);
    due_ = base::later(due_, interval_);
    owner_.core_.timers().arm(*this, due_);
  }
  void arm() { owner_.core_.timers().arm(*this, due_); }

  bool repeats() const noexcept { return interval_.count() > 0; }
  std::uint64_t id() const noexcept { return id_; }
  void set_id(std::uint64_t id) noexcept { id_ = id; }

 private:
  UserTimers& owner_;
  time_point due_;
  Loop::Duration interval_;  // 0: once
  std::uint64_t id_ = 0;
  Function function_;
};

UserTimers::UserTimers(LoopCore& core) noexcept : core_(core) {}

UserTimers::~UserTimers() { clear(); }

void UserTimers::clear() noexcept {
  // One at a time, because the destructors of captured objects may cancel or start timers.
  while (!entries_.empty()) {
    const auto first = entries_.extract(entries_.begin());
  }
}

TimerId UserTimers::after(Loop::Duration delay, Function function) {
  // The delay starts at the time of the clock, not at now(), because a long handler would otherwise
  // make the timer early.
  const auto due = base::later(core_.clock(), std::max(delay, Loop::Duration(0)));
  return add(std::make_unique<Entry>(*this, due, Loop::Duration(0), std::move(function)));
}

TimerId UserTimers::every(Loop::Duration interval, Function function) {
  interval = std::max(interval, Loop::Duration(1));
  const auto due = base::later(core_.clock(), interval);
  return add(std::make_unique<Entry>(*this, due, interval, std::move(function)));
}

TimerId UserTimers::add(std::unique_ptr<Entry> entry) {
  core_.assert_thread();
  entry->arm();
  entry->set_id(++last_id_);
  entries_.emplace(last_id_, std::move(entry));
  return TimerId{last_id_};
}

bool UserTimers::cancel(TimerId id) noexcept {
  core_.assert_thread();
  const auto found = entries_.find(static_cast<std::uint64_t>(id));
  if (found == entries_.end()) return false;
  const auto node = entries_.extract(found);  // destroyed last: see clear()
  return true;
}

void UserTimers::fire(Entry& entry, Timer::time_point now) noexcept {
  const auto found = entries_.find(entry.id());
  std::unique_ptr<Entry> held = std::move(found->second);
  if (!held->repeats()) {
    entries_.erase(found);
    held->call();
    return;
  }
  // The timer is armed before the call. Its place in the heap is still free, so this needs no
  // memory.
  held->arm_next(now);
  const std::uint64_t id = held->id();
  held->call();
  if (const auto still = entries_.find(id); still != entries_.end()) {
    still->second = std::move(held);
  }
}

}  // namespace tern::net
