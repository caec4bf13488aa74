// Receives signals with a signalfd. A signal handler would belong to the whole process, but a
// signalfd takes only signals that the application has blocked. The application must block them in
// every thread: in a thread that does not block it, a signal takes its default action.
#include "net/signals.h"

#include "tern/error.h"

#include "base/last_error.h"

#include <array>
#include <cerrno>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>

namespace tern::net {

namespace {

std::error_code require_blocked(int signo) noexcept {
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  const int member = ::sigismember(&blocked, signo);
  if (member < 0 || signo == SIGKILL || signo == SIGSTOP) return {EINVAL, std::system_category()};
  return member == 1 ? std::error_code() : make_error_code(Errc::signal_not_blocked);
}

}  // namespace

Signals::~Signals() { clear(); }

void Signals::clear() noexcept {
  if (!fd_) return;
  core_.poller().remove(fd_.get(), *this);
  fd_.reset();
  ::sigemptyset(&wanted_);
  claim_.release_all();
  while (!functions_.empty()) {
    const auto first = functions_.extract(functions_.begin());
  }
}

std::error_code Signals::listen(int signo, Function function) {
  core_.assert_thread();
  sigset_t wanted = wanted_;
  if (!function) {
    if (::sigdelset(&wanted, signo) != 0) return {EINVAL, std::system_category()};
    if (auto error = fd_ ? apply(wanted) : std::error_code()) return error;
    functions_.erase(signo);
    claim_.release(signo);
    return {};
  }
  if (auto error = require_blocked(signo)) return error;
  if (auto error = claim_.take(signo)) return error;
  auto shared = std::make_shared<Function>(std::move(function));
  std::shared_ptr<Function>& place =
      functions_[signo];  // no allocation follows, so the call does all or nothing
  ::sigaddset(&wanted, signo);
  if (auto error = apply(wanted)) {
    if (place == nullptr) functions_.erase(signo);
    return error;
  }
  place.swap(shared);
  return {};
}

std::error_code Signals::reopen() noexcept {
  if (!fd_) return {};
  for (const auto& [signo, function] : functions_) {
    if (auto error = claim_.take(signo)) return error;
  }
  return core_.poller().add(fd_.get(), EPOLLIN, *this);
}

std::error_code Signals::apply(const sigset_t& wanted) noexcept {
  const int fd = ::signalfd(fd_.get(), &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return base::last_error();
  if (!fd_) {
    Fd opened(fd);
    if (auto error = core_.poller().add(fd, EPOLLIN, *this)) return error;
    fd_ = std::move(opened);
  }
  wanted_ = wanted;
  return {};
}

void Signals::on_ready(std::uint32_t) noexcept {
  std::array<signalfd_siginfo, 8> infos;
  const ssize_t got = ::read(fd_.get(), infos.data(), sizeof infos);
  if (got <= 0) return;  // another reader took the signal
  const std::size_t count = static_cast<std::size_t>(got) / sizeof(signalfd_siginfo);
  for (std::size_t i = 0; i < count; ++i) deliver(static_cast<int>(infos[i].ssi_signo));
}

void Signals::deliver(int signo) noexcept {
  const auto found = functions_.find(signo);
  if (found == functions_.end()) return;
  const std::shared_ptr<Function> held = found->second;
  core_.call_user(*held, signo);
}

}  // namespace tern::net
