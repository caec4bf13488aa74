// A ring that grows by doubling, up to the number that the options allow.
#include "topics/history.h"

#include <algorithm>
#include <utility>

namespace tern::topics {

void History::prepare(const TopicOptions& options) {
  if (size_ < slots_.size() || size_ >= options.history) return;
  std::vector<std::optional<Kept>> more(std::min(options.history, 2 * size_ + 1));
  for (std::size_t i = 0; i < size_; ++i) more[i] = std::move(slots_[place(i)]);
  slots_.swap(more);
  first_ = 0;
}

void History::push(Kept kept, const TopicOptions& options) noexcept {
  drop_old(kept.time, options);
  const std::size_t bytes = kept.message.message().size();
  const auto is_over = [&] {
    const std::size_t payloads = bytes_ - size_ * overhead;
    return size_ >= options.history || bytes > options.history_bytes ||
           payloads > options.history_bytes - bytes;
  };
  while (size_ > 0 && is_over()) drop_first();
  bytes_ += bytes + overhead;
  slots_[place(size_)].emplace(std::move(kept));
  ++size_;
}

void History::drop_old(TimePoint now, const TopicOptions& options) noexcept {
  while (size_ > 0 && now - (*this)[0].time > options.history_age) drop_first();
}

void History::drop_first() noexcept {
  bytes_ -= (*this)[0].message.message().size() + overhead;
  slots_[first_].reset();
  first_ = place(1);
  --size_;
}

void History::drop_up_to(std::uint64_t last) noexcept {
  while (size_ > 0 && (*this)[0].offset <= last) drop_first();
  if (size_ > 0) return;
  slots_ = {};
  first_ = 0;
}

}  // namespace tern::topics
