// Each attempt: connect, send the request, read the 101, close by RST, begin anew. A RST leaves no
// port waiting, so that the test may go on for as long as one likes.
#include "throughput/upgrades.h"

#include "throughput/upgrade.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr Seconds patience{5};

struct Attempt {
  net::Fd socket{};
  bool asked = false;
  std::string head{};
};

class Upgrades {
 public:
  explicit Upgrades(const UpgradesOptions& options)
      : target_(Target::parse(options.url)), attempts_(options.in_flight) {
    if (!epoll_) throw_errno("epoll_create1");
    if (target_.tls) throw std::runtime_error(options.url + ": wss is not supported here");
    for (Attempt& attempt : attempts_) begin(attempt);
  }

  std::uint64_t upgrades() const noexcept { return upgrades_; }
  /// Spent in an epoll_wait that found nothing.
  Clock::duration idle() const noexcept { return idle_; }

  void run_until(Clock::time_point end) {
    std::array<epoll_event, 256> events;
    auto heard = Clock::now();
    for (auto last = heard; last < end;) {
      const int ready =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
      if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
      for (int i = 0; i < ready; ++i) {
        on_ready(*static_cast<Attempt*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
      const auto now = Clock::now();
      if (ready > 0) {
        heard = now;
      } else {
        idle_ += now - last;
        if (now - heard > patience) throw std::runtime_error("no answer for five seconds");
      }
      last = now;
    }
  }

 private:
  void begin(Attempt& attempt) {
    attempt.socket = start_connect(target_, 0, SOCK_NONBLOCK);
    attempt.asked = false;
    attempt.head.clear();
    reset_on_close(attempt.socket.get());
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &attempt;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, attempt.socket.get(), &event) != 0) {
      throw_errno("epoll_ctl");
    }
  }

  void on_ready(Attempt& attempt) {
    if (!attempt.asked) {
      attempt.asked = true;
      const auto sent = ::send(attempt.socket.get(), target_.request.data(), target_.request.size(),
                               MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(target_.request.size())) throw_errno("connect");
    }
    std::array<char, 2048> buffer;
    const ssize_t got = ::recv(attempt.socket.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) throw std::runtime_error("the server closed during the upgrade");
    attempt.head.append(buffer.data(), static_cast<std::size_t>(got));
    if (!attempt.head.ends_with("\r\n\r\n")) return;
    if (!is_accepted(attempt.head)) {
      throw std::runtime_error("refused: " + attempt.head.substr(0, attempt.head.find('\r')));
    }
    ++upgrades_;
    begin(attempt);
  }

  Target target_;
  net::Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::vector<Attempt> attempts_;
  std::uint64_t upgrades_ = 0;
  Clock::duration idle_{};
};

}  // namespace

UpgradesResult run_upgrades(const UpgradesOptions& options) {
  const auto server_cpu = [&] {
    return options.server != 0 ? cpu_time(options.server) : std::chrono::nanoseconds{};
  };
  const auto later = [](Seconds by) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(by);
  };
  Upgrades upgrades(options);
  upgrades.run_until(later(options.warm_up));
  const std::uint64_t before = upgrades.upgrades();
  const auto idle_before = upgrades.idle();
  const auto cpu_before = server_cpu();
  const auto began = Clock::now();
  upgrades.run_until(later(options.duration));
  UpgradesResult result;
  result.seconds = Seconds(Clock::now() - began).count();
  result.upgrades = upgrades.upgrades() - before;
  result.client_busy = 1 - Seconds(upgrades.idle() - idle_before).count() / result.seconds;
  result.server_busy = Seconds(server_cpu() - cpu_before).count() / result.seconds;
  if (result.upgrades == 0) throw std::runtime_error("nothing was upgraded");
  return result;
}

int print_upgrades(const UpgradesOptions& options, bool json) {
  const UpgradesResult result = run_upgrades(options);
  if (json) {
    std::printf(R"({"in_flight":%zu,"seconds":%.4f,"upgrades":%llu,"upgrades_per_second":%.1f,)"
                R"("client_busy":%.3f)",
                options.in_flight, result.seconds, static_cast<unsigned long long>(result.upgrades),
                result.per_second(), result.client_busy);
    if (options.server != 0)
      std::printf(R"(,"server_us_per_upgrade":%.3f)", result.server_us_each());
    std::puts("}");
    return 0;
  }
  std::printf("%.0f upgrades/s, this client busy %.0f %%\n", result.per_second(),
              result.client_busy * 100);
  if (options.server != 0) {
    std::printf("server: %.1f us of CPU each, busy %.0f %%\n", result.server_us_each(),
                result.server_busy * 100);
  }
  return 0;
}

}  // namespace tern::bench
