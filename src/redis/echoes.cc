#include "redis/echoes.h"

#include <algorithm>

namespace tern::redis {
namespace {

// Beyond it a connection receives what it publishes.
constexpr std::size_t max_count = 65'536;

}  // namespace

void Echoes::want(std::string_view topic) { topics_.try_emplace(std::string(topic)); }

void Echoes::unwant(std::string_view topic) noexcept {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return;
  for (const Sent& sent : found->second) forget(sent);
  topics_.erase(found);
}

std::uint64_t Echoes::add(std::string_view topic, const SharedMessage& message,
                          const Origin& origin) {
  if (origin.server == 0 || count_ >= max_count) return 0;
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return 0;
  found->second.push_back({message, origin, last_number_ + 1});
  ++count_;
  bytes_ += message.message().size();
  return ++last_number_;
}

void Echoes::remove(std::uint64_t number) noexcept {
  if (number == 0) return;
  for (auto& [topic, all] : topics_) {
    const auto found = std::ranges::find(all, number, &Sent::number);
    if (found == all.end()) continue;
    forget(*found);
    all.erase(found);
    return;
  }
}

Origin Echoes::take(std::string_view topic, std::string_view bytes) noexcept {
  if (count_ == 0) return {};
  const auto found = topics_.find(topic);
  if (found == topics_.end() || found->second.empty()) return {};
  std::deque<Sent>& all = found->second;
  if (all.front().message.message().text() != bytes) return {};
  const Origin origin = all.front().origin;
  forget(all.front());
  all.pop_front();
  return origin;
}

void Echoes::clear() noexcept {
  topics_.clear();
  count_ = bytes_ = 0;
}

void Echoes::forget(const Sent& sent) noexcept {
  --count_;
  bytes_ -= sent.message.message().size();
}

}  // namespace tern::redis
