// The part of Table that concerns outlets: patterns of topics that other processes share.
#include "topics/table.h"

#include <utility>

namespace tern::topics {

void Table::add_outlet(const std::string& pattern, std::shared_ptr<Outlet> outlet) {
  OutletRule rule{parse_pattern("bridge", pattern), std::move(outlet)};
  for (const OutletRule& other : outlets_) {
    if (other.rank() == rule.rank() && other.start == rule.start) {
      problem_ = "bridge: there are two for the topics \"" + pattern + '"';
    }
  }
  outlets_.push_back(std::move(rule));
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [name, topic] : shard.topics) {
      if (Outlet* const found = find_outlet(name)) topic->set_outlet(*found);
    }
  }
}

Outlet* Table::find_outlet(std::string_view name) const noexcept {
  const OutletRule* best = nullptr;
  for (const OutletRule& rule : outlets_) {
    if (rule.fits(name) && (best == nullptr || rule.rank() > best->rank())) best = &rule;
  }
  return best != nullptr ? best->outlet.get() : nullptr;
}

// Of the rules that fit the start of the pattern the longest counts, and all longer ones.
bool Table::keeps_history(std::string_view pattern) const noexcept {
  const bool is_exact = !pattern.ends_with('*');
  const std::string_view start = pattern.substr(0, pattern.size() - (is_exact ? 0 : 1));
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    if (!is_exact && rule.start.starts_with(start) && rule.options.history > 0) return true;
    if (rule.is_exact && (!is_exact || rule.start != start)) continue;
    if (rule.fits(start) && (best == nullptr || rule.rank() >= best->rank())) best = &rule;
  }
  return best != nullptr && best->options.history > 0;
}

std::vector<TopicRef> Table::topics_of(const Outlet& outlet) {
  std::vector<TopicRef> found;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    found.reserve(found.size() + shard.topics.size());
    for (const auto& [name, topic] : shard.topics) {
      if (topic->bridged() == nullptr || &topic->bridged()->outlet != &outlet) continue;
      topic->retain();
      found.push_back(TopicRef(topic));
    }
  }
  return found;
}

}  // namespace tern::topics
