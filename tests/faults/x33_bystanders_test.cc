// X33, second part: how long a bystander waits while 16 peers send legal traffic that is much work.
// Time is not measured, because a busy machine would change it. The handler of a busy peer's
// message sends the bystander's message and waits until the kernel has it. From then on the turns
// of the loop and the work that it does for the busy peers are counted, until the bystander's
// handler runs.
// Pass: that is the turn under way and the next one, and in each of them each busy peer gets no
// more than its budget (src/connection/turn_budget.h).
// Each plain and over TLS. For CI 15 messages of the bystander.
#include "faults/support/attacked.h"
#include "faults/support/flood.h"
#include "faults/support/syscalls.h"
#include "faults/support/tls_attacked.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <list>
#include <string>
#include <string_view>
#include <sys/ioctl.h>

namespace tern::test {
namespace {

constexpr std::size_t peers = 16;
constexpr int samples = 15;  // each waits for an acknowledgement, which TCP delays by 40 ms

// What the loop has done for the busy peers.
struct Work {
  std::uint64_t turns = 0;
  std::uint64_t messages = 0;  // or requests
};

// Measures on the loop's thread.
class Stopwatch {
 public:
  /// Sends the bystander's message, and waits until the kernel of the server's side has it.
  std::function<void()> send_quiet{};

  void on_busy() {
    ++messages_;
    if (waiting_ || messages_ < next_sample_ || !open) return;
    send_quiet();
    start_ = now();
    waiting_ = true;
  }
  void on_quiet() {
    const Work end = now();
    worst_.turns = std::max(worst_.turns, end.turns - start_.turns);
    worst_.messages = std::max(worst_.messages, end.messages - start_.messages);
    waiting_ = false;
    next_sample_ = messages_ + 20;
    if (++taken_ == samples) done = true;
  }
  Work worst() const { return worst_; }

  std::atomic<bool> open = false;  // samples may be taken
  std::atomic<bool> done = false;

 private:
  Work now() const { return {sys::count_of(sys::Call::epoll_wait), messages_}; }

  Work start_{};
  Work worst_{};
  std::uint64_t messages_ = 0;
  std::uint64_t next_sample_ = 0;
  int taken_ = 0;
  bool waiting_ = false;
};

struct Traffic {
  std::string_view route;   // empty: they stay with HTTP
  std::string_view fields;  // of the request for an upgrade
  std::string (*bytes)();   // sent again and again
  std::uint64_t most;       // messages or requests of one peer in one turn
};

template <class Client>
void wait_for_kernel(Client& client) {
  int under_way = 1;
  while (::ioctl(client.fd(), SIOCOUTQ, &under_way) == 0 && under_way > 0) {
  }
}

template <class Client, class Server>
void measure(Server& attacked, const Traffic& traffic) {
  const sys::Bystander not_counted;
  Stopwatch watch;
  attacked.server.route("/busy",
                        Handlers{.on_message = [&](Connection&, Message) { watch.on_busy(); }});
  attacked.server.route("/quiet",
                        Handlers{.on_message = [&](Connection&, Message) { watch.on_quiet(); }});
  attacked.server.get("/page", [&](const Request&) {
    watch.on_busy();
    return Response::text(std::string(100, 'x'));
  });
  const std::uint16_t port = attacked.start();
  Client quiet(port);
  ASSERT_TRUE(quiet.upgrade("/quiet"));
  watch.send_quiet = [&] {
    EXPECT_TRUE(quiet.send(text("now")));
    wait_for_kernel(quiet);
  };
  const std::string bytes = traffic.bytes();
  std::list<Client> clients;
  std::list<Flood<Client>> floods;
  for (std::size_t i = 0; i < peers; ++i) {
    Client& client = clients.emplace_back(port);
    if (!traffic.route.empty()) {
      ASSERT_TRUE(client.upgrade(traffic.route, traffic.fields));
    } else if constexpr (requires { client.shake_hands(); }) {
      ASSERT_TRUE(client.shake_hands());
    }
    floods.emplace_back(client, bytes);
  }
  watch.open = true;
  EXPECT_TRUE(eventually([&] {
    for (Flood<Client>& flood : floods) flood.push(), flood.drain();
    return watch.done.load();
  })) << "the bystander is not served";
  attacked.stop(std::chrono::nanoseconds(0));
  EXPECT_LE(watch.worst().turns, 2u);
  EXPECT_LE(watch.worst().messages, 2 * peers * traffic.most);
}

void measure(Over over, const Traffic& traffic) {
  if (over == Over::tcp) {
    Attacked attacked({.deflate = Deflate()});
    measure<RawClient>(attacked, traffic);
  } else {
    AttackedTls attacked({.deflate = Deflate()});
    measure<TlsClient>(attacked, traffic);
  }
}

// A request is 12 units of 1 024.
const Traffic pages{"", "", [] { return page_requests("/page"); }, 88};
TEST(Faults, X33_ABystanderBesidePages) { measure(Over::tcp, pages); }
TEST(Faults, X33_ABystanderBesidePagesOverTls) { measure(Over::tls, pages); }

// A message is a unit.
const Traffic tiny{"/busy", "", tiny_frames, 1'040};
TEST(Faults, X33_ABystanderBesideTinyFrames) { measure(Over::tcp, tiny); }
TEST(Faults, X33_ABystanderBesideTinyFramesOverTls) { measure(Over::tls, tiny); }

// 64 KiB of a message are 128 units.
const Traffic inflating{"/busy", offer, inflating_frames, 1};
TEST(Faults, X33_ABystanderBesideFramesThatInflate) { measure(Over::tcp, inflating); }
TEST(Faults, X33_ABystanderBesideFramesThatInflateOverTls) { measure(Over::tls, inflating); }

// 16 KiB of a message on the wire are 128 units.
const Traffic empty{"/busy", offer, empty_blocks, 3};
TEST(Faults, X33_ABystanderBesideEmptyBlocks) { measure(Over::tcp, empty); }
TEST(Faults, X33_ABystanderBesideEmptyBlocksOverTls) { measure(Over::tls, empty); }

// A read behind the first one is 128 units, and brings 512 KiB at most.
const Traffic large{"/busy", "", large_messages, 5};
TEST(Faults, X33_ABystanderBesideLargeMessages) { measure(Over::tcp, large); }
TEST(Faults, X33_ABystanderBesideLargeMessagesOverTls) { measure(Over::tls, large); }

}  // namespace
}  // namespace tern::test
