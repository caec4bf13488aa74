// Watches descriptors of the application. They are level-triggered, because an application need not
// read until EAGAIN.
#include "net/watched_descriptor.h"

#include <sys/epoll.h>
#include <utility>

namespace tern::net {

namespace {

bool includes(Interest interest, Interest what) noexcept {
  return (static_cast<unsigned>(interest) & static_cast<unsigned>(what)) != 0;
}

}  // namespace

std::error_code WatchedDescriptor::open(int fd, Interest interest) noexcept {
  if (auto error = apply(fd, interest)) return error;
  fd_.reset(fd);
  return {};
}

std::error_code WatchedDescriptor::set_interest(Interest interest) noexcept {
  if (core_ == nullptr || interest == interest_) return {};
  return apply(fd_.get(), interest);
}

std::error_code WatchedDescriptor::reopen() noexcept {
  return apply(fd_.get(), std::exchange(interest_, Interest::none));
}

// A descriptor without an interest is removed from epoll, because epoll reports a hang-up in every
// turn even if no event is requested.
std::error_code WatchedDescriptor::apply(int fd, Interest interest) noexcept {
  core_->assert_thread();
  const std::uint32_t events = (includes(interest, Interest::read) ? std::uint32_t{EPOLLIN} : 0) |
                               (includes(interest, Interest::write) ? std::uint32_t{EPOLLOUT} : 0);
  Poller& poller = core_->poller();
  std::error_code error;
  if (interest == Interest::none) {
    if (interest_ != Interest::none) poller.remove(fd, *this);
  } else if (interest_ == Interest::none) {
    error = poller.add(fd, events, *this);
  } else {
    error = poller.modify(fd, events, *this);
  }
  if (!error) interest_ = interest;
  return error;
}

void WatchedDescriptor::on_ready(std::uint32_t events) noexcept {
  const bool ended = (events & (EPOLLHUP | EPOLLERR)) != 0;
  const Ready ready{
      .readable = (ended || (events & EPOLLIN) != 0) && includes(interest_, Interest::read),
      .writable = (ended || (events & EPOLLOUT) != 0) && includes(interest_, Interest::write),
      .hung_up = ended,
  };
  // epoll reported this event before the interest changed in the same turn.
  if (!ready.readable && !ready.writable) return;
  core_->call_user(function_, ready);
}

void WatchedDescriptor::close() noexcept {
  ListHook<WatchedTag>::unlink();
  if (core_ == nullptr) return on_retired();
  core_->assert_thread();
  if (interest_ != Interest::none) core_->poller().remove(fd_.get(), *this);
  interest_ = Interest::none;
  fd_.reset();
  // During a turn, the caller may be function_ itself. So this object must live until it returns.
  if (core_->in_turn()) {
    core_->retire(*this);
  } else {
    on_retired();
  }
}

void WatchedDescriptor::detach() noexcept {
  if (interest_ != Interest::none) core_->poller().remove(fd_.get(), *this);
  interest_ = Interest::none;
  core_ = nullptr;
  // The captures may hold the Watch, whose destructor destroys this object. So function_ is
  // destroyed last.
  const Function last = std::move(function_);
}

}  // namespace tern::net
