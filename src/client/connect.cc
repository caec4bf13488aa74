// Runs the race to a server's addresses with sockets, side by side in one poll.
#include "client/connect.h"

#include "net/socket.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tern::client {
namespace {

struct Runner {
  std::size_t attempt;
  net::Fd socket;
};

class Runners {
 public:
  Runners(const net::Addresses& addresses, const ConnectOptions& options)
      : race_(addresses), options_(options) {}

  Result<net::Fd> run() {
    for (;;) {
      while (const auto attempt = race_.start_next(Clock::now())) start(*attempt);
      if (race_.is_lost()) return race_.error();
      const bool is_ready = wait(std::min(options_.deadline, race_.next_start()));
      if (options_.stop != nullptr && options_.stop->requested()) return race_.error(Errc::stopped);
      if (!is_ready && Clock::now() >= options_.deadline) {
        return race_.error(Errc::handshake_timeout);
      }
      if (is_ready) {
        if (net::Fd winner = take_ready()) return winner;
      }
    }
  }

 private:
  void start(std::size_t attempt) {
    net::Opened opened = net::start_connect(race_.address(attempt), options_.from);
    if (!opened) return race_.fail(attempt, opened.error);
    runners_.push_back({attempt, std::move(opened.fd)});
  }

  bool wait(Clock::time_point until) {
    polled_.clear();
    for (const Runner& runner : runners_) polled_.push_back({runner.socket.get(), POLLOUT, 0});
    const int stop = options_.stop != nullptr ? options_.stop->fd() : -1;
    if (stop >= 0) polled_.push_back({stop, POLLIN, 0});
    return poll_until(polled_, until);
  }

  net::Fd take_ready() {
    std::vector<Runner> rest;
    for (std::size_t i = 0; i < runners_.size(); ++i) {
      Runner& runner = runners_[i];
      if (polled_[i].revents == 0) {
        rest.push_back(std::move(runner));
        continue;
      }
      const auto error = attempt_result(runner.socket.get(), race_.address(runner.attempt));
      if (!error) return std::move(runner.socket);
      race_.fail(runner.attempt, error);
    }
    runners_ = std::move(rest);
    return net::Fd();
  }

  Race race_;
  const ConnectOptions& options_;
  std::vector<Runner> runners_{};
  std::vector<pollfd> polled_{};
};

}  // namespace

// If nothing listens on a port of this host, the system can give the same port to our own end,
// which then connects to itself (RFC 9293 §3.5, simultaneous open). Such a connection counts as
// refused.
std::error_code attempt_result(int fd, const net::Address& address) noexcept {
  const std::error_code error = net::connect_result(fd);
  if (error || net::local_address(fd) != address) return error;
  return std::make_error_code(std::errc::connection_refused);
}

Result<net::Fd> connect_any(const net::Addresses& addresses, const ConnectOptions& options) {
  return Runners(addresses, options).run();
}

}  // namespace tern::client
