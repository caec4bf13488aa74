// Implements the part of the system that tern uses. Descriptors are numbers far above those of the
// process and are never used twice, so that the kernel detects a call on a stale one. Streams hold
// their bytes in strings. The kernel computes readiness from these strings at each request, so
// there is no separate state that could become wrong.
//
// After a read, the rest of the caller's buffer is poisoned until the next call. So
// AddressSanitizer detects a read of bytes that did not arrive, as if the input were in a block of
// exactly its size.
#include "support/fake_kernel.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address))
#endif

namespace tern::fuzz {
namespace {

constexpr int first_fd = 1 << 20;
constexpr Kernel::Time no_deadline = Kernel::Time::max();
constexpr std::uint64_t full_counter = static_cast<std::uint64_t>(-2);

Kernel* the_kernel = nullptr;

int fail(int error) {
  errno = error;
  return -1;
}

sockaddr_storage loopback(std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_storage storage{};
  std::memcpy(&storage, &v4, sizeof v4);
  return storage;
}

}  // namespace

void demand(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "kernel: %s\n", what);
  std::abort();
}

void Stream::reset(int why) {
  error = why;
  broken = true;
  connecting = false;
}

Kernel::Kernel() {
  demand(the_kernel == nullptr, "two kernels at the same time");
  the_kernel = this;
}

Kernel::~Kernel() {
  unguard();
  the_kernel = nullptr;
}

Kernel* Kernel::current() { return the_kernel; }
bool Kernel::owns(int fd) { return fd >= first_fd; }

Kernel::Descriptor& Kernel::at(int fd, Kind kind) {
  const auto index = static_cast<std::size_t>(fd - first_fd);
  demand(fd >= first_fd && index < table_.size(), "a call on a number that is not a descriptor");
  demand(table_[index].kind != Kind::unused, "a call on a closed descriptor");
  demand(table_[index].kind == kind, "a call on a descriptor of another kind");
  return table_[index];
}

int Kernel::add(Descriptor descriptor) {
  moved();
  table_.push_back(std::move(descriptor));
  return first_fd + static_cast<int>(table_.size() - 1);
}

bool Kernel::fails(Call call) {
  const auto found = faults_.find(call);
  if (found == faults_.end() || found->second.empty()) return false;
  errno = found->second.front();
  found->second.pop_front();
  moved();
  return true;
}

bool Kernel::fails_setup(Call call) {
  if (setup_left_ > 0 && --setup_left_ == 0) {
    errno = EMFILE;
    return true;
  }
  return fails(call);
}

std::size_t Kernel::open_descriptors() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(table_, [](const Descriptor& d) { return d.kind != Kind::unused; }));
}

void Kernel::pass(Time time) {
  moved();
  now_ += time;
}

// The clock moves at each call, so no two calls return the same time.
Kernel::Time Kernel::clock() { return now_ += Time(100); }

// ---- sockets

int Kernel::socket(int family, int type) {
  demand((type & SOCK_NONBLOCK) != 0, "a socket that blocks");
  demand((type & SOCK_CLOEXEC) != 0, "a socket that survives exec");
  if (fails_setup(Call::socket)) return -1;
  Descriptor made{.kind = Kind::stream, .stream = std::make_shared<Stream>()};
  made.stream->broken = true;  // it is broken until it connects
  made.name_size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  return add(std::move(made));
}

int Kernel::bind(int fd, const sockaddr* name, socklen_t size) {
  Descriptor& socket = at(fd, Kind::stream);
  if (fails_setup(Call::bind)) return -1;
  std::memcpy(&socket.local, name, size);
  auto& port = reinterpret_cast<sockaddr_in&>(socket.local)
                   .sin_port;  // the port is at the same place for IPv6
  if (port == 0) port = htons(9);
  return 0;
}

int Kernel::listen(int fd) {
  Descriptor& socket = at(fd, Kind::stream);
  if (fails_setup(Call::listen)) return -1;
  socket.kind = Kind::listener;
  socket.stream.reset();
  return 0;
}

std::shared_ptr<Stream> Kernel::connect_to_listener() {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (table_[i].kind != Kind::listener) continue;
    auto stream = std::make_shared<Stream>();
    stream->number = streams_++;
    table_[i].backlog.push_back(stream);
    notice(first_fd + static_cast<int>(i));
    return stream;
  }
  return nullptr;
}

int Kernel::accept(int fd, sockaddr* name, socklen_t* size, int flags) {
  Descriptor& listener = at(fd, Kind::listener);
  demand(flags == (SOCK_NONBLOCK | SOCK_CLOEXEC), "accepts a socket that blocks");
  if (fails(Call::accept)) return -1;
  if (listener.backlog.empty()) return fail(EAGAIN);
  Descriptor made{.kind = Kind::stream, .stream = listener.backlog.front()};
  listener.backlog.pop_front();
  made.local = listener.local;
  made.name_size = sizeof(sockaddr_in);
  made.remote = loopback(static_cast<std::uint16_t>(first_port + made.stream->number));
  if (name != nullptr) {
    std::memcpy(name, &made.remote, std::min(*size, made.name_size));
    *size = made.name_size;
  }
  return add(std::move(made));
}

int Kernel::connect(int fd, const sockaddr* name, socklen_t size) {
  Descriptor& socket = at(fd, Kind::stream);
  if (fails(Call::connect)) return -1;
  std::memcpy(&socket.remote, name, size);
  socket.local = connects_to_itself ? socket.remote : loopback(first_port);
  int error = on_connect ? on_connect(*socket.stream) : 0;
  if (name->sa_family == AF_UNIX) {
    socket.name_size = size;
    if (error == EINPROGRESS) error = EAGAIN;  // such a connect() never goes on later
  }
  if (error != 0 && error != EINPROGRESS) return fail(error);
  moved();
  socket.stream->broken = false;
  socket.stream->connecting = error != 0;
  socket.stream->number = streams_++;
  dialled_.push_back(socket.stream);
  return error == 0 ? 0 : fail(error);
}

int Kernel::get_option(int fd, int level, int option, void* value, socklen_t* size) {
  Descriptor& socket = at(fd, Kind::stream);
  demand(level == SOL_SOCKET && option == SO_ERROR && *size == sizeof(int), "an unknown option");
  if (fails(Call::option)) return -1;
  std::memcpy(value, &socket.stream->error, sizeof(int));
  socket.stream->error = 0;
  return 0;
}

int Kernel::set_option(int fd, int level, int option, const void* value) {
  const auto index = static_cast<std::size_t>(fd - first_fd);
  demand(index < table_.size() && table_[index].kind != Kind::unused,
         "an option of a descriptor that is not open");
  if (fails_setup(Call::option)) return -1;
  if (level == SOL_SOCKET && option == SO_LINGER) {
    const auto* const wanted = static_cast<const linger*>(value);
    at(fd, Kind::stream).stream->reset_sent = wanted->l_onoff != 0 && wanted->l_linger == 0;
  }
  return 0;
}

int Kernel::name(int fd, bool peer, sockaddr* name, socklen_t* size) {
  const auto index = static_cast<std::size_t>(fd - first_fd);
  demand(index < table_.size() && table_[index].kind != Kind::unused,
         "the name of a descriptor that is not open");
  if (fails(Call::name)) return -1;
  const Descriptor& socket = table_[index];
  std::memcpy(name, peer ? &socket.remote : &socket.local, std::min(*size, socket.name_size));
  *size = socket.name_size;
  return 0;
}

int Kernel::shutdown(int fd) {
  Stream& stream = *at(fd, Kind::stream).stream;
  if (fails(Call::shutdown)) return -1;
  if (stream.broken || stream.connecting) return fail(ENOTCONN);
  moved();
  stream.fin_sent = true;
  stream.room_at_fin = stream.room;
  return 0;
}

void Kernel::guard(const iovec& buffer, std::size_t used) {
  guarded_ = static_cast<const char*>(buffer.iov_base) + used;
  guarded_size_ = buffer.iov_len - used;
  ASAN_POISON_MEMORY_REGION(guarded_, guarded_size_);
}

void Kernel::unguard() {
  if (guarded_ != nullptr) ASAN_UNPOISON_MEMORY_REGION(guarded_, guarded_size_);
  guarded_ = nullptr;
}

ssize_t Kernel::receive(int fd, const iovec* into, std::size_t count) {
  unguard();
  Stream& stream = *at(fd, Kind::stream).stream;
  if (fails(Call::receive)) return -1;
  std::size_t most = std::min(stream.read_piece, stream.arrived.size());
  std::size_t got = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = std::min(most - got, into[i].iov_len);
    if (size > 0) std::memcpy(into[i].iov_base, stream.arrived.data() + got, size);
    got += size;
    if (i + 1 == count) guard(into[i], size);
  }
  if (got > 0) {
    moved();
    stream.received.append(stream.arrived, 0, got);
    stream.arrived.erase(0, got);
    return static_cast<ssize_t>(got);
  }
  if (stream.error != 0) return fail(std::exchange(stream.error, 0));
  if (stream.broken || stream.fin_arrived) return 0;
  return fail(stream.connecting ? ENOTCONN : EAGAIN);
}

ssize_t Kernel::send(int fd, const iovec* from, std::size_t count, int flags) {
  Stream& stream = *at(fd, Kind::stream).stream;
  demand((flags & MSG_NOSIGNAL) != 0, "a send that may raise SIGPIPE");
  if (fails(Call::send)) return -1;
  if (stream.error != 0) return fail(std::exchange(stream.error, 0));
  if (stream.broken || stream.fin_sent) return fail(EPIPE);
  if (stream.connecting) return fail(ENOTCONN);
  const std::size_t most = std::min(stream.write_piece, stream.room);
  if (most == 0) return fail(EAGAIN);
  std::size_t put = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = std::min(most - put, from[i].iov_len);
    stream.sent.append(static_cast<const char*>(from[i].iov_base), size);
    put += size;
  }
  if (stream.room != Stream::all) stream.room -= put;
  moved();
  return static_cast<ssize_t>(put);
}

int Kernel::close(int fd) {
  const auto index = static_cast<std::size_t>(fd - first_fd);
  demand(index < table_.size() && table_[index].kind != Kind::unused, "closes a descriptor twice");
  for (const Descriptor& other : table_) {
    for (const Watch& watch : other.watches) {
      demand(watch.fd != fd || other.kind == Kind::unused,
             "closes a descriptor that epoll watches");
    }
  }
  moved();
  Descriptor& descriptor = table_[index];
  if (descriptor.stream) descriptor.stream->closed = true;
  descriptor = Descriptor{};
  return 0;
}

// ---- readiness

std::uint32_t Kernel::state_of(const Descriptor& descriptor) const {
  std::uint32_t state = 0;
  switch (descriptor.kind) {
    case Kind::stream: {
      const Stream& stream = *descriptor.stream;
      if (stream.connecting) return 0;
      if (!stream.arrived.empty() || stream.fin_arrived || stream.broken) state |= EPOLLIN;
      if (stream.fin_arrived || stream.broken) state |= EPOLLRDHUP;
      if (stream.room > 0 || stream.broken) state |= EPOLLOUT;
      if (stream.error != 0) state |= EPOLLERR;
      if (stream.broken || (stream.fin_arrived && stream.fin_sent)) state |= EPOLLHUP;
      return state;
    }
    case Kind::listener:
      return descriptor.backlog.empty() ? 0 : EPOLLIN;
    case Kind::event:
      if (descriptor.counter > 0) state |= EPOLLIN;
      if (descriptor.counter < full_counter) state |= EPOLLOUT;
      return state;
    default:
      return 0;
  }
}

// Marks a change of the descriptor for the watches that are edge-triggered.
void Kernel::notice(int fd) {
  for (Descriptor& epoll : table_) {
    for (Watch& watch : epoll.watches) {
      if (watch.fd == fd) watch.edge = true;
    }
  }
}

int Kernel::gather(Descriptor& epoll, epoll_event* events, int most) {
  int count = 0;
  const std::size_t size = epoll.watches.size();
  for (std::size_t i = 0; i < size && count < most; ++i) {
    Watch& watch = epoll.watches[(i + rotation_) % size];
    const std::uint32_t asked = watch.asked | EPOLLERR | EPOLLHUP;
    const auto index = static_cast<std::size_t>(watch.fd - first_fd);
    const std::uint32_t ready = state_of(table_[index]) & asked;
    const bool edges = (watch.asked & EPOLLET) != 0;
    if (ready == 0 || (edges && !watch.edge)) continue;
    if (events != nullptr) {
      watch.edge = false;
      events[count].events = ready;
      events[count].data.ptr = watch.data;
    }
    ++count;
  }
  return count;
}

template <class F>
bool Kernel::wait(F ready, Time deadline) {
  while (!ready()) {
    if (now_ >= deadline) return false;
    moved();
    if (step && step()) continue;
    demand(deadline != no_deadline, "a wait that never ends");
    now_ = deadline;
  }
  return true;
}

int Kernel::epoll_create(int flags) {
  demand(flags == EPOLL_CLOEXEC, "an epoll that survives exec");
  if (fails_setup(Call::epoll_create)) return -1;
  return add({.kind = Kind::epoll});
}

int Kernel::epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  auto& watches = at(epoll, Kind::epoll).watches;
  const auto index = static_cast<std::size_t>(fd - first_fd);
  demand(index < table_.size() && table_[index].kind != Kind::unused,
         "watches a descriptor that is not open");
  const auto found = std::ranges::find_if(watches, [&](const Watch& w) { return w.fd == fd; });
  moved();
  if (operation == EPOLL_CTL_DEL) {
    if (found == watches.end()) return fail(ENOENT);
    watches.erase(found);
    return 0;
  }
  if (fails_setup(Call::epoll_ctl)) return -1;
  const Watch watch{fd, event->events, event->data.ptr, true};
  if (operation == EPOLL_CTL_ADD) {
    demand(found == watches.end(), "watches a descriptor twice");
    watches.push_back(watch);
  } else {
    demand(found != watches.end(), "modifies a watch that does not exist");
    *found = watch;
  }
  return 0;
}

int Kernel::epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  at(epoll, Kind::epoll);
  if (fails(Call::epoll_wait)) return -1;
  const Time deadline = timeout < 0 ? no_deadline : now_ + std::chrono::milliseconds(timeout);
  const auto index = static_cast<std::size_t>(epoll - first_fd);
  wait([&] { return gather(table_[index], nullptr, 1) > 0; }, deadline);
  told();
  return gather(table_[index], events, most);
}

int Kernel::eventfd(unsigned value, int flags) {
  demand(flags == (EFD_NONBLOCK | EFD_CLOEXEC), "an eventfd that blocks");
  if (fails_setup(Call::eventfd)) return -1;
  return add({.kind = Kind::event, .counter = value});
}

ssize_t Kernel::read_event(int fd, void* value, std::size_t size) {
  Descriptor& event = at(fd, Kind::event);
  demand(size == sizeof event.counter, "an eventfd is read in units of 8 bytes");
  if (fails(Call::event_io)) return -1;
  if (event.counter == 0) return fail(EAGAIN);
  std::memcpy(value, &event.counter, size);
  event.counter = 0;
  notice(fd);
  moved();
  return static_cast<ssize_t>(size);
}

ssize_t Kernel::write_event(int fd, const void* value, std::size_t size) {
  Descriptor& event = at(fd, Kind::event);
  demand(size == sizeof event.counter, "an eventfd is written in units of 8 bytes");
  if (fails(Call::event_io)) return -1;
  std::uint64_t more = 0;
  std::memcpy(&more, value, size);
  if (event.counter > full_counter - more) return fail(EAGAIN);
  event.counter += more;
  notice(fd);
  return static_cast<ssize_t>(size);
}

int Kernel::poll(pollfd* descriptors, std::size_t count, const timespec* timeout) {
  if (fails(Call::poll)) return -1;
  const auto look = [&] {
    int ready = 0;
    for (std::size_t i = 0; i < count; ++i) {
      pollfd& polled = descriptors[i];
      const auto index = static_cast<std::size_t>(polled.fd - first_fd);
      demand(index < table_.size() && table_[index].kind != Kind::unused,
             "polls a descriptor that is not open");
      // poll and epoll use the same bits.
      const std::uint32_t asked = static_cast<std::uint16_t>(polled.events);
      polled.revents = static_cast<short>(state_of(table_[index]) & (asked | EPOLLERR | EPOLLHUP));
      if (polled.revents != 0) ++ready;
    }
    return ready;
  };
  const Time deadline = timeout == nullptr
                            ? no_deadline
                            : now_ + std::chrono::seconds(timeout->tv_sec) + Time(timeout->tv_nsec);
  wait([&] { return look() > 0; }, deadline);
  told();
  return look();
}

}  // namespace tern::fuzz
