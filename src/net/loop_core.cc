// Runs the turns of a loop. The other rooms rely on the order in a turn: handlers run, then all
// their output is written at once, then the objects that they closed are freed. So no reference
// becomes invalid within a turn.
#include "net/loop_core.h"

#include <new>

namespace tern::net {

namespace {
constexpr std::size_t kept_batch = 4096;  // a larger vector of posts is freed after use
// The time for the posted functions of one turn, and the number of functions between two checks of
// the clock.
constexpr std::chrono::milliseconds posted_time{1};
constexpr std::size_t posts_between_looks = 16;
}  // namespace

LoopCore::LoopCore(LoopOptions options)
    : options_(std::move(options)),
      now_(std::chrono::steady_clock::now()),
      mailbox_(std::make_shared<Mailbox>(
          Mailbox::Bounds{options_.max_posted, options_.max_posted_bytes})),
      error_(open()) {
  if (error_) mailbox_->close();
}

LoopCore::~LoopCore() {
  shut_down();
  if (!error_) poller_.remove(mailbox_->fd(), alarm_);
}

std::error_code LoopCore::open() noexcept {
  if (poller_.error()) return poller_.error();
  if (mailbox_->error()) return mailbox_->error();
  return poller_.add(mailbox_->fd(), EPOLLIN | EPOLLET, alarm_);
}

std::error_code LoopCore::reopen() noexcept {
  poller_.reopen();
  error_ = open();
  return error_;
}

void LoopCore::refuse_posts() noexcept {
  if (!is_copy()) mailbox_->close();
}

void LoopCore::shut_down() noexcept {
  TERN_ASSERT(!running());
  refuse_posts();
  while (!dependents_.empty()) dependents_.pop_front().on_loop_end();
  batch_.clear();
  next_in_batch_ = 0;
  free_retired();
}

Result<void> LoopCore::run() noexcept {
  if (error_) return Error(error_, "start the loop");
  if (!mailbox_->begin_reading()) return Errc::already_running;
  while (!stop_.load() && !poller_.error()) turn();
  stop_.store(false);
  mailbox_->end_reading();
  if (poller_.error()) return Error(poller_.error(), "wait for events");
  return {};
}

void LoopCore::stop() noexcept {
  static_assert(std::atomic<bool>::is_always_lock_free, "stop() must be async-signal-safe");
  stop_.store(true);
  mailbox_->wake();
}

[[gnu::hot, gnu::always_inline]] inline void LoopCore::run_turn(time_point now) noexcept {
  now_ = now;
  in_turn_ = true;
  poller_.dispatch();
  // In most turns there is nothing of this, so it costs no calls.
  if (timers_.next_deadline() <= now_) timers_.fire(now_);
  if (mailbox_->waiting() || !batch_.empty()) run_posted();
  if (!deferred_.empty()) run_deferred();
  if (!retired_.empty()) free_retired();
  in_turn_ = false;
}

[[gnu::hot]] void LoopCore::turn() noexcept {
  wait();
  run_turn(std::chrono::steady_clock::now());
}

bool LoopCore::step(time_point now) noexcept {
  if (!mailbox_->begin_reading()) return false;
  const bool had_work = has_work() || mailbox_->waiting();
  const int ready = poller_.wait(time_point::min());
  run_turn(now);
  mailbox_->end_reading();
  return had_work || ready > 0;
}

[[gnu::hot]] void LoopCore::wait() noexcept {
  constexpr auto at_once = time_point::min();
  if (has_work()) {
    poller_.wait(at_once);
    return;
  }
  if (options_.spin.count() > 0 && spin()) return;
  poller_.wait(mailbox_->prepare_to_sleep() ? timers_.next_deadline() : at_once);
  mailbox_->awake();
}

bool LoopCore::spin() noexcept {
  const time_point began = std::chrono::steady_clock::now();
  for (time_point now = began; now - began < options_.spin;
       now = std::chrono::steady_clock::now()) {
    if (poller_.may_guess() ? guess(now) : poller_.wait(time_point::min()) > 0) return true;
    if (poller_.error() || mailbox_->waiting() || timers_.next_deadline() <= now) return true;
  }
  return false;
}

// Calls the last watcher directly, without epoll_wait. This is the shortest way for a message that
// the application waits for.
bool LoopCore::guess(time_point now) noexcept {
  now_ = now;
  in_turn_ = true;
  const bool heard = poller_.guess();
  in_turn_ = false;
  return heard || has_work();
}

[[gnu::hot]] void LoopCore::run_posted() noexcept {
  if (mailbox_->waiting()) take_posted();
  if (!batch_.empty()) run_batch();
}

// The mark is taken back before the inbound looks, so that an announcement that it misses is
// noticed in the next turn.
void LoopCore::take_posted() noexcept {
  if (batch_.empty()) mailbox_->take(batch_);
  if (inbound_ != nullptr) inbound_->on_announced();
}

// Runs posted functions for at most a millisecond. The next turn runs the rest, before functions
// that are posted later.
void LoopCore::run_batch() noexcept {
  const time_point end = std::chrono::steady_clock::now() + posted_time;
  while (next_in_batch_ < batch_.size()) {
    Mailbox::Function& function = batch_[next_in_batch_++];
    call_user(function);
    function = nullptr;  // destroys the captures now, not with the batch
    const bool looks = next_in_batch_ % posts_between_looks == 0;
    if (looks && std::chrono::steady_clock::now() >= end) break;
  }
  if (next_in_batch_ < batch_.size()) return;
  batch_.clear();
  next_in_batch_ = 0;
  if (batch_.capacity() > kept_batch) batch_ = std::vector<Mailbox::Function>();
}

[[gnu::hot]] void LoopCore::run_deferred() noexcept {
  while (!deferred_.empty()) deferred_.pop_front().at_turn_end();
}

[[gnu::hot]] void LoopCore::free_retired() noexcept {
  while (!retired_.empty()) retired_.pop_front().on_retired();
}

[[gnu::hot]] std::span<std::byte> LoopCore::receive_buffer() noexcept {
  if (receive_buffer_ == nullptr) {
    receive_buffer_.reset(new (std::nothrow) std::byte[receive_buffer_bytes]);
    if (receive_buffer_ == nullptr) return {};
  }
  return {receive_buffer_.get(), receive_buffer_bytes};
}

void LoopCore::report_exception() noexcept {
  const auto tell = [this](std::string_view what) noexcept {
    try {
      if (options_.on_exception) options_.on_exception(what);
    } catch (...) {  // an exception of the hook itself cannot be reported
    }
  };
  try {
    throw;
  } catch (const std::exception& exception) {
    tell(exception.what());
  } catch (...) {
    tell("not a std::exception");
  }
}

}  // namespace tern::net
