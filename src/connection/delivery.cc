// How a connection receives publications. They come from the fan-out of its worker, outside of the
// connection's turns, and are written at once. So a connection that takes them keeps no memory for
// them, and only the others have work at the end of the turn.
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace tern::connection {
namespace {

using topics::Arrival;

// Returns the oldest pending publication after `cursor`; null if there is none. It walks from the
// nearer end, because tens of thousands may be pending, and most cursors are at one of the ends.
Arrival* first_after(const topics::ArrivalList& pending, std::uint64_t cursor) noexcept {
  if (pending.empty() || pending.back()->offset <= cursor) return nullptr;
  Arrival* at = pending.front();
  if (at->offset > cursor) return at;
  if (cursor - at->offset < pending.back()->offset - cursor) {
    while (at->offset <= cursor) at = at->next;
    return at;
  }
  for (at = pending.back(); at->previous->offset > cursor;) at = at->previous;
  return at;
}

// Returns the last pending publication from `from` on with a number up to `last`. `from` has one.
Arrival* last_up_to(const topics::ArrivalList& pending, Arrival& from,
                    std::uint64_t last) noexcept {
  if (pending.back()->number <= last) return pending.back();
  Arrival* at = &from;
  while (at->next != nullptr && at->next->number <= last) at = at->next;
  return at;
}

}  // namespace

// A topic gives consecutive offsets, and all publications after a cursor are pending. So the
// difference of two offsets is the number of publications between them.

// Queues one message. Returns false if it was skipped, because the queue is full.
bool LiveConnection::pass(const SharedMessage& message, bool compress) noexcept {
  make_room(message.message().size());
  const SendStatus status = engine_.send(message, {.compress = compress, .check_text = false});
  if (status == SendStatus::full) [[unlikely]] {
    congested_ = true;
    return false;
  }
  if (!status) return true;  // it ends, and nothing follows
  if (status == SendStatus::congested) congested_ = true;
  environment_->metrics.messages_sent.add();
  environment_->metrics.topic_deliveries.add();
  return true;
}

// Queues the pending publications of one topic from `first` on, up to the number `last`.
[[gnu::hot]] void LiveConnection::take_publications(LocalTopic& topic, Entry& entry, Arrival& first,
                                                    std::uint64_t last) noexcept {
  Arrival* at = &first;
  const std::uint64_t head = topic.pending.back()->offset;
  if (!engine_.is_open()) [[unlikely]] {
    entry.cursor = head;
    return;
  }
  if (entry.state != Entry::State::live) [[unlikely]]
    return hold(topic, entry, *at);
  if (entry.delivery == Delivery::latest) {
    if (blocked_ != Blocked::no) return become_stale(topic, entry, *at);
    // A newer one may be behind a publication of another topic, and must not overtake it.
    const std::uint64_t before = at->offset;
    at = last_up_to(topic.pending, *at, last);
    environment_->metrics.topic_conflated.add(at->offset - before);
  }
  for (; at != nullptr && at->number <= last; at = at->next) {
    entry.cursor = at->offset;
    if (is_own(*at)) continue;
    if (!pass(at->message, at->compress)) skip(entry);
  }
}

// Publications were skipped. on_gap follows when the queue is short.
[[gnu::cold]] void LiveConnection::skip(const Entry& entry, std::uint64_t count) noexcept {
  std::uint32_t& missed = extras_->subscriptions[entry.back].missed;
  missed = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(missed + count, std::numeric_limits<std::uint32_t>::max()));
  environment_->metrics.topic_skipped.add(count);
}

// Delivery::latest: the peer is slow, so the newest publication waits with the topic.
[[gnu::cold]] void LiveConnection::become_stale(LocalTopic& topic, Entry& entry,
                                                const Arrival& first) noexcept {
  environment_->metrics.topic_conflated.add(topic.pending.back()->offset - first.offset);
  entry.state = Entry::State::stale;
  entry.cursor = topic.pending.back()->offset;
  ++topic.stale;
  ++extras_->stale;
  waits_ = true;
}

// Publications of a subscription that is not live.
[[gnu::cold]] void LiveConnection::hold(LocalTopic& topic, Entry& entry,
                                        const Arrival& first) noexcept {
  entry.cursor = topic.pending.back()->offset;
  if (entry.state == Entry::State::stale) {  // each replaces the one before
    environment_->metrics.topic_conflated.add(entry.cursor + 1 - first.offset);
    return;
  }
  for (const Arrival* at = &first; at != nullptr && engine_.is_open(); at = at->next) {
    if (!is_own(*at)) add_to_backlog(topic, entry, *at);
  }
}

// A publication joins a backlog. Those of a connection are bounded like its queue.
void LiveConnection::add_to_backlog(LocalTopic& topic, Entry& entry,
                                    const Arrival& arrival) noexcept {
  Backlog& backlog = *std::ranges::find(extras_->backlogs, &topic, &Backlog::topic);
  if (entry.delivery == Delivery::latest) {
    environment_->metrics.topic_conflated.add(backlog.waiting());
    backlog = Backlog{.topic = &topic};
  }
  const std::size_t most = engine_.limits().max_queued_bytes;
  const std::size_t held = extras_->grown_bytes();
  const std::size_t more = topics::History::weight_of(arrival.message);
  if (held > 0 && more > most - std::min(most, held)) return lose(entry, 1);
  try {
    backlog.grown.push_back({arrival.message, arrival.offset, {}, arrival.compress});
    backlog.grown_bytes += more;
  } catch (const std::bad_alloc&) {
    engine_.fail(Errc::no_memory);
  }
}

// Publications cannot wait for a subscriber that is too slow.
[[gnu::cold]] void LiveConnection::lose(const Entry& entry, std::uint64_t count) noexcept {
  if (engine_.limits().overflow == Overflow::close) return engine_.fail(Errc::peer_too_slow);
  congested_ = true;
  skip(entry, count);
}

// Queues what is pending for all subscriptions, up to the number `last`, in the order in which it
// reached the worker. It stops when `most` is done. Merges the topics by a heap, because one thread
// may publish to all of a thousand topics by turns.
Work LiveConnection::take_all_publications(std::uint64_t last, Work most) noexcept {
  std::vector<Merged>& heap = environment_->shared.fanout->merge();
  const auto is_later = [](const Merged& a, const Merged& b) {
    return a.at->number > b.at->number;
  };
  heap.clear();
  for (std::uint32_t i = 0; i < extras_->subscriptions.size(); ++i) {
    const Subscription& each = extras_->subscriptions[i];
    Arrival* const at = first_after(each.topic->pending, each.topic->entries[each.index].cursor);
    if (at != nullptr && at->number <= last) heap.push_back({at, i});
  }
  std::ranges::make_heap(heap, is_later);
  Work done{.messages = 0, .bytes = 0};
  while (!heap.empty() && done.messages < most.messages && done.bytes < most.bytes) {
    std::ranges::pop_heap(heap, is_later);
    Merged first = heap.back();
    heap.pop_back();
    const Subscription& best = extras_->subscriptions[first.index];
    Entry& entry = best.topic->entries[best.index];
    const bool conflates = entry.delivery == Delivery::latest;
    const std::uint64_t next = heap.empty() ? last : std::min(last, heap.front().at->number - 1);
    take_publications(*best.topic, entry, *first.at, conflates ? next : first.at->number);
    ++done.messages;
    done.bytes += first.at->bytes();
    while (first.at != nullptr && first.at->offset <= entry.cursor) first.at = first.at->next;
    if (first.at == nullptr || first.at->number > last) continue;
    heap.push_back(first);
    std::ranges::push_heap(heap, is_later);
  }
  done.messages += extras_->subscriptions.size() / Work::looks_of_message;
  return done;
}

// A publication before a call reaches the peer before the message of that call.
[[gnu::cold]] void LiveConnection::deliver_pending() noexcept {
  Fanout& fanout = *environment_->shared.fanout;
  if (fanout.gave_up()) return;
  fanout.take_arrivals();
  if (extras_->delivered == fanout.last_arrival()) return;
  extras_->delivered = fanout.last_arrival();
  take_all_publications(fanout.last_arrival(), Work::unbounded);
}

// Counts the publications of which the socket took something, and queues the rest of the last one.
void LiveConnection::after_part(Entry& entry, const Arrival* at,
                                const net::Transport::Transfer& put) noexcept {
  if (put.state == net::Transport::State::failed) return on_write_failed(put.error);
  blocked_ = put.state == net::Transport::State::wait_read ? Blocked::until_readable
                                                           : Blocked::until_writable;
  Metrics& metrics = environment_->metrics;
  for (std::size_t written = put.bytes; written > 0; at = at->next) {
    if (is_own(*at)) continue;
    const auto frame = engine_.direct_frame(at->message, {.compress = at->compress});
    metrics.messages_sent.add();
    metrics.topic_deliveries.add();
    entry.cursor = at->offset;
    if (written < frame.size()) {
      return engine_.send_rest(at->message, frame.subspan(written), true);
    }
    written -= frame.size();
  }
}

// Writes publications from `first` on. Returns whether the socket took all.
inline bool LiveConnection::write_direct(Entry& entry, const Arrival* first,
                                         std::span<const iovec> frames, Work all) noexcept {
  Metrics& metrics = environment_->metrics;
  const net::Transport::Transfer put = transport_->write(frames);
  metrics.bytes_sent.add(put.bytes);
  if (put.bytes == all.bytes && put.state == net::Transport::State::ok && !transport_->has_unsent())
      [[likely]] {
    metrics.messages_sent.add(all.messages);
    metrics.topic_deliveries.add(all.messages);
    return true;
  }
  after_part(entry, first, put);
  return false;
}

// Writes the whole window in one piece, if the subscriber gets all of it and uncompressed. Returns
// false if there is more to do.
bool LiveConnection::deliver_joined(const LocalTopic& topic, Entry& entry) noexcept {
  const Arrival* const first = topic.pending.front();
  if (first->offset != entry.cursor + 1 || entry.delivery == Delivery::latest ||
      entry.state != Entry::State::live || engine_.deflate() || blocked_ != Blocked::no ||
      transport_->has_unsent()) {
    return false;
  }
  const std::uint64_t own = place_word();
  const Arrival* at = first;
  for (std::uint32_t i = 0; i < topic.window_count; ++i, at = at->next) {
    if (at->source == own) return false;
  }
  const auto frames = environment_->shared.fanout->joined(topic);
  if (frames.empty()) return false;
  const iovec piece{const_cast<std::byte*>(frames.data()), frames.size()};
  if (!write_direct(entry, first, {&piece, 1}, {topic.window_count, frames.size()})) return false;
  entry.cursor = topic.last().offset;
  return true;
}

// Writes the window straight from the shared frames, while the engine rests and the socket takes
// them. So the usual subscriber needs neither a block nor a copy. Returns false if there is more to
// do: the subscriber does not rest, or the socket took only a part.
[[gnu::hot]] bool LiveConnection::deliver_direct(LocalTopic& topic, Entry& entry) noexcept {
  constexpr std::size_t most = 64;
  if (entry.state != Entry::State::live || blocked_ != Blocked::no || transport_->has_unsent()) {
    return false;
  }
  const Arrival* at = first_after(topic.pending, entry.cursor);
  const std::uint64_t before = entry.cursor;
  std::uint64_t replaced = 0;
  if (entry.delivery == Delivery::latest) {
    replaced = topic.pending.back()->offset - at->offset;
    at = topic.pending.back();
  }
  const std::uint64_t last = std::max(topic.last().number, at->number);
  while (at != nullptr && at->number <= last) {
    std::array<iovec, most> frames;
    std::size_t count = 0;
    Work all{.messages = 0, .bytes = 0};
    const Arrival* const first = at;
    for (; at != nullptr && at->number <= last && count < most; at = at->next) {
      if (is_own(*at)) continue;
      const auto frame = engine_.direct_frame(at->message, {.compress = at->compress});
      if (frame.empty()) return false;
      frames[count++] = {const_cast<std::byte*>(frame.data()), frame.size()};
      ++all.messages;
      all.bytes += frame.size();
    }
    if (count > 0 && !write_direct(entry, first, std::span(frames).first(count), all)) {
      if (entry.cursor != before) environment_->metrics.topic_conflated.add(replaced);
      return false;
    }
    entry.cursor = at != nullptr ? at->previous->offset : topic.pending.back()->offset;
  }
  if (replaced > 0) environment_->metrics.topic_conflated.add(replaced);
  return true;
}

[[gnu::hot]] Work LiveConnection::deliver(LocalTopic& topic, Entry& entry) noexcept {
  Work done{topic.window_count, topic.window_bytes};
  if (!engine_.is_open()) [[unlikely]] {
    entry.cursor = topic.pending.back()->offset;
    return done;
  }
  begin_call();
  if (environment_->shared.fanout->has_several_jobs() && extras_->subscriptions.size() > 1) {
    done = take_all_publications(topic.last().number, Work::of_visit);
  } else if (engine_.rests() && ((topic.window_count > 1 && deliver_joined(topic, entry)) ||
                                 deliver_direct(topic, entry))) {
    return done;
  } else {
    const bool conflates = entry.delivery == Delivery::latest;
    const Arrival& end = conflates ? *topic.pending.back() : topic.last();
    Arrival* const first = first_after(topic.pending, entry.cursor);
    if (first != nullptr) take_publications(topic, entry, *first, end.number);
  }
  flush();
  engine_.settle();
  const bool took_all = engine_.is_open() && engine_.queued_bytes() == 0 && !congested_ &&
                        !read_ended_ && !transport_->has_unsent();
  if (!took_all) environment_->core.defer(*this);
  return done;
}

}  // namespace tern::connection
