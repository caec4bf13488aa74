// Topics by name, in shards with a lock each. A topic exists while it has a reference. The count
// becomes 0 only under the lock of its shard, so find() never returns a topic that is being
// destroyed. Lists of the table (histories, changes) hold a reference of each topic on them.
//
// Histories that are too old go in two ways. A publication that a history takes looks at one rule,
// each time at the next one. A name that finds max_topics topics looks at all rules. Both look only
// at the first history of a rule, because that one becomes too old first.
#include "topics/table.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <random>
#include <utility>

namespace tern {

std::string_view publish_status_name(PublishStatus status) noexcept {
  constexpr std::string_view names[] = {"queued",   "nobody",   "full",
                                        "too_big",  "not_utf8", "name_invalid",
                                        "too_many", "stopped",  "bridge_down"};
  static_assert(std::size(names) == PublishStatus::bridge_down + 1);
  return names[status.value()];
}

bool is_topic_name(std::string_view name) noexcept {
  constexpr std::size_t max_name = 255;
  return !name.empty() && name.size() <= max_name && std::ranges::none_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

namespace topics {

// 0 is no epoch, because applications may use it for "none". A source that fails costs only the
// safety of a recovery after a restart.
std::uint64_t Table::draw_epoch() noexcept {
  try {
    std::random_device random;
    for (;;) {
      const std::uint64_t epoch = std::uint64_t{random()} << 32 | random();
      if (epoch != 0) return epoch;
    }
  } catch (const std::exception&) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    return static_cast<std::uint64_t>(now) | 1;
  }
}

Table::Table(const TopicLimits& limits, std::size_t workers, std::size_t max_message_bytes)
    : limits_(limits), workers_(workers), max_message_bytes_(max_message_bytes) {}

Table::~Table() { close(); }

void Table::close() noexcept {
  closed_ = true;
  listen_to_changes(nullptr);
  for (;;) {
    Surplus history;
    {
      const std::lock_guard lock(history_mutex_);
      history = take_longest_silent();
    }
    if (!history) break;
    drop(history);
  }
  while (take_change()) {
  }
}

// ---- options

Table::Pattern Table::parse_pattern(std::string_view what, const std::string& pattern) {
  const bool is_exact = !pattern.ends_with('*');
  std::string start = pattern.substr(0, pattern.size() - (is_exact ? 0 : 1));
  if (start.find('*') != start.npos) {
    problem_ = std::string(what) + ": '*' may only end a pattern: \"" + pattern + '"';
  } else if (!start.empty() || is_exact) {
    if (!is_topic_name(start)) {
      problem_ = std::string(what) + ": no topic has such a name: \"" + pattern + '"';
    }
  }
  return {std::move(start), is_exact};
}

void Table::set_options(std::string pattern, TopicOptions options) {
  Pattern parsed = parse_pattern("topics", pattern);
  if (options.history_age <= std::chrono::nanoseconds(0)) {
    problem_ = "topics: history_age of \"" + pattern + "\" is not positive";
  }
  Rule& rule = rules_.emplace_back();
  static_cast<Pattern&>(rule) = std::move(parsed);
  rule.options = std::move(options);
}

std::string Table::problem() const { return problem_; }

// A later rule replaces an earlier one of the same pattern.
Table::Rule& Table::rule_of(std::string_view name) noexcept {
  Rule* best = nullptr;
  for (Rule& rule : rules_) {
    if (rule.fits(name) && (best == nullptr || rule.rank() >= best->rank())) best = &rule;
  }
  return best != nullptr ? *best : defaults_;
}

// ---- names

Table::Shard& Table::shard_of(std::string_view name) noexcept {
  return shards_[std::hash<std::string_view>()(name) % shard_count];
}

TopicRef Table::find(std::string_view name) noexcept {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.topics.find(name);
  if (found == shard.topics.end()) return {};
  found->second->retain();
  return TopicRef(found->second);
}

Found Table::find_to_publish(std::string_view name) noexcept {
  if (TopicRef topic = find(name)) return {std::move(topic), {}};
  if (!is_topic_name(name)) return {{}, Errc::topic_invalid};
  if (rule_of(name).options.history == 0) return {};
  return get(name);
}

// The caller holds the lock of the shard. Returns null beyond the limit.
TopicState* Table::make(std::string_view name) {
  if (topics_.fetch_add(1, std::memory_order_relaxed) >= limits_.max_topics) {
    topics_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  try {
    Rule& rule = rule_of(name);
    auto made = std::make_unique<TopicState>(*this, name, rule.options, draw_epoch(), workers_);
    made->histories = &rule.histories;
    if (Outlet* const outlet = outlet_of(name)) made->set_outlet(*outlet);
    shard_of(name).topics.emplace(made->name(), made.get());
    return made.release();
  } catch (...) {
    topics_.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
}

Found Table::get(std::string_view name) noexcept {
  if (!is_topic_name(name)) return {{}, Errc::topic_invalid};
  Found found = get_or_make(name);
  if (found.error == Errc::too_many_topics && drop_old_topics()) found = get_or_make(name);
  return found;
}

Found Table::get_or_make(std::string_view name) noexcept {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.topics.find(name);
  if (found != shard.topics.end()) {
    found->second->retain();
    return {TopicRef(found->second), {}};
  }
  try {
    TopicState* const made = make(name);
    if (made == nullptr) return {{}, Errc::too_many_topics};
    return {TopicRef(made), {}};
  } catch (const std::bad_alloc&) {
    return {{}, Errc::no_memory};
  }
}

void Table::release(TopicState& topic) noexcept {
  if (topic.release_unless_last()) return;
  Shard& shard = shard_of(topic.name());
  std::unique_ptr<TopicState> dead;
  const std::lock_guard lock(shard.mutex);
  if (!topic.release_last()) return;  // find() was faster
  shard.topics.erase(topic.name());
  topics_.fetch_sub(1, std::memory_order_relaxed);
  dead.reset(&topic);
}

void Table::begin_epochs() noexcept {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [name, topic] : shard.topics) topic->begin_epoch(draw_epoch());
  }
}

// ---- histories

// The topic leaves the list. It comes back with its next publication, which may be there before the
// history is dropped, and then stays: only publications up to `last` go.
Table::Surplus Table::take_first(Histories& histories) noexcept {
  TopicState& topic = histories.pop_front();
  return {TopicRef(&topic), topic.last_kept_offset};
}

void Table::drop(const Surplus& surplus) noexcept {
  history_shrank(surplus.topic->drop_history(surplus.last));
}

// Takes the topic that was silent for the longest time from its list. Returns null if no topic has
// a history. The caller holds history_mutex_.
Table::Surplus Table::take_longest_silent() noexcept {
  Histories* oldest = nullptr;
  for (Rule& rule : rules_) {
    if (rule.histories.empty()) continue;
    const auto time = rule.histories.front().last_kept;
    if (oldest == nullptr || time < oldest->front().last_kept) oldest = &rule.histories;
  }
  return oldest != nullptr ? take_first(*oldest) : Surplus{};
}

// Returns a topic whose history has to go because all histories are too large. The thread that
// calls it drops them until there is none.
Table::Surplus Table::take_surplus_history() noexcept {
  const std::lock_guard lock(history_mutex_);
  Surplus surplus;
  if (history_bytes_ > static_cast<std::ptrdiff_t>(limits_.max_history_bytes)) {
    surplus = take_longest_silent();
  }
  if (surplus) {
    ++histories_dropped_;
  } else {
    drops_surplus_ = false;
  }
  return surplus;
}

// One thread at a time, because another one would count what is about to go and drop too much.
void Table::drop_surplus() noexcept {
  {
    const std::lock_guard lock(history_mutex_);
    if (std::exchange(drops_surplus_, true)) return;
  }
  while (const Surplus surplus = take_surplus_history()) drop(surplus);
}

// Returns a topic whose history is too old. `looks` is the number of rules that it may still look
// at; it goes to the next rule when the first history of this one is not too old.
Table::Surplus Table::take_old_history(History::TimePoint now, std::size_t& looks) noexcept {
  const std::lock_guard lock(history_mutex_);
  for (; looks > 0; --looks) {
    Rule& rule = rules_[next_rule_];
    Histories& all = rule.histories;
    if (!all.empty() && now - all.front().last_kept > rule.options.history_age) {
      return take_first(all);
    }
    next_rule_ = (next_rule_ + 1) % rules_.size();
  }
  return {};
}

// Returns whether there is room for one more topic. A history that is dropped may leave its topic,
// because the topic has subscribers. So the number of drops is bounded, and the next call goes on.
[[gnu::cold]] bool Table::drop_old_topics() noexcept {
  constexpr int max_drops = 64;
  const auto now = std::chrono::steady_clock::now();
  std::size_t looks = rules_.size();
  for (int i = 0; i < max_drops; ++i) {
    {
      const Surplus old = take_old_history(now, looks);
      if (!old) break;
      drop(old);
    }
    if (topics_.load(std::memory_order_relaxed) < limits_.max_topics) return true;
  }
  return false;
}

// A topic that publishes moves to the end of the list, so the first one was silent for the longest
// time.
void Table::history_grew(TopicState& topic, std::ptrdiff_t bytes, History::TimePoint now,
                         std::uint64_t offset) noexcept {
  {
    const std::lock_guard lock(history_mutex_);
    history_bytes_ += bytes;
    auto& hook = static_cast<base::ListHook<HistoryTag>&>(topic);
    hook.linked() ? hook.unlink() : topic.retain();
    topic.last_kept = std::max(topic.last_kept, now);
    topic.last_kept_offset = std::max(topic.last_kept_offset, offset);
    topic.histories->push_back(topic);
  }
  std::size_t looks = 1;
  while (const Surplus old = take_old_history(now, looks)) drop(old);
  drop_surplus();
}

void Table::history_shrank(std::size_t bytes) noexcept {
  const std::lock_guard lock(history_mutex_);
  history_bytes_ -= static_cast<std::ptrdiff_t>(bytes);
}

// ---- first and last subscribers

void Table::listen_to_changes(UniqueFunction<void()> bell) noexcept {
  const std::lock_guard lock(change_mutex_);
  change_bell_ = std::move(bell);
}

void Table::changed(TopicState& topic) noexcept {
  const std::lock_guard lock(change_mutex_);
  auto& hook = static_cast<base::ListHook<ChangeTag>&>(topic);
  if (!change_bell_ || hook.linked()) return;
  topic.retain();
  changes_.push_back(topic);
  change_bell_();
}

Table::Change Table::take_change() noexcept {
  for (;;) {
    TopicRef topic;
    const std::lock_guard lock(change_mutex_);
    if (changes_.empty()) return {};
    topic = TopicRef(&changes_.pop_front());
    const TopicEvent event = topic->subscribers() > 0 ? TopicEvent::wanted : TopicEvent::unwanted;
    if (event == topic->told) continue;
    topic->told = event;
    return {std::move(topic), event};
  }
}

// ---- counts

void Table::count(const PublishStatus& status) noexcept {
  if (status) {
    published_.fetch_add(1, std::memory_order_relaxed);
  } else if (status == PublishStatus::full) {
    published_full_.fetch_add(1, std::memory_order_relaxed);
  }
}

TableCounts Table::counts() const noexcept {
  const std::lock_guard lock(history_mutex_);
  return {.topics = topics_.load(std::memory_order_relaxed),
          .history_bytes = static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(history_bytes_, 0)),
          .histories_dropped = histories_dropped_,
          .published = published_.load(std::memory_order_relaxed),
          .published_full = published_full_.load(std::memory_order_relaxed)};
}

}  // namespace topics
}  // namespace tern
