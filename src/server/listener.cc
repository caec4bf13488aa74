// When accept fails because descriptors are missing, the listener stays readable and the loop would
// spin. So the listener leaves epoll for 100 ms. It accepts at most 64 connections in a turn, so
// that a storm of new connections does not starve the open ones.
#include "server/listener.h"

#include "net/socket.h"

#include <chrono>
#include <new>
#include <utility>

namespace tern::server {
namespace {

constexpr int max_accepts = 64;
constexpr std::chrono::milliseconds pause_time(100);

}  // namespace

std::error_code Listener::start(net::Fd socket) noexcept {
  socket_ = std::move(socket);
  return core_.poller().add(socket_.get(), net::readable, *this);
}

void Listener::stop() noexcept {
  core_.timers().cancel(*this);
  if (!socket_) return;
  core_.poller().remove(socket_.get(), *this);
  socket_.reset();
}

void Listener::leave_to_others() noexcept {
  if (!kind_.handed_over || !socket_ || left_) return;
  left_ = true;
  core_.timers().cancel(*this);
  core_.poller().remove(socket_.get(), *this);
}

void Listener::on_ready(std::uint32_t) noexcept {
  for (int i = 0; i < max_accepts && socket_; ++i) {
    if (!acceptor_.may_accept()) return pause();
    net::Opened accepted = net::accept(socket_.get());
    if (!accepted) {
      switch (net::classify_accept_error(accepted.error)) {
        case net::AcceptFailure::drained:
          return;
        case net::AcceptFailure::retry:
          continue;
        case net::AcceptFailure::pause:
          if (!std::exchange(in_trouble_, true)) acceptor_.on_trouble(accepted.error, false);
          return pause();
        case net::AcceptFailure::fatal:
          acceptor_.on_trouble(accepted.error, true);
          return stop();
      }
    }
    in_trouble_ = false;
    const Acceptor::Verdict verdict = acceptor_.on_accepted(std::move(accepted.fd), kind_);
    if (verdict == Acceptor::Verdict::full) return pause();
  }
}

void Listener::pause() noexcept {
  core_.poller().remove(socket_.get(), *this);
  try {
    core_.timers().arm(*this, core_.now() + pause_time);
  } catch (const std::bad_alloc&) {
    on_timer(core_.now());  // no memory for a timer: to spin is better than never to accept again
  }
}

// epoll may lack memory or watches, as accept lacked descriptors. Then the listener pauses once
// more.
void Listener::on_timer(net::Timer::time_point) noexcept {
  const std::error_code error = core_.poller().add(socket_.get(), net::readable, *this);
  if (!error) return;
  if (!std::exchange(in_trouble_, true)) acceptor_.on_trouble(error, false);
  try {
    core_.timers().arm(*this, core_.now() + pause_time);
  } catch (const std::bad_alloc&) {
    acceptor_.on_trouble(error, true);
    stop();
  }
}

}  // namespace tern::server
