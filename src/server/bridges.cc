// Bridges call from threads of their own. What concerns the application or takes time is done in
// the loop of the first worker: it tells gaps, ends interests, and gives up questions.
#include "server/bridges.h"

#include "connection/dispatch.h"
#include "net/all_signals_blocked.h"
#include "server/core.h"
#include "server/worker.h"

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <utility>

namespace tern::server {

// In a child of fork() the parent runs the bridges, and this process has none of their threads. So
// their copies are not destroyed.
Bridges::~Bridges() {
  if (loop_ != nullptr) static_cast<void>(new (std::nothrow) std::vector(std::move(lines_)));
}

void Bridges::add(std::unique_ptr<Bridge> bridge, BridgeOptions options) {
  const std::string topics = options.topics;
  if (bridge == nullptr) return core_.topics->add_outlet(topics, nullptr);
  lines_.push_back(
      std::make_shared<BridgeLine>(std::move(bridge), std::move(options), *core_.topics));
  core_.topics->add_outlet(topics, lines_.back());
}

std::string Bridges::problem() const {
  for (const auto& line : lines_) {
    if (std::string why = line->problem(); !why.empty()) return why;
  }
  return {};
}

Result<void> Bridges::begin(net::LoopCore& loop, const std::vector<const topics::Inbox*>& inboxes) {
  if (lines_.empty()) return {};
  loop_ = &loop;
  mailbox_ = loop.mailbox();
  awake_ = false;
  gaps_untold_ = false;
  for (const auto& line : lines_) {
    if (auto begun = line->begin(inboxes, *this); !begun) {
      return Error(begun.error().code(), "bridge of \"" + line->options().topics + '"');
    }
  }
  return {};
}

// A bridge whose broker hangs takes the whole time, so all of them end at the same time. Without
// memory or threads they end one after another.
void Bridges::detach_all(std::chrono::nanoseconds deadline) noexcept {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  std::size_t next = 1;
  try {
    const net::AllSignalsBlocked blocked;
    others.reserve(lines_.size());
    for (; next < lines_.size(); ++next) {
      others.emplace_back([line = lines_[next].get(), deadline] { line->detach(deadline); });
    }
  } catch (const std::exception&) {  // of the memory or of the system
  }
  lines_.front()->detach(deadline);
  for (; next < lines_.size(); ++next) {
    const auto left = deadline - (std::chrono::steady_clock::now() - start);
    lines_[next]->detach(std::max(left, std::chrono::nanoseconds(0)));
  }
  for (std::thread& other : others) other.join();
}

void Bridges::end(std::chrono::nanoseconds deadline) noexcept {
  if (loop_ == nullptr) return;
  detach_all(deadline);
  for (const auto& line : lines_) line->end();
  loop_->timers().cancel(*this);
  loop_ = nullptr;
  mailbox_.reset();
}

std::vector<BridgeStatus> Bridges::statuses() const {
  std::vector<BridgeStatus> all;
  for (const auto& line : lines_) all.push_back(line->status());
  return all;
}

void Bridges::add_to(Counters& total) const {
  for (const auto& line : lines_) total.bridges.push_back(line->counters());
}

// The bounds of the mailbox do not count, because at most one post of this waits. Without memory
// the next call tries again.
void Bridges::wake() noexcept {
  if (awake_.exchange(true)) return;
  if (!mailbox_->post([this] { serve(); }, {.bounded = false})) awake_ = false;
}

bool Bridges::tell_history(const topics::TopicRef& topic, bool known) noexcept {
  return core_.tell_history(topic, known);
}

void Bridges::log(LogLevel level, std::string_view line) noexcept {
  connection::log(core_.options.log, level, line);
}

void Bridges::on_timer(net::Timer::time_point) noexcept { serve(); }

void Bridges::serve() noexcept {
  constexpr std::chrono::milliseconds wait_for_memory(10);
  awake_ = false;
  if (loop_ == nullptr) return;
  if (!tell_gaps()) wake();
  net::Timer::time_point next = net::Timer::time_point::max();
  for (const auto& line : lines_) next = std::min(next, line->serve(loop_->now()));
  if (gaps_untold_) next = std::min(next, loop_->now() + wait_for_memory);
  try {
    loop_->timers().arm(*this, next);
  } catch (const std::bad_alloc&) {  // the next wake() tries again
  }
}

// Calls code of the application, for a millisecond. Then all connections hear of the gaps, a part
// of them in each turn. Returns whether all are told.
bool Bridges::tell_gaps() noexcept {
  constexpr std::chrono::milliseconds max_time(1);
  const auto end = std::chrono::steady_clock::now() + max_time;
  bool found = false;
  bool all = true;
  for (const auto& line : lines_) {
    while (const BridgeLine::Gap gap = line->take_gap()) {
      found = true;
      if (on_gap) loop_->call_user(on_gap, gap.topic->name(), gap.cause);
      if (std::chrono::steady_clock::now() < end) continue;
      all = false;
      break;
    }
  }
  if (found || gaps_untold_) gaps_untold_ = !core_.tell_bridge_gaps();
  return all;
}

}  // namespace tern::server
