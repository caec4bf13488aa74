// Keeps timers in a 4-ary heap, because it is shallow and the four children of a place share a
// cache line. Each timer stores its place, so arm() and cancel() need no search. A pass of fire()
// always ends, because a timer that is armed during the pass gets a time after it.
#include "net/timers.h"

#include <algorithm>

namespace tern::net {

namespace {
constexpr std::size_t arity = 4;
}  // namespace

void Timers::arm(Timer& timer, time_point when) {
  if (when == time_point::max()) return cancel(timer);
  const Entry entry{std::max(when, not_before_), &timer};
  if (timer.armed()) return settle(timer.place(), entry);
  heap_.push_back(entry);
  sift_up(heap_.size() - 1, entry);
}

[[gnu::hot]] void Timers::arm_no_later(Timer& timer, time_point when) {
  if (timer.armed() && heap_[timer.place()].when <= when) return;
  arm(timer, when);
}

void Timers::cancel(Timer& timer) noexcept {
  if (!timer.armed()) return;
  const std::size_t place = timer.place();
  const Entry last = heap_.back();
  timer.set_place(Timer::nowhere);
  heap_.pop_back();
  if (place < heap_.size()) settle(place, last);
}

[[gnu::hot]] void Timers::fire(time_point now) noexcept {
  if (next_deadline() > now) return;
  not_before_ = now + time_point::duration(1);
  while (next_deadline() <= now) {
    Timer& timer = *heap_.front().timer;
    cancel(timer);
    timer.on_timer(now);
  }
  not_before_ = time_point::min();
}

void Timers::put(std::size_t place, Entry entry) noexcept {
  heap_[place] = entry;
  entry.timer->set_place(static_cast<std::uint32_t>(place));
}

void Timers::sift_up(std::size_t place, Entry entry) noexcept {
  while (place > 0) {
    const std::size_t parent = (place - 1) / arity;
    if (heap_[parent].when <= entry.when) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, entry);
}

void Timers::sift_down(std::size_t place, Entry entry) noexcept {
  for (std::size_t first = place * arity + 1; first < heap_.size(); first = place * arity + 1) {
    const std::size_t end = std::min(first + arity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].when < heap_[least].when) least = child;
    }
    if (entry.when <= heap_[least].when) break;
    put(place, heap_[least]);
    place = least;
  }
  put(place, entry);
}

void Timers::settle(std::size_t place, Entry entry) noexcept {
  if (place > 0 && entry.when < heap_[(place - 1) / arity].when) {
    sift_up(place, entry);
  } else {
    sift_down(place, entry);
  }
}

}  // namespace tern::net
