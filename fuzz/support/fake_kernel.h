// A kernel in memory for a whole server or client. It has sockets, epoll, eventfd, ppoll and the
// steady clock, like Linux, but the input of the fuzzer controls the peers, the failures of calls
// and the passing of time. The kernel aborts on a fault that a host must never meet: a call on a
// closed descriptor, the close of a descriptor that epoll watches, a descriptor that blocks or
// survives exec, a send that may raise SIGPIPE, a wait that never ends, or a loop that spins.
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

/// Prints `what` and aborts unless `condition` holds.
void demand(bool condition, const char* what);

/// The calls that can fail on request.
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

/// Tern's end of a TCP connection. The holder of the pointer acts as the peer. A Stream lives on
/// after tern closed it.
struct Stream {
  static constexpr std::size_t all = static_cast<std::size_t>(-1);

  std::string arrived{};          ///< bytes from the peer that tern has not read yet
  std::size_t read_piece = all;   ///< the most bytes that one read returns
  std::size_t room = all;         ///< the bytes that writes take from now on
  std::size_t write_piece = all;  ///< the most bytes that one write takes
  bool fin_arrived = false;       ///< whether a FIN follows `arrived`
  int error = 0;                  ///< a pending error, reported once: ECONNRESET or another
  bool connecting = false;
  bool broken = false;  ///< whether it is reset or was never connected

  std::string received{};  ///< all bytes that tern has read
  std::string sent{};      ///< all bytes that tern has written
  bool fin_sent = false;
  std::size_t room_at_fin = all;
  bool reset_sent = false;
  bool closed = false;
  unsigned number =
      0;  ///< the number of this stream, from 0; its remote port is first_port + number

  /// Resets the connection by the peer. Bytes that arrived before can still be read.
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

  /// The kernel calls this when tern waits and nothing is ready. It changes something in the world,
  /// or returns false if nothing more happens.
  std::function<bool()> step{};
  /// connect() calls this. It returns the error of the call, or 0 to connect at once.
  std::function<int(Stream&)> on_connect{};

  /// Connects a peer, which then waits for accept(). Returns null if there is no listener.
  std::shared_ptr<Stream> connect_to_listener();
  /// Makes the next call of this kind fail with `error`.
  void fail_next(Call call, int error) { faults_[call].push_back(error); }
  /// Makes the n-th call from now that creates or configures a descriptor fail with EMFILE.
  void fail_setup(unsigned n) { setup_left_ = n; }
  /// Changes the order in which epoll reports ready descriptors.
  void rotate(std::size_t by) { rotation_ = by; }
  void pass(Time time);
  Time now() const { return now_; }
  /// Returns the number of open descriptors.
  std::size_t open_descriptors() const;
  /// Returns the streams that connect() created.
  const std::vector<std::shared_ptr<Stream>>& dialled() const { return dialled_; }
  /// Whether connect() gives a socket its own address as its peer (a self-connect).
  bool connects_to_itself = false;

  // ---- the calls; they return -1 and set errno like those in the system's manual
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
    bool edge;  // whether something changed since epoll_wait last reported it
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
  void told() { demand(++idle_ < 1000, "the loop spins: it leaves ready descriptors unhandled"); }
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
  unsigned idle_ = 0;  // waits that reported something since the last change of any state
  Time now_ = std::chrono::hours(1);
  const void* guarded_ = nullptr;
  std::size_t guarded_size_ = 0;
};

}  // namespace tern::fuzz
