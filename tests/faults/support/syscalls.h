// Scripts faults of the kernel. The programs in tests/faults are linked with --wrap for each call
// below (faults.cmake has the same list). Every such call of the library or of the test comes here
// first, and reaches the kernel unless a Fault matches it. A Fault matches by call, descriptor and
// address. It never applies to a thread that is a bystander, so the test's own peers see no faults.
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

/// The number of calls of this kind by threads that are not bystanders, since the program began.
std::uint64_t count_of(Call call) noexcept;
/// The number of those calls that the kernel itself, not a Fault, answered with EINTR.
std::uint64_t interrupted() noexcept;
/// The number of those calls that the kernel itself answered with EPIPE.
std::uint64_t broken_pipes() noexcept;

/// As long as it lives, no fault applies to the calling thread.
class Bystander {
 public:
  Bystander() noexcept;
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
};

/// Whether the calling thread is a bystander.
bool is_bystander() noexcept;

constexpr std::uint64_t always = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t any_size = std::numeric_limits<std::size_t>::max();

/// The calls that a Fault hits, and what happens to them: `error`, `at_most`, or both.
struct Plan {
  int error = 0;                   ///< the call fails with this errno (getaddrinfo: this EAI_)
  std::size_t at_most = any_size;  ///< the call transfers at most so many bytes
  std::uint64_t after = 0;         ///< so many matching calls pass first
  std::uint64_t times = always;    ///< then so many are hit
  unsigned percent = 100;          ///< the share of these that is hit, chosen at random
  std::uint64_t seed = 1;          ///< of the random choice
  int fd = -1;                     ///< only this descriptor
  int operation = -1;              ///< epoll_ctl: only this one; setsockopt: only this option
  int family = AF_UNSPEC;          ///< connect, socket: only this address family
};

/// A plan that is in force as long as this object lives. It counts the calls that matched and those
/// that it hit.
class Fault {
 public:
  Fault(Call call, Plan plan);
  ~Fault();
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

  /// The number of calls that matched, and the number of those that were hit.
  std::uint64_t seen() const noexcept { return seen_; }
  std::uint64_t fired() const noexcept { return fired_; }

  /// Whether this call is hit. Only the wrappers call it.
  bool hits(Call call, int fd, int detail, int family) noexcept;
  const Plan& plan() const noexcept { return plan_; }

 private:
  Call call_;
  Plan plan_;
  std::mt19937_64 dice_;
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<std::uint64_t> fired_{0};
};

/// The same plan for several kinds of calls. Each kind has its own count.
class Faults {
 public:
  Faults(std::initializer_list<Call> which, const Plan& plan);
  std::uint64_t fired() const noexcept;
  std::uint64_t seen() const noexcept;

 private:
  std::vector<std::unique_ptr<Fault>> faults_{};
};

/// As long as it lives, epoll_wait and ppoll report false readiness of sockets that are watched.
class SpuriousWakeups {
 public:
  SpuriousWakeups(unsigned percent, std::uint64_t seed);
  ~SpuriousWakeups();
  SpuriousWakeups(const SpuriousWakeups&) = delete;
  SpuriousWakeups& operator=(const SpuriousWakeups&) = delete;

  std::uint64_t fired() const noexcept;
};

/// As long as it lives, new sockets and those accepted from them get these buffer sizes. The kernel
/// rounds up to its minimum.
class SmallBuffers {
 public:
  SmallBuffers(int send_bytes, int receive_bytes) noexcept;
  ~SmallBuffers();
  SmallBuffers(const SmallBuffers&) = delete;
  SmallBuffers& operator=(const SmallBuffers&) = delete;

  std::uint64_t fired() const noexcept;
};

/// As long as it lives, getaddrinfo returns these numeric addresses for the name. Without addresses
/// it returns `error`, or EAI_NONAME if that is 0.
class Names {
 public:
  Names(std::string name, std::vector<std::string> addresses, int error = 0);
  ~Names();
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  std::uint64_t fired() const noexcept;
};

}  // namespace tern::test::sys
