// The wrappers. Each passes its call to `consult`, then fails, shortens or makes the real call, and
// leaves errno as the kernel would. Without Faults a wrapper costs one load of an atomic.
#include "faults/support/syscalls.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define TERN_REAL(result, name, ...) \
  result __real_##name(__VA_ARGS__); \
  result __wrap_##name(__VA_ARGS__)  // NOLINT(bugprone-reserved-identifier)

extern "C" {
TERN_REAL(int, accept4, int, sockaddr*, socklen_t*, int);
TERN_REAL(int, bind, int, const sockaddr*, socklen_t);
TERN_REAL(int, close, int);
TERN_REAL(int, connect, int, const sockaddr*, socklen_t);
TERN_REAL(int, epoll_create1, int);
TERN_REAL(int, epoll_ctl, int, int, int, epoll_event*);
TERN_REAL(int, epoll_wait, int, epoll_event*, int, int);
TERN_REAL(int, eventfd, unsigned, int);
TERN_REAL(int, getaddrinfo, const char*, const char*, const addrinfo*, addrinfo**);
TERN_REAL(int, getpeername, int, sockaddr*, socklen_t*);
TERN_REAL(int, getsockname, int, sockaddr*, socklen_t*);
TERN_REAL(int, getsockopt, int, int, int, void*, socklen_t*);
TERN_REAL(int, listen, int, int);
TERN_REAL(int, ppoll, pollfd*, nfds_t, const timespec*, const sigset_t*);
TERN_REAL(int, RAND_bytes, unsigned char*, int);
TERN_REAL(ssize_t, read, int, void*, std::size_t);
TERN_REAL(ssize_t, readv, int, const iovec*, int);
TERN_REAL(ssize_t, recv, int, void*, std::size_t, int);
TERN_REAL(ssize_t, send, int, const void*, std::size_t, int);
TERN_REAL(ssize_t, sendmsg, int, const msghdr*, int);
TERN_REAL(int, setsockopt, int, int, int, const void*, socklen_t);
TERN_REAL(int, shutdown, int, int);
TERN_REAL(int, signalfd, int, const sigset_t*, int);
TERN_REAL(int, socket, int, int, int);
TERN_REAL(ssize_t, write, int, const void*, std::size_t);
}

namespace tern::test::sys {
namespace {

constexpr std::array<std::string_view, calls> names = {
    "accept4", "bind",        "connect",     "epoll_create1", "epoll_ctl",  "epoll_wait",
    "eventfd", "getaddrinfo", "getpeername", "getsockname",   "getsockopt", "listen",
    "ppoll",   "RAND_bytes",  "read",        "readv",         "recv",       "send",
    "sendmsg", "setsockopt",  "shutdown",    "signalfd",      "socket",     "write"};

thread_local int bystander = 0;

std::array<std::atomic<std::uint64_t>, calls> counts{};
std::atomic<std::uint64_t> interruptions{0};
std::atomic<std::uint64_t> broken{0};

std::mutex mutex;
std::vector<Fault*> faults;  // guarded by mutex
std::atomic<std::size_t> faults_in_force{0};

struct Verdict {
  int error = 0;
  std::size_t at_most = any_size;
};

// Decides what happens to a call. `detail`: see Plan::operation.
Verdict consult(Call call, int fd = -1, int detail = -1, int family = AF_UNSPEC) noexcept {
  if (bystander > 0) return {};
  counts[static_cast<std::size_t>(call)].fetch_add(1, std::memory_order_relaxed);
  if (faults_in_force.load() == 0) return {};
  Verdict verdict;
  const std::lock_guard lock(mutex);
  for (Fault* const fault : faults) {
    if (!fault->hits(call, fd, detail, family)) continue;
    if (verdict.error == 0) verdict.error = fault->plan().error;
    verdict.at_most = std::min(verdict.at_most, fault->plan().at_most);
  }
  return verdict;
}

template <class T>
T failed(int error) noexcept {
  errno = error;
  return -1;
}

template <class T>
T noted(T result) noexcept {
  if (result < 0 && errno == EINTR && bystander == 0) interruptions.fetch_add(1);
  if (result < 0 && errno == EPIPE && bystander == 0) broken.fetch_add(1);
  return result;
}

// ---- the interest of each descriptor, for false readiness

struct Interest {
  std::mutex mutex{};
  int epoll = -1;
  epoll_event event{};
};
constexpr int most_descriptors = 4096;
std::array<Interest, most_descriptors> interests;

void remember(int epoll, int operation, int fd, const epoll_event* event) {
  if (fd < 0 || fd >= most_descriptors) return;
  Interest& interest = interests[static_cast<std::size_t>(fd)];
  const std::lock_guard lock(interest.mutex);
  interest.epoll = operation == EPOLL_CTL_DEL ? -1 : epoll;
  if (operation != EPOLL_CTL_DEL) interest.event = *event;
}

std::mutex dice_mutex;
std::mt19937_64 dice;  // guarded by dice_mutex
std::atomic<unsigned> spurious_percent{0};
std::atomic<std::uint64_t> spurious{0};

std::uint64_t roll() {
  const std::lock_guard lock(dice_mutex);
  return dice();
}

bool lies() {
  const unsigned percent = spurious_percent.load();
  return percent > 0 && bystander == 0 && roll() % 100 < percent;
}

bool is_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

// Adds an event for a watched socket that is not ready. Starts the search for one at a random
// descriptor.
int add_lie(int epoll, epoll_event* events, int ready) {
  const std::size_t start = roll() % 64;
  for (std::size_t i = 0; i < interests.size(); ++i) {
    const std::size_t fd = i < 64 ? (start + i) % 64 : i;
    Interest& interest = interests[fd];
    const std::lock_guard lock(interest.mutex);
    if (interest.epoll != epoll || !is_socket(static_cast<int>(fd))) continue;
    const bool reported = std::any_of(events, events + ready, [&](const epoll_event& event) {
      return event.data.ptr == interest.event.data.ptr;
    });
    if (reported) continue;
    events[ready] = interest.event;
    events[ready].events &= EPOLLIN | EPOLLOUT;
    if (events[ready].events == 0) continue;
    spurious.fetch_add(1);
    return ready + 1;
  }
  return ready;
}

// ---- buffers, names

std::atomic<int> small_send{0};
std::atomic<int> small_receive{0};
std::atomic<std::uint64_t> shrunk{0};

// An accepted socket keeps the receive buffer of its listener, because TCP cannot take back a
// window that it has offered.
int shrink(int fd, bool accepted) {
  const int send_bytes = small_send.load();
  const int receive_bytes = accepted ? 0 : small_receive.load();
  if (fd < 0 || bystander > 0 || send_bytes + receive_bytes == 0) return fd;
  if (send_bytes > 0) {
    __real_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
  }
  if (receive_bytes > 0) {
    __real_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  }
  shrunk.fetch_add(1);
  return fd;
}

struct KnownName {
  std::string name;
  std::vector<std::string> addresses;
  int error = 0;
};
std::mutex names_mutex;
KnownName known;  // guarded by names_mutex
std::atomic<std::uint64_t> names_returned{0};

// Builds the list that getaddrinfo would return, from lists of the real one, so that freeaddrinfo
// can free it.
int chain(const KnownName& from, const addrinfo* hints, addrinfo** found) {
  *found = nullptr;
  if (from.addresses.empty()) return from.error == 0 ? EAI_NONAME : from.error;
  addrinfo numeric = hints == nullptr ? addrinfo{} : *hints;
  numeric.ai_flags |= AI_NUMERICHOST;
  addrinfo** end = found;
  for (const std::string& address : from.addresses) {
    if (const int error = __real_getaddrinfo(address.c_str(), nullptr, &numeric, end)) return error;
    while (*end != nullptr) end = &(*end)->ai_next;
  }
  return 0;
}

}  // namespace

std::string_view name_of(Call call) noexcept { return names[static_cast<std::size_t>(call)]; }
std::uint64_t count_of(Call call) noexcept { return counts[static_cast<std::size_t>(call)].load(); }
std::uint64_t interrupted() noexcept { return interruptions.load(); }
std::uint64_t broken_pipes() noexcept { return broken.load(); }

Bystander::Bystander() noexcept { ++bystander; }
Bystander::~Bystander() { --bystander; }
bool is_bystander() noexcept { return bystander > 0; }

Fault::Fault(Call call, Plan plan) : call_(call), plan_(plan), dice_(plan.seed) {
  const std::lock_guard lock(mutex);
  faults.push_back(this);
  faults_in_force.fetch_add(1);
}

Fault::~Fault() {
  const std::lock_guard lock(mutex);
  std::erase(faults, this);
  if (faults.empty()) faults.shrink_to_fit();
  faults_in_force.fetch_sub(1);
}

bool Fault::hits(Call call, int fd, int detail, int family) noexcept {
  if (call != call_ || (plan_.fd >= 0 && fd != plan_.fd)) return false;
  if (plan_.operation >= 0 && detail != plan_.operation) return false;
  if (plan_.family != AF_UNSPEC && family != plan_.family) return false;
  const std::uint64_t number = seen_.fetch_add(1);
  if (number < plan_.after || number - plan_.after >= plan_.times) return false;
  if (plan_.percent < 100 && dice_() % 100 >= plan_.percent) return false;
  fired_.fetch_add(1);
  return true;
}

Faults::Faults(std::initializer_list<Call> which, const Plan& plan) {
  for (const Call call : which) faults_.push_back(std::make_unique<Fault>(call, plan));
}
std::uint64_t Faults::fired() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& fault : faults_) sum += fault->fired();
  return sum;
}
std::uint64_t Faults::seen() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& fault : faults_) sum += fault->seen();
  return sum;
}

SpuriousWakeups::SpuriousWakeups(unsigned percent, std::uint64_t seed) {
  const std::lock_guard lock(dice_mutex);
  dice.seed(seed);
  spurious = 0;
  spurious_percent = percent;
}
SpuriousWakeups::~SpuriousWakeups() { spurious_percent = 0; }
std::uint64_t SpuriousWakeups::fired() const noexcept { return spurious.load(); }

SmallBuffers::SmallBuffers(int send_bytes, int receive_bytes) noexcept {
  shrunk = 0;
  small_send = send_bytes;
  small_receive = receive_bytes;
}
SmallBuffers::~SmallBuffers() { small_send = small_receive = 0; }
std::uint64_t SmallBuffers::fired() const noexcept { return shrunk.load(); }

Names::Names(std::string name, std::vector<std::string> addresses, int error) {
  const std::lock_guard lock(names_mutex);
  names_returned = 0;
  known = {std::move(name), std::move(addresses), error};
}
Names::~Names() {
  const std::lock_guard lock(names_mutex);
  known = {};
}
std::uint64_t Names::fired() const noexcept { return names_returned.load(); }

}  // namespace tern::test::sys

namespace sys = tern::test::sys;
using sys::Call;
using sys::consult;
using sys::failed;
using sys::noted;

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int __wrap_accept4(int fd, sockaddr* name, socklen_t* size, int flags) {
  if (const int error = consult(Call::accept4, fd).error) return failed<int>(error);
  return sys::shrink(noted(__real_accept4(fd, name, size, flags)), true);
}

int __wrap_bind(int fd, const sockaddr* name, socklen_t size) {
  if (const int error = consult(Call::bind, fd).error) return failed<int>(error);
  return __real_bind(fd, name, size);
}

int __wrap_close(int fd) {
  sys::remember(-1, EPOLL_CTL_DEL, fd, nullptr);
  return __real_close(fd);
}

int __wrap_connect(int fd, const sockaddr* name, socklen_t size) {
  if (const int error = consult(Call::connect, fd, -1, name->sa_family).error) {
    return failed<int>(error);
  }
  return noted(__real_connect(fd, name, size));
}

int __wrap_epoll_create1(int flags) {
  if (const int error = consult(Call::epoll_create1).error) return failed<int>(error);
  return __real_epoll_create1(flags);
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (const int error = consult(Call::epoll_ctl, fd, operation).error) return failed<int>(error);
  const int result = __real_epoll_ctl(epoll, operation, fd, event);
  if (result == 0) sys::remember(epoll, operation, fd, event);
  return result;
}

int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  if (const int error = consult(Call::epoll_wait, epoll).error) return failed<int>(error);
  if (!sys::lies()) return noted(__real_epoll_wait(epoll, events, most, timeout));
  const int ready = noted(__real_epoll_wait(epoll, events, most - 1, 0));
  return ready < 0 ? ready : sys::add_lie(epoll, events, ready);
}

int __wrap_eventfd(unsigned start, int flags) {
  if (const int error = consult(Call::eventfd).error) return failed<int>(error);
  return __real_eventfd(start, flags);
}

int __wrap_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found) {
  if (const int error = consult(Call::getaddrinfo).error) return error;
  {
    const std::lock_guard lock(sys::names_mutex);
    if (node != nullptr && !sys::known.name.empty() && sys::known.name == node) {
      sys::names_returned.fetch_add(1);
      return sys::chain(sys::known, hints, found);
    }
  }
  return __real_getaddrinfo(node, service, hints, found);
}

int __wrap_getpeername(int fd, sockaddr* name, socklen_t* size) {
  if (const int error = consult(Call::getpeername, fd).error) return failed<int>(error);
  return __real_getpeername(fd, name, size);
}

int __wrap_getsockname(int fd, sockaddr* name, socklen_t* size) {
  if (const int error = consult(Call::getsockname, fd).error) return failed<int>(error);
  return __real_getsockname(fd, name, size);
}

int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* size) {
  if (const int error = consult(Call::getsockopt, fd, option).error) return failed<int>(error);
  return __real_getsockopt(fd, level, option, value, size);
}

int __wrap_listen(int fd, int backlog) {
  if (const int error = consult(Call::listen, fd).error) return failed<int>(error);
  return __real_listen(fd, backlog);
}

int __wrap_ppoll(pollfd* waits, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (const int error = consult(Call::ppoll).error) return failed<int>(error);
  if (count > 0 && (waits[0].events & POLLIN) != 0 && sys::lies()) {
    for (nfds_t i = 0; i < count; ++i) waits[i].revents = 0;
    waits[0].revents = POLLIN;
    sys::spurious.fetch_add(1);
    return 1;
  }
  return noted(__real_ppoll(waits, count, timeout, mask));
}

int __wrap_RAND_bytes(unsigned char* to, int size) {
  return consult(Call::rand_bytes).error != 0 ? 0 : __real_RAND_bytes(to, size);
}

ssize_t __wrap_read(int fd, void* to, std::size_t size) {
  const auto verdict = consult(Call::read, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  return noted(__real_read(
      fd, to, size));  // never fewer bytes, because the counter of an eventfd is read whole
}

ssize_t __wrap_readv(int fd, const iovec* pieces, int count) {
  const auto verdict = consult(Call::readv, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  if (verdict.at_most == sys::any_size) return noted(__real_readv(fd, pieces, count));
  std::size_t left = verdict.at_most;
  std::vector<iovec> fewer;
  for (int i = 0; i < count && left > 0; ++i) {
    fewer.push_back({pieces[i].iov_base, std::min(pieces[i].iov_len, left)});
    left -= fewer.back().iov_len;
  }
  return noted(__real_readv(fd, fewer.data(), static_cast<int>(fewer.size())));
}

ssize_t __wrap_recv(int fd, void* to, std::size_t size, int flags) {
  const auto verdict = consult(Call::recv, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  return noted(__real_recv(fd, to, std::min(size, verdict.at_most), flags));
}

ssize_t __wrap_send(int fd, const void* from, std::size_t size, int flags) {
  const auto verdict = consult(Call::send, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  return noted(__real_send(fd, from, std::min(size, verdict.at_most), flags));
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  const auto verdict = consult(Call::sendmsg, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  if (verdict.at_most == sys::any_size) return noted(__real_sendmsg(fd, message, flags));
  std::size_t left = verdict.at_most;
  std::vector<iovec> fewer;
  for (std::size_t i = 0; i < message->msg_iovlen && left > 0; ++i) {
    const iovec& piece = message->msg_iov[i];
    fewer.push_back({piece.iov_base, std::min(piece.iov_len, left)});
    left -= fewer.back().iov_len;
  }
  msghdr shorter = *message;
  shorter.msg_iov = fewer.data();
  shorter.msg_iovlen = fewer.size();
  return noted(__real_sendmsg(fd, &shorter, flags));
}

int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t size) {
  if (const int error = consult(Call::setsockopt, fd, option).error) return failed<int>(error);
  return __real_setsockopt(fd, level, option, value, size);
}

int __wrap_shutdown(int fd, int how) {
  if (const int error = consult(Call::shutdown, fd).error) return failed<int>(error);
  return __real_shutdown(fd, how);
}

int __wrap_signalfd(int fd, const sigset_t* mask, int flags) {
  if (const int error = consult(Call::signalfd, fd).error) return failed<int>(error);
  return __real_signalfd(fd, mask, flags);
}

int __wrap_socket(int family, int type, int protocol) {
  if (const int error = consult(Call::socket, -1, -1, family).error) return failed<int>(error);
  return sys::shrink(__real_socket(family, type, protocol), false);
}

ssize_t __wrap_write(int fd, const void* from, std::size_t size) {
  const auto verdict = consult(Call::write, fd);
  if (verdict.error != 0) return failed<ssize_t>(verdict.error);
  return noted(__real_write(fd, from, size));
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
