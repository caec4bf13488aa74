// The attacker is a fork of this process that never returns. Its counts are in memory that both
// share, because the parent reads them during the attack. A byte in a pipe reports that it has
// begun.
#include "throughput/attacker.h"

#include "net/fd.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"
#include "throughput/wire.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <new>
#include <signal.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace tern::bench {

struct Attacker::Shared {
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> ended{0};
};

namespace {

constexpr int lowest_priority = 19;
constexpr std::size_t most_read = std::size_t{1} << 20;
constexpr std::size_t records_at_once = 2'048;

// A connection that sends as fast as the server reads, without end.
class Sender {
 public:
  Sender(Wire wire, std::span<const std::byte> bytes) : wire_(std::move(wire)), bytes_(bytes) {}
  // A connection without an upgrade.
  Sender(net::Fd socket, std::span<const std::byte> bytes)
      : wire_(std::move(socket), nullptr), bytes_(bytes) {}

  int socket() const noexcept { return wire_.socket(); }

  // Returns the number of bytes that the socket took; -1: the connection is over.
  ssize_t send() {
    const std::span<const std::byte> next = wire_.is_tls() ? next_records() : bytes_.subspan(at_);
    const ssize_t sent = ::send(socket(), next.data(), next.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    at_ += static_cast<std::size_t>(sent);
    if (!wire_.is_tls() && at_ == bytes_.size()) at_ = 0;
    return sent;
  }

  // Discards all received bytes, also those of TLS. False: the connection is over.
  bool drain() const noexcept {
    const ssize_t got = ::recv(socket(), nullptr, most_read, MSG_TRUNC | MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  }

 private:
  // Makes a record for each byte.
  std::span<const std::byte> next_records() {
    if (at_ == records_.size()) {
      records_.clear();
      at_ = 0;
      for (std::size_t i = 0; i < records_at_once; ++i) {
        wire_.seal(bytes_.subspan(next_plain_, 1), records_);
        next_plain_ = (next_plain_ + 1) % bytes_.size();
      }
    }
    return std::span(records_).subspan(at_);
  }

  Wire wire_;
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;          // of bytes_, or of records_
  std::size_t next_plain_ = 0;  // the next byte of bytes_ that becomes a record
  std::vector<std::byte> records_{};
};

// All connections of one attack.
class RunningAttack {
 public:
  RunningAttack(const Attack& attack, const std::string& url)
      : reads_(!reads_nothing(attack.kind)),
        bytes_(attack_bytes(attack.kind)),
        target_(Target::parse(url, needs_of(attack.kind) == Needs::deflate)) {
    epoll_ = net::Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) throw_errno("epoll_create1");
    for (std::size_t i = 0; i < attack.senders; ++i) {
      if (is_http(attack.kind)) {
        senders_.push_back(std::make_unique<Sender>(start_connect(target_, 0, 0), bytes_));
      } else {
        senders_.push_back(std::make_unique<Sender>(connect_and_upgrade(target_), bytes_));
      }
      epoll_event event{};
      event.events = EPOLLOUT | (reads_ ? EPOLLIN : 0u);
      event.data.ptr = senders_.back().get();
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, senders_.back()->socket(), &event) != 0) {
        throw_errno("epoll_ctl");
      }
    }
  }

  [[noreturn]] void run(std::atomic<std::uint64_t>& sent, std::atomic<std::uint64_t>& ended) {
    for (std::array<epoll_event, 64> ready;;) {
      const int count = ::epoll_wait(epoll_.get(), ready.data(), ready.size(), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = ready[static_cast<std::size_t>(i)];
        auto& sender = *static_cast<Sender*>(event.data.ptr);
        bool lives = (event.events & (EPOLLERR | EPOLLHUP)) == 0;
        if (lives && reads_ && (event.events & EPOLLIN) != 0) lives = sender.drain();
        if (lives && (event.events & EPOLLOUT) != 0) {
          const ssize_t bytes = sender.send();
          lives = bytes >= 0;
          if (lives) sent += static_cast<std::uint64_t>(bytes);
        }
        if (lives) continue;
        ++ended;
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sender.socket(), nullptr);
      }
    }
  }

 private:
  bool reads_;
  std::vector<std::byte> bytes_;
  Target target_;
  net::Fd epoll_{};
  std::vector<std::unique_ptr<Sender>> senders_{};
};

// Runs in the other process.
[[noreturn]] void become(const Attack& attack, const std::string& url, int core, int begun,
                         std::atomic<std::uint64_t>& sent, std::atomic<std::uint64_t>& ended) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive the measurement
  pin_to_core(core);
  unset_realtime();
  ::setpriority(PRIO_PROCESS, 0, lowest_priority);
  try {
    RunningAttack running(attack, url);
    if (::write(begun, "", 1) == 1) running.run(sent, ended);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-bench: attack '%s': %s\n", std::string(attack.name).c_str(),
                 error.what());
  }
  ::_exit(1);
}

}  // namespace

Attacker::Attacker(const Attack& attack, const std::string& url, int core) {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw_errno("mmap");
  shared_ = new (memory) Shared;
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  const net::Fd read_end(ends[0]);
  net::Fd write_end(ends[1]);
  pid_ = ::fork();
  if (pid_ < 0) throw_errno("fork");
  if (pid_ == 0) become(attack, url, core, write_end.get(), shared_->sent, shared_->ended);
  write_end = {};  // so that the pipe reports the end of the process
  char begun = 0;
  ssize_t got = 0;
  do {
    got = ::read(read_end.get(), &begun, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) {
    ::waitpid(pid_, nullptr, 0);
    ::munmap(shared_, sizeof(Shared));
    throw std::runtime_error("the attack does not begin");
  }
}

Attacker::~Attacker() {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  ::munmap(shared_, sizeof(Shared));
}

std::uint64_t Attacker::sent() const noexcept { return shared_->sent; }
std::uint64_t Attacker::ended() const noexcept { return shared_->ended; }

}  // namespace tern::bench
