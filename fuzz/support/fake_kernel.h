// A kernel in memory for a whole server or client: sockets, epoll, eventfd, ppoll and the steady
// clock, as Linux has them, except that the far end of every connection, the faults of calls and
// the passing of time are the input's. What a host must never see is an abort here: a call on a
// closed descriptor, one closed under epoll's eyes, one that blocks or survives exec, a send that
// may raise SIGPIPE, a wait that never ends, a loop that spins.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

struct epoll_event;
struct iovec;
struct pollfd;

namespace tern::fuzz {

/// Aborts with a text unless `condition` holds.
void demand(bool condition, const char* what);

/// Calls that can be made to fail.
enum class Call : std::uint8_t {
  socket,
  bind,
  listen,
  accept,
  connect,
  option,
  name,
  receive,
  send,
  shutdown,
  epoll_create,
  epoll_ctl,
  epoll_wait,
  eventfd,
  event_io,
  poll,
};
inline constexpr unsigned call_count = 16;

/// Our end of a TCP connection; the peer is whoever holds it, also after tern has closed it.
struct Stream {
  static constexpr std::size_t all = static_cast<std::size_t>(-1);

  std::string arrived{};          ///< sent by the peer, not read yet
  std::size_t read_piece = all;   ///< octets of one read at most
  std::size_t room = all;         ///< octets that writes take from now on
  std::size_t write_piece = all;  ///< octets of one write at most
  bool fin_arrived = false;       ///< behind `arrived`
  int error = 0;                  ///< pending, told once: ECONNRESET and the like
  bool connecting = false;
  bool broken = false;  ///< reset, or never connected

  std::string received{};  ///< all that was read
  std::string sent{};      ///< all that was written
  bool fin_sent = false;
  std::size_t room_at_fin = all;
  bool reset_sent = false;
  bool closed = false;
  unsigned number = 0;  ///< of this stream, from 0; its remote port is first_port + number

  /// The peer resets the connection; what arrived before can still be read.
  void reset(int why);
};

class Kernel {
 public:
  using Time = std::chrono::nanoseconds;
  static constexpr std::uint16_t first_port = 20'000;

  Kernel();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// Called when tern waits and nothing is ready: does something to the world; false when there is
  /// nothing more to come.
  std::function<bool()> step{};
  /// Called by connect(): what it fails with, 0 when it connects at once.
  std::function<int(Stream&)> on_connect{};

  /// A peer connects; it waits to be accepted. Null when nobody listens.
  std::shared_ptr<Stream> connect_to_listener();
  /// The next such call fails with `error`.
  void fail_next(Call call, int error) { faults_[call].push_back(error); }
  /// From now on the n-th call that makes or configures a descriptor fails with EMFILE.
  void fail_setup(unsigned n) { setup_left_ = n; }
  /// The order in which ready descriptors are told.
  void rotate(std::size_t by) { rotation_ = by; }
  void pass(Time time);
  Time now() const { return now_; }
  /// Descriptors that are open.
  std::size_t open_descriptors() const;
  /// Streams that connect() made.
  const std::vector<std::shared_ptr<Stream>>& dialled() const { return dialled_; }
  /// The listener's descriptor is as close to the peer as the peer itself (a self-connect).
  bool connects_to_itself = false;

  // ---- the calls, as of the system's manual; -1 and errno
  static Kernel* current();
  static bool owns(int fd);
  int socket(int family, int type);
  int bind(int fd, const sockaddr* name, socklen_t size);
  int listen(int fd);
  int accept(int fd, sockaddr* name, socklen_t* size, int flags);
  int connect(int fd, const sockaddr* name, socklen_t size);
  int get_option(int fd, int level, int option, void* value, socklen_t* size);
  int set_option(int fd, int level, int option, const void* value);
  int name(int fd, bool peer, sockaddr* name, socklen_t* size);
  int shutdown(int fd);
  ssize_t receive(int fd, const iovec* into, std::size_t count);
  ssize_t send(int fd, const iovec* from, std::size_t count, int flags);
  int close(int fd);
  int epoll_create(int flags);
  int epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
  int epoll_wait(int epoll, epoll_event* events, int most, int timeout);
  int eventfd(unsigned value, int flags);
  ssize_t read_event(int fd, void* value, std::size_t size);
  ssize_t write_event(int fd, const void* value, std::size_t size);
  int poll(pollfd* descriptors, std::size_t count, const timespec* timeout);
  Time clock();
  unsigned char random() { return random_ = static_cast<unsigned char>(random_ * 5 + 7); }

 private:
  struct Watch {
    int fd;
    std::uint32_t asked;
    void* data;
    bool edge;  // something new since it was last told
  };
  struct Descriptor {
    enum class Kind : std::uint8_t { unused, stream, listener, epoll, event } kind{};
    std::shared_ptr<Stream> stream{};
    std::deque<std::shared_ptr<Stream>> backlog{};
    std::vector<Watch> watches{};
    std::uint64_t counter = 0;
    sockaddr_storage local{};
    sockaddr_storage remote{};
    socklen_t name_size = 0;
  };
  using Kind = Descriptor::Kind;

  Descriptor& at(int fd, Kind kind);
  int add(Descriptor descriptor);
  bool fails(Call call);
  bool fails_setup(Call call);
  std::uint32_t state_of(const Descriptor& descriptor) const;
  int gather(Descriptor& epoll, epoll_event* events, int most);
  void notice(int fd);
  void moved() { idle_ = 0; }
  void told() { demand(++idle_ < 1000, "spins: what is ready is left as it is"); }
  template <class F>
  bool wait(F ready, Time deadline);
  void guard(const iovec& buffer, std::size_t used);
  void unguard();

  std::vector<Descriptor> table_{};
  std::vector<std::shared_ptr<Stream>> dialled_{};
  std::map<Call, std::deque<int>> faults_{};
  unsigned setup_left_ = 0;
  unsigned streams_ = 0;
  std::size_t rotation_ = 0;
  unsigned char random_ = 0;
  unsigned idle_ = 0;  // waits that told something, since anything moved
  Time now_ = std::chrono::hours(1);
  const void* guarded_ = nullptr;
  std::size_t guarded_size_ = 0;
};

}  // namespace tern::fuzz
