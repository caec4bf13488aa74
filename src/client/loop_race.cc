// Runs the race to a server's addresses with sockets on a loop. A runner stays in memory after its
// attempt, because the poller may be calling it.
#include "client/loop_race.h"

#include "client/connect.h"
#include "net/socket.h"

#include <new>
#include <utility>

namespace tern::client {

LoopRace::LoopRace(net::LoopCore& core, net::Addresses addresses, std::optional<net::Address> from,
                   Done done)
    : core_(core), race_(std::move(addresses)), from_(from), done_(std::move(done)) {}

void LoopRace::cancel() noexcept {
  core_.timers().cancel(*this);
  for (const auto& runner : runners_) release(*runner);
}

// Returns the socket, which the poller no longer watches.
net::Fd LoopRace::release(Runner& runner) noexcept {
  if (runner.socket) core_.poller().remove(runner.socket.get(), runner);
  return std::move(runner.socket);
}

void LoopRace::end(Result<net::Fd> result) noexcept {
  cancel();
  if (done_) std::exchange(done_, {})(std::move(result));
}

void LoopRace::proceed() {
  while (const auto attempt = race_.start_next(core_.now())) begin(*attempt);
  if (race_.is_lost()) return end(race_.error());
  core_.timers().arm(*this, race_.next_start());
}

void LoopRace::begin(std::size_t attempt) {
  net::Opened opened = net::start_connect(race_.address(attempt), from_);
  if (!opened) return race_.fail(attempt, opened.error);
  runners_.push_back(std::make_unique<Runner>(*this, attempt, std::move(opened.fd)));
  Runner& runner = *runners_.back();
  const int fd = runner.socket.get();
  if (const auto error = core_.poller().add(fd, net::writable, runner)) {
    runner.socket = net::Fd();
    race_.fail(attempt, error);
  }
}

void LoopRace::Runner::on_ready(std::uint32_t) noexcept {
  if (socket) race.on_ready(*this);
}

void LoopRace::on_ready(Runner& runner) noexcept {
  const auto error = attempt_result(runner.socket.get(), race_.address(runner.attempt));
  net::Fd socket = release(runner);
  if (!error) return end(std::move(socket));
  race_.fail(runner.attempt, error);
  socket = net::Fd();
  on_timer(core_.now());
}

void LoopRace::on_timer(net::Timer::time_point) noexcept {
  try {
    proceed();
  } catch (const std::bad_alloc&) {
    end(Error(Errc::no_memory));
  }
}

}  // namespace tern::client
