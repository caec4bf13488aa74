// Connects to the first address that accepts (RFC 8305). The attempts run side by side in one poll,
// so that an address that drops packets delays the next one by 250 ms only.
#include "client/connect.h"

#include "net/socket.h"

#include <algorithm>
#include <string>
#include <vector>

namespace tern::client {
namespace {

// RFC 8305 §5, "Connection Attempt Delay".
constexpr std::chrono::milliseconds attempt_delay(250);

struct Attempt {
  net::Address address{};
  net::Fd socket{};
  std::error_code error{};
};

// The result of an attempt whose socket is ready. If nothing listens on a port of this host, the
// system can give the same port to our own end, which then connects to itself (RFC 9293 §3.5,
// simultaneous open). Such a connection counts as refused.
std::error_code result_of(const Attempt& attempt) noexcept {
  const std::error_code error = net::connect_result(attempt.socket.get());
  if (error || net::local_address(attempt.socket.get()) != attempt.address) return error;
  return std::make_error_code(std::errc::connection_refused);
}

class Race {
 public:
  Race(const net::Addresses& addresses, Clock::time_point deadline)
      : addresses_(addresses), deadline_(deadline) {}

  Result<net::Fd> run() {
    for (;;) {
      start_what_is_due();
      if (running_.empty()) return failure(failed_.back().error);
      const bool all_started = started_ == addresses_.size();
      if (!wait(all_started ? deadline_ : std::min(deadline_, next_start_))) {
        if (Clock::now() >= deadline_) return failure(Errc::handshake_timeout);
        continue;
      }
      if (net::Fd winner = take_ready()) return winner;
    }
  }

 private:
  void start_what_is_due() {
    while (started_ < addresses_.size() && (running_.empty() || Clock::now() >= next_start_)) {
      const net::Address& address = addresses_[started_++];
      net::Opened opened = net::start_connect(address);
      (opened ? running_ : failed_).push_back({address, std::move(opened.fd), opened.error});
      next_start_ = Clock::now() + attempt_delay;
    }
  }

  bool wait(Clock::time_point until) {
    polled_.clear();
    for (const Attempt& attempt : running_) polled_.push_back({attempt.socket.get(), POLLOUT, 0});
    return poll_until(polled_, until);
  }

  net::Fd take_ready() {
    std::vector<Attempt> rest;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Attempt& attempt = running_[i];
      if (polled_[i].revents == 0) {
        rest.push_back(std::move(attempt));
        continue;
      }
      attempt.error = result_of(attempt);
      if (!attempt.error) return std::move(attempt.socket);
      failed_.push_back(std::move(attempt));
    }
    running_ = std::move(rest);
    return net::Fd();
  }

  // "connect [::1]:80 (Connection refused), 127.0.0.1:80"; Error adds the last reason.
  Error failure(std::error_code code) const {
    std::string stage = "connect ";
    const bool failed = running_.empty();  // else the running attempts have run out of time
    for (const Attempt& attempt : failed_) {
      stage += attempt.address.to_string();
      if (failed && &attempt == &failed_.back()) break;
      stage += " (" + attempt.error.message() + "), ";
    }
    for (const Attempt& attempt : running_) {
      stage += attempt.address.to_string();
      if (&attempt != &running_.back()) stage += ", ";
    }
    return Error(code, stage);
  }

  const net::Addresses& addresses_;
  const Clock::time_point deadline_;
  std::size_t started_ = 0;
  Clock::time_point next_start_{};
  std::vector<Attempt> running_{};
  std::vector<Attempt> failed_{};
  std::vector<pollfd> polled_{};
};

}  // namespace

Result<net::Fd> connect_any(const net::Addresses& addresses, Clock::time_point deadline) {
  return Race(addresses, deadline).run();
}

}  // namespace tern::client
