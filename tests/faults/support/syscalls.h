// Faults of the kernel, scripted. The programs in tests/faults are linked with --wrap for each call
// below (tests/CMakeLists.txt has the same list): every call that the library, or the test itself,
// makes comes here first and passes through, unless a Fault says otherwise. Faults are told apart
// by call, descriptor and address, and never meet a thread that is a bystander: so the test's own
// peers stay out of it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace tern::test::sys {

enum class Call : std::uint8_t {
  accept4,
  bind,
  connect,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  eventfd,
  getaddrinfo,
  getpeername,
  getsockname,
  getsockopt,
  listen,
  ppoll,
  rand_bytes,
  read,
  readv,
  recv,
  send,
  sendmsg,
  setsockopt,
  shutdown,
  signalfd,
  socket,
  write,
};
constexpr std::size_t calls = 24;

std::string_view name_of(Call call) noexcept;

/// How often threads that are no bystanders made this call, since the program began.
std::uint64_t count_of(Call call) noexcept;
/// How often the kernel itself (no Fault) answered one of them EINTR.
std::uint64_t interrupted() noexcept;
/// How often it answered one of them EPIPE.
std::uint64_t broken_pipes() noexcept;

/// The calling thread is the test's, not its subject, while this lives.
class Bystander {
 public:
  Bystander() noexcept;
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
};

/// Whether the calling thread is one.
bool is_bystander() noexcept;

constexpr std::uint64_t for_ever = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t any_size = std::numeric_limits<std::size_t>::max();

/// What to do to which calls. `error` or `at_most` or both.
struct Plan {
  int error = 0;                   ///< fails with this errno (getaddrinfo: with this EAI_)
  std::size_t at_most = any_size;  ///< hands on at most so many bytes
  std::uint64_t after = 0;         ///< so many matching calls pass first
  std::uint64_t times = for_ever;  ///< then so many are hit
  unsigned percent = 100;          ///< of these, at random
  std::uint64_t seed = 1;          ///< of the dice
  int fd = -1;                     ///< only this descriptor
  int operation = -1;              ///< epoll_ctl: only this one; setsockopt: only this option
  int family = AF_UNSPEC;          ///< connect, socket: only this address family
};

/// A plan in force while it lives. Counts what it saw and what it did.
class Fault {
 public:
  Fault(Call call, Plan plan);
  ~Fault();
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

  /// Calls that matched, and those of them that were hit.
  std::uint64_t seen() const noexcept { return seen_; }
  std::uint64_t fired() const noexcept { return fired_; }

  /// For the wrappers: whether it hits this call.
  bool hits(Call call, int fd, int detail, int family) noexcept;
  const Plan& plan() const noexcept { return plan_; }

 private:
  Call call_;
  Plan plan_;
  std::mt19937_64 dice_;
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<std::uint64_t> fired_{0};
};

/// The same plan for several calls, each with its own count.
class Faults {
 public:
  Faults(std::initializer_list<Call> which, const Plan& plan);
  std::uint64_t fired() const noexcept;
  std::uint64_t seen() const noexcept;

 private:
  std::vector<std::unique_ptr<Fault>> faults_{};
};

/// epoll_wait and ppoll tell of readiness where there is none: of sockets that are waited for.
class SpuriousWakeups {
 public:
  SpuriousWakeups(unsigned percent, std::uint64_t seed);
  ~SpuriousWakeups();
  SpuriousWakeups(const SpuriousWakeups&) = delete;
  SpuriousWakeups& operator=(const SpuriousWakeups&) = delete;

  std::uint64_t fired() const noexcept;
};

/// Sockets made meanwhile, and what is accepted from them, get these sizes; the kernel rounds up to
/// its least.
class SmallBuffers {
 public:
  SmallBuffers(int send_bytes, int receive_bytes) noexcept;
  ~SmallBuffers();
  SmallBuffers(const SmallBuffers&) = delete;
  SmallBuffers& operator=(const SmallBuffers&) = delete;

  std::uint64_t fired() const noexcept;
};

/// Names and the numeric addresses that getaddrinfo gives for them meanwhile; no addresses: an
/// error, EAI_NONAME unless said otherwise.
class Names {
 public:
  Names(std::string name, std::vector<std::string> addresses, int error = 0);
  ~Names();
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  std::uint64_t fired() const noexcept;
};

}  // namespace tern::test::sys
