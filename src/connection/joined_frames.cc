// A fan-out visits hundreds of subscribers with the same window, and the window changes when
// publications come or a lap ends. So the copy is made rarely. It is recognized by the topic and
// the offsets at its ends, because one offset of a topic is one publication.
#include "connection/joined_frames.h"

#include "connection/fanout.h"
#include "engine/encoded_message.h"

#include <cstring>

namespace tern::connection {

bool JoinedFrames::is_current(const LocalTopic& topic) const noexcept {
  return topic_ == &topic && first_ == topic.pending.front()->offset &&
         last_ == topic.last().offset;
}

std::span<const std::byte> JoinedFrames::join(const LocalTopic& topic) noexcept {
  topic_ = &topic;
  first_ = topic.pending.front()->offset;
  last_ = topic.last().offset;
  size_ = 0;
  if (topic.window_count < 2 || topic.window_bytes > most) return {};
  std::size_t size = 0;
  const topics::Arrival* at = topic.pending.front();
  for (std::uint32_t i = 0; i < topic.window_count; ++i, at = at->next) {
    const auto frame = at->message.encoded()->frame();
    if (frame.size() > most - size) return {};
    std::memcpy(bytes_.get() + size, frame.data(), frame.size());
    size += frame.size();
  }
  size_ = size;
  return {bytes_.get(), size_};
}

}  // namespace tern::connection
