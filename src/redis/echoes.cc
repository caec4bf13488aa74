// Finds which publication has come back, by its bytes and its channel. A publication knows its
// topic by a number, because a refusal must find it without a look at all topics.
#include "redis/echoes.h"

#include <algorithm>

namespace tern::redis {
namespace {

// Beyond it a connection receives what it publishes.
constexpr std::size_t max_count = 65'536;

}  // namespace

void Echoes::want(std::string_view topic) {
  const auto [place, made] = topics_.try_emplace(std::string(topic), Topic{last_number_ + 1});
  if (!made) return;
  ++last_number_;
  try {
    by_id_.emplace(place->second.id, &place->second);
  } catch (...) {
    topics_.erase(place);
    throw;
  }
}

void Echoes::unwant(std::string_view topic) noexcept {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return;
  for (const Sent& sent : found->second.sent) forget(sent);
  by_id_.erase(found->second.id);
  topics_.erase(found);
}

Echoes::Place Echoes::add(std::string_view topic, const SharedMessage& message,
                          const Origin& origin) {
  if (origin.server == 0 || count_ >= max_count) return {};
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return {};
  found->second.sent.push_back({message, origin, last_number_ + 1});
  ++count_;
  bytes_ += message.message().size();
  return {found->second.id, ++last_number_};
}

void Echoes::remove(const Place& place) noexcept {
  const auto topic = by_id_.find(place.topic);
  if (topic == by_id_.end()) return;
  std::deque<Sent>& all = topic->second->sent;
  const auto found = std::ranges::lower_bound(all, place.number, {}, &Sent::number);
  if (found == all.end() || found->number != place.number) return;
  forget(*found);
  all.erase(found);
}

Origin Echoes::take(std::string_view topic, std::string_view bytes) noexcept {
  if (count_ == 0) return {};
  const auto found = topics_.find(topic);
  if (found == topics_.end() || found->second.sent.empty()) return {};
  std::deque<Sent>& all = found->second.sent;
  if (all.front().message.message().text() != bytes) return {};
  const Origin origin = all.front().origin;
  forget(all.front());
  all.pop_front();
  return origin;
}

void Echoes::clear() noexcept {
  by_id_.clear();
  topics_.clear();
  count_ = bytes_ = 0;
}

void Echoes::forget(const Sent& sent) noexcept {
  --count_;
  bytes_ -= sent.message.message().size();
}

}  // namespace tern::redis
