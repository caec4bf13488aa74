// Each attempt connects, sends the request, reads the 101, closes with RST, and begins again. A RST
// leaves no port in TIME_WAIT, so the test may run for any time. With TLS each attempt makes a full
// handshake, because no session is resumed.
#include "throughput/upgrades.h"

#include "throughput/progress.h"
#include "throughput/upgrade.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdexcept>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

constexpr Seconds patience{5};

struct FreeSsl {
  void operator()(SSL* ssl) const noexcept { ::SSL_free(ssl); }
};

struct Attempt {
  net::Fd socket{};
  std::unique_ptr<SSL, FreeSsl> ssl{};  // null: plain; its BIOs are memory
  bool asked = false;
  std::string head{};
};

class Upgrades {
 public:
  explicit Upgrades(const UpgradesOptions& options)
      : target_(Target::parse(options.url)), attempts_(options.in_flight) {
    if (!epoll_) throw_errno("epoll_create1");
    for (Attempt& attempt : attempts_) begin(attempt);
  }

  std::uint64_t upgrades() const noexcept { return upgrades_; }
  /// Time in an epoll_wait that found nothing.
  Clock::duration idle() const noexcept { return idle_; }

  void run_until(Clock::time_point end) {
    std::array<epoll_event, 256> events;
    for (auto last = Clock::now(); last < end;) {
      const int ready =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
      if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
      for (int i = 0; i < ready; ++i) {
        on_ready(*static_cast<Attempt*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
      const auto now = Clock::now();
      if (ready > 0) {
        last_answer_ = now;
      } else {
        idle_ += now - last;
        if (now - last_answer_ > patience) throw std::runtime_error("no answer for five seconds");
      }
      last = now;
    }
  }

 private:
  void begin(Attempt& attempt) {
    attempt.socket = start_connect(target_, 0, SOCK_NONBLOCK);
    if (target_.tls) begin_tls(attempt);
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

  void begin_tls(Attempt& attempt) const {
    attempt.ssl.reset(::SSL_new(target_.tls->context.get()));
    ::SSL_set_bio(attempt.ssl.get(), ::BIO_new(::BIO_s_mem()), ::BIO_new(::BIO_s_mem()));
    ::SSL_set_connect_state(attempt.ssl.get());
  }

  void on_ready(Attempt& attempt) {
    if (attempt.ssl) {
      exchange_tls(attempt);
    } else {
      exchange(attempt);
    }
    if (!attempt.head.ends_with("\r\n\r\n")) return;
    if (!is_accepted(attempt.head)) {
      throw std::runtime_error("refused: " + attempt.head.substr(0, attempt.head.find('\r')));
    }
    ++upgrades_;
    begin(attempt);
  }

  void exchange(Attempt& attempt) {
    if (!std::exchange(attempt.asked, true)) {
      send_all(attempt.socket.get(), target_.request);
    }
    const std::size_t got = receive(attempt.socket.get());
    attempt.head.append(buffer_.data(), got);
  }

  // SSL_write makes the handshake first.
  void exchange_tls(Attempt& attempt) {
    SSL* const ssl = attempt.ssl.get();
    const std::size_t got = receive(attempt.socket.get());
    if (got > 0) ::BIO_write(::SSL_get_rbio(ssl), buffer_.data(), static_cast<int>(got));
    const std::string& request = target_.request;
    int done = 1;
    if (!attempt.asked) {
      done = ::SSL_write(ssl, request.data(), static_cast<int>(request.size()));
      attempt.asked = done > 0;
    }
    if (attempt.asked) {
      done = ::SSL_read(ssl, buffer_.data(), static_cast<int>(buffer_.size()));
      if (done > 0) attempt.head.append(buffer_.data(), static_cast<std::size_t>(done));
    }
    if (done <= 0 && ::SSL_get_error(ssl, done) != SSL_ERROR_WANT_READ) {
      throw std::runtime_error("TLS failed during the upgrade");
    }
    char* waiting = nullptr;
    const long size = BIO_get_mem_data(::SSL_get_wbio(ssl), &waiting);
    if (size > 0) send_all(attempt.socket.get(), {waiting, static_cast<std::size_t>(size)});
    static_cast<void>(BIO_reset(::SSL_get_wbio(ssl)));
  }

  // A new connection takes so few bytes at once.
  static void send_all(int socket, std::string_view bytes) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) throw_errno("connect");
  }

  // Reads all available bytes to the buffer; 0: there were none.
  std::size_t receive(int socket) {
    const ssize_t got = ::recv(socket, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) throw std::runtime_error("the server closed during the upgrade");
    return static_cast<std::size_t>(got);
  }

  Target target_;
  net::Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::vector<Attempt> attempts_;
  std::array<char, 16'384> buffer_{};
  std::uint64_t upgrades_ = 0;
  Clock::time_point last_answer_ = Clock::now();
  Clock::duration idle_{};
};

}  // namespace

UpgradesResult run_upgrades(const UpgradesOptions& options) {
  const auto server_cpu = [&] {
    return options.server != 0 ? cpu_time(options.server) : std::chrono::nanoseconds{};
  };
  const auto seconds_since = [](Clock::time_point began) { return Seconds(Clock::now() - began); };
  Progress progress(options.progress);
  Upgrades upgrades(options);
  const auto run_for = [&](Seconds duration) {
    const auto began = Clock::now();
    const auto end = began + std::chrono::duration_cast<Clock::duration>(duration);
    for (auto now = began; now < end; now = Clock::now()) {
      upgrades.run_until(std::min(end, now + progress_every));
      progress.show(progress_text(seconds_since(began), duration, upgrades.upgrades(), "upgrades"));
    }
  };
  run_for(options.warm_up);
  const std::uint64_t before = upgrades.upgrades();
  const auto idle_before = upgrades.idle();
  const auto cpu_before = server_cpu();
  const auto began = Clock::now();
  run_for(options.duration);
  UpgradesResult result;
  result.seconds = seconds_since(began).count();
  result.upgrades = upgrades.upgrades() - before;
  result.client_busy = 1 - Seconds(upgrades.idle() - idle_before).count() / result.seconds;
  result.server_busy = Seconds(server_cpu() - cpu_before).count() / result.seconds;
  if (result.upgrades == 0) throw std::runtime_error("nothing was upgraded");
  return result;
}

int print_upgrades(const UpgradesOptions& asked, bool json) {
  UpgradesOptions options = asked;
  options.progress = true;
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
