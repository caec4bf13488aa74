// Interest, publications and the state of a bridge. Gaps are in bridge_gaps.cc, questions for
// histories in bridge_questions.cc, and their answers in bridge_history.cc.
//
// The interest of a topic begins under the lock of the topic, in the thread that subscribes. So a
// publication that this thread makes afterwards is behind it in the bridge's queue, and reaches the
// subscriber. The end of an interest has no such order: the first worker tells it later.
#include "server/bridge_line.h"

#include "connection/publishing.h"
#include "topics/arrival.h"
#include "topics/topic_state.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::server {

using topics::Bridged;
using topics::Placed;
using topics::Source;
using topics::Table;
using topics::TopicRef;
using topics::TopicState;

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// Origin::connection: a bit that is set, the worker, the generation and the slot.
constexpr unsigned slot_bits = 26;
constexpr unsigned generation_bits = 24;
constexpr unsigned worker_bits = 13;
constexpr std::uint64_t valid_bit = std::uint64_t{1} << 63;

constexpr std::uint64_t mask(unsigned bits) noexcept { return (std::uint64_t{1} << bits) - 1; }

}  // namespace

BridgeLine::BridgeLine(std::unique_ptr<Bridge> bridge, BridgeOptions options, Table& table)
    : bridge_(std::move(bridge)),
      options_(std::move(options)),
      table_(table),
      durable_(bridge_ != nullptr && bridge_->is_durable()) {}

BridgeLine::~BridgeLine() = default;

std::string BridgeLine::problem() const {
  const std::string name = "bridge of \"" + options_.topics + "\": ";
  if (bridge_ == nullptr) return name + "it is null";
  if (std::string why = bridge_->problem(); !why.empty()) return name + why;
  constexpr std::chrono::nanoseconds none(0);
  if (options_.buffer_time < none || options_.gap_spread < none || options_.linger < none ||
      options_.history_time <= none) {
    return name + "a time is negative, or history_time is 0";
  }
  if (durable_ && options_.while_down == WhileDown::local) {
    return name + "WhileDown::local does not fit a durable bridge, because the broker numbers";
  }
  if (options_.on_gap == GapPolicy::retained && !table_.keeps_history(options_.topics)) {
    return name +
           "GapPolicy::retained needs topics with a history: give them one by Server::topics(), "
           "TopicOptions::history, or choose another policy";
  }
  if (!is_local_first()) return {};
  if (durable_) return name + "Order::local_first does not fit a durable bridge";
  if (table_.keeps_history(options_.topics)) {
    return name +
           "Order::local_first does not fit topics with a history, because their order and "
           "their last values would differ between servers";
  }
  return {};
}

Result<void> BridgeLine::begin(std::vector<const topics::Inbox*> inboxes, LineOwner& owner) {
  inboxes_ = std::move(inboxes);
  owner_ = &owner;
  server_ = Table::draw_epoch();
  state_ = BridgeState::connecting;
  {
    const std::lock_guard lock(mutex_);
    why_.clear();
  }
  runs_ = true;
  Result<void> attached = bridge_->attach(*this, options_);
  if (!attached) runs_ = false;
  return attached;
}

void BridgeLine::detach(std::chrono::nanoseconds deadline) noexcept {
  if (!runs_.exchange(false)) return;
  bridge_->detach(deadline);
  state_ = BridgeState::down;
}

void BridgeLine::end() noexcept {
  Questions questions;  // destroyed without the lock, because they have shares of topics
  Questions late;
  {
    const std::lock_guard lock(mutex_);
    new_questions_.clear();
    open_questions_.clear();
    new_waiting_.clear();
    for (QuestionList& level : waiting_) level.clear();
    questions_.swap(questions);
    late_.swap(late);
    held_bytes_ = 0;
    healing_ = 0;
  }
  for (;;) {
    TopicRef topic;
    {
      const std::lock_guard lock(mutex_);
      LingerList& list = left_.empty() ? lingering_ : left_;
      if (list.empty()) break;
      topic = TopicRef(&list.pop_front().topic);
    }
    topic->end_interest(Table::draw_epoch());
  }
  while (take_gap()) {
  }
  for (;;) {  // no worker is left
    TopicRef topic;
    const std::lock_guard lock(mutex_);
    if (untold_.empty()) return;
    topic = TopicRef(&untold_.pop_front().topic);
  }
}

// ---- interest

// A topic that lingers is still wanted.
bool BridgeLine::on_first(TopicState& topic) noexcept {
  Bridged& bridged = *topic.bridged();
  if (!bridged.wanted) {
    if (runs_.load(relaxed) && !bridge_->interest(topic.name(), true)) return false;
    bridged.wanted = true;
    return true;
  }
  bool lingered = false;
  {
    const std::lock_guard lock(mutex_);
    auto& hook = static_cast<base::ListHook<topics::LingerTag>&>(bridged);
    lingered = hook.linked();
    if (lingered) hook.unlink();
  }
  if (lingered) static_cast<void>(topic.release_unless_last());  // the subscriber has a share
  return true;
}

void BridgeLine::on_last(TopicState& topic) noexcept {
  Bridged& bridged = *topic.bridged();
  if (!bridged.wanted) return;
  {
    const std::lock_guard lock(mutex_);
    auto& hook = static_cast<base::ListHook<topics::LingerTag>&>(bridged);
    if (hook.linked()) return;
    topic.retain();
    left_.push_back(bridged);
  }
  if (runs_.load(relaxed)) owner_->wake();
}

bool BridgeLine::end_interest(TopicState& topic) noexcept {
  Bridged& bridged = *topic.bridged();
  {
    const std::lock_guard lock(mutex_);
    auto& hook = static_cast<base::ListHook<topics::LingerTag>&>(bridged);
    if (hook.linked()) return true;  // a subscriber came and left again
  }
  if (runs_.load(relaxed) && !bridge_->interest(topic.name(), false)) return false;
  bridged.wanted = false;
  return true;
}

BridgeLine::TimePoint BridgeLine::serve(TimePoint now) noexcept {
  return std::min({end_lingering(now), end_questions(now), send_waiting(now), tell_untold(now)});
}

void BridgeLine::linger(Bridged& bridged, TimePoint now) noexcept {
  bridged.linger_end =
      now + std::min<std::chrono::nanoseconds>(options_.linger, std::chrono::hours(1));
  lingering_.push_back(bridged);
}

// All linger for the same time, so the first one ends first. A call ends a part of them, because a
// connection with many subscriptions may have left all of them at once.
BridgeLine::TimePoint BridgeLine::end_lingering(TimePoint now) noexcept {
  constexpr int max_ended = 256;
  for (int ended = 0;; ++ended) {
    TopicRef topic;
    {
      const std::lock_guard lock(mutex_);
      while (!left_.empty()) linger(left_.pop_front(), now);
      if (lingering_.empty()) return TimePoint::max();
      const TimePoint end = lingering_.front().linger_end;
      if (end > now || ended == max_ended) return end;
      topic = TopicRef(&lingering_.pop_front().topic);
    }
    if (topic->end_interest(Table::draw_epoch())) continue;
    const std::lock_guard lock(mutex_);  // memory is out: once more, later
    auto& hook = static_cast<base::ListHook<topics::LingerTag>&>(*topic->bridged());
    if (!hook.linked()) {
      linger(*topic->bridged(), now);
      static_cast<void>(topic.detach());
    }
  }
}

// ---- publications

Origin BridgeLine::origin_of(const Source& source) const noexcept {
  Origin origin{.server = server_};
  if (source.inbox == nullptr || source.place == Source::none) return origin;
  const auto found = std::ranges::find(inboxes_, source.inbox);
  const auto worker = static_cast<std::uint64_t>(found - inboxes_.begin());
  const std::uint64_t slot = source.place & 0xFFFF'FFFF;
  const std::uint64_t generation = source.place >> 32;
  if (found == inboxes_.end() || worker > mask(worker_bits) || slot > mask(slot_bits) ||
      generation > mask(generation_bits)) {
    return origin;
  }
  origin.connection =
      valid_bit | worker << (slot_bits + generation_bits) | generation << slot_bits | slot;
  return origin;
}

Source BridgeLine::source_of(const Origin& origin) const noexcept {
  if (origin.server != server_ || (origin.connection & valid_bit) == 0) return {};
  const std::uint64_t slot = origin.connection & mask(slot_bits);
  const std::uint64_t generation = origin.connection >> slot_bits & mask(generation_bits);
  const std::uint64_t worker =
      origin.connection >> (slot_bits + generation_bits) & mask(worker_bits);
  if (worker >= inboxes_.size()) return {};
  return {inboxes_[worker], generation << 32 | slot};
}

std::optional<PublishStatus> BridgeLine::publish(std::string_view topic,
                                                 const SharedMessage& message,
                                                 const Source& source) noexcept {
  if (!runs_.load(relaxed)) {
    if (options_.while_down == WhileDown::local) return {};
    return PublishStatus::bridge_down;
  }
  const PublishStatus status = bridge_->publish(topic, message, origin_of(source));
  const bool down = status == PublishStatus::bridge_down || status == PublishStatus::stopped;
  if (!down) return status;
  if (options_.while_down == WhileDown::local) return {};
  return PublishStatus::bridge_down;
}

Placed BridgeLine::place(TopicState& topic, Message message, const Origin& origin,
                         std::optional<Position> position) noexcept {
  const Placed placed =
      connection::publish_from_outlet(topic, message, source_of(origin), position);
  if (placed == Placed::published) delivered_.fetch_add(1, relaxed);
  if (placed == Placed::repeated) repeated_.fetch_add(1, relaxed);
  if (placed == Placed::full) dropped_full_.fetch_add(1, relaxed);
  return placed;
}

void BridgeLine::deliver(std::string_view topic, Message message, const Origin& origin,
                         std::optional<Position> position) noexcept {
  if (!runs_.load(relaxed)) return;
  if (is_local_first() && origin.server == server_) {
    echoes_.fetch_add(1, relaxed);
    return;
  }
  const TopicRef found = table_.find(topic);
  if (!found || found->bridged() == nullptr || &found->bridged()->outlet != this) return;
  if (message.size() > table_.max_message_bytes()) return report(*found, GapCause::lost);
  if (durable_ && hold(topic, message, origin, position, Holds::if_asked)) return;
  switch (place(*found, message, origin, position)) {
    case Placed::published:
    case Placed::repeated:
    case Placed::unwanted:
      return;
    case Placed::hole:
      return start_healing(*found, GapCause::lost, message, origin, *position);
    case Placed::full:
      return report(*found, GapCause::too_slow);
  }
}

// ---- state

void BridgeLine::state(BridgeState state, std::string_view why) noexcept {
  if (!runs_.load(relaxed)) return;
  bool changed = state_.exchange(state) != state;
  try {
    const std::lock_guard lock(mutex_);
    if (why_ != why) {
      why_ = why;
      changed = true;
    }
  } catch (const std::bad_alloc&) {  // the old text stays
  }
  if (!changed) return;
  if (state == BridgeState::up) ask_numbers();
  try {
    const std::string what = state == BridgeState::up ? " is up: " : " has no broker: ";
    owner_->log(state == BridgeState::up ? LogLevel::info : LogLevel::error,
                "the bridge of \"" + options_.topics + '"' + what + std::string(why));
  } catch (const std::bad_alloc&) {  // the line is dropped
  }
}

void BridgeLine::refused(std::string_view why) noexcept {
  if (!runs_.load(relaxed)) return;
  try {
    const std::string line = refusals_.add(why, std::chrono::steady_clock::now());
    if (line.empty()) return;
    owner_->log(LogLevel::error, "the broker of \"" + options_.topics + "\" " + line);
  } catch (const std::bad_alloc&) {  // it is counted
  }
}

void BridgeLine::log(LogLevel level, std::string_view line) noexcept {
  if (runs_.load(relaxed)) owner_->log(level, line);
}

// ---- for people

BridgeStatus BridgeLine::status() const {
  const std::lock_guard lock(mutex_);
  return {.topics = options_.topics,
          .state = state_.load(),
          .why = why_,
          .refused = refusals_.total(),
          .refusal = refusals_.last(std::chrono::steady_clock::now())};
}

BridgeCounters BridgeLine::counters() const {
  BridgeCounters counters = bridge_ != nullptr ? bridge_->counters() : BridgeCounters();
  counters.topics = options_.topics;
  counters.up = state_.load() == BridgeState::up;
  counters.delivered = delivered_;
  counters.echoes = echoes_;
  counters.repeated = repeated_;
  counters.dropped_full = dropped_full_;
  counters.refused_broker = refusals_.total();
  counters.gaps = gaps_;
  counters.healed = healed_;
  counters.histories = histories_;
  return counters;
}

}  // namespace tern::server
