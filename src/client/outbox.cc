// A message that is older than the limit is dropped when the queue is used next. So a queue needs
// no timer; its bounds hold in any case.
#include "client/outbox.h"

#include <utility>

namespace tern::client {

bool OutboxQueue::push(SharedMessage message, SendOptions options, TimePoint now) {
  const std::size_t bytes = message.message().size();
  drop_old(now);
  if (bytes > bounds_.max_bytes || bounds_.max_messages == 0) return false;
  if (!fits(bytes) && !bounds_.drop_oldest) return false;
  while (!fits(bytes)) drop();
  entries_.push_back({std::move(message), options, now});
  bytes_ += bytes;
  return true;
}

bool OutboxQueue::fits(std::size_t bytes) const noexcept {
  return entries_.size() < bounds_.max_messages && bytes <= bounds_.max_bytes - bytes_;
}

const OutboxQueue::Entry* OutboxQueue::front(TimePoint now) noexcept {
  drop_old(now);
  return entries_.empty() ? nullptr : &entries_.front();
}

void OutboxQueue::clear() noexcept {
  while (!entries_.empty()) drop();
}

void OutboxQueue::drop_old(TimePoint now) noexcept {
  while (!entries_.empty() && now - entries_.front().since > bounds_.max_age) drop();
}

void OutboxQueue::drop() noexcept {
  ++dropped_;
  remove();
}

void OutboxQueue::remove() noexcept {
  bytes_ -= entries_.front().message.message().size();
  entries_.pop_front();
}

}  // namespace tern::client
