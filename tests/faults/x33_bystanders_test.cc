// X33, second part: how long a bystander waits while 16 peers send legal traffic that costs much
// work. The test measures no time, because a busy machine would change it. The handler of a busy
// peer's message sends the bystander's message and waits until the kernel has it. From then on the
// test counts the turns of the loop, and the work for the busy peers, until the bystander's handler
// runs.
// Pass: that takes only the rest of the current turn and the next one. In each of them a busy peer
// receives at most its budget (src/connection/turn_budget.h).
// Each runs plain and over TLS. CI takes 15 messages of the bystander.
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

// The work of the loop for the busy peers.
struct Work {
  std::uint64_t turns = 0;
  std::uint64_t messages = 0;  // or requests
};

// Counts the work. It runs on the loop's thread.
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

  std::atomic<bool> open = false;  // whether samples are taken
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
  std::string_view route;   // empty: the peers stay with HTTP
  std::string_view fields;  // of the upgrade request
  std::string (*bytes)();   // sent again and again
  std::uint64_t most;       // the maximum of messages or requests of a peer in a turn
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

// A request costs 12 of 1 024 units.
const Traffic pages{"", "", [] { return page_requests("/page"); }, 88};
TEST(Faults, X33_PagesDoNotDelayABystander) { measure(Over::tcp, pages); }
TEST(Faults, X33_PagesDoNotDelayABystanderOverTls) { measure(Over::tls, pages); }

// A message costs a unit.
const Traffic tiny{"/busy", "", tiny_frames, 1'040};
TEST(Faults, X33_TinyFramesDoNotDelayABystander) { measure(Over::tcp, tiny); }
TEST(Faults, X33_TinyFramesDoNotDelayABystanderOverTls) { measure(Over::tls, tiny); }

// 64 KiB of a message cost 128 units.
const Traffic inflating{"/busy", offer, inflating_frames, 1};
TEST(Faults, X33_FramesThatInflateDoNotDelayABystander) { measure(Over::tcp, inflating); }
TEST(Faults, X33_FramesThatInflateDoNotDelayABystanderOverTls) { measure(Over::tls, inflating); }

// 16 KiB of a message on the wire cost 128 units.
const Traffic empty{"/busy", offer, empty_blocks, 3};
TEST(Faults, X33_EmptyBlocksDoNotDelayABystander) { measure(Over::tcp, empty); }
TEST(Faults, X33_EmptyBlocksDoNotDelayABystanderOverTls) { measure(Over::tls, empty); }

// Each read after the first one costs 128 units and returns at most 512 KiB.
const Traffic large{"/busy", "", large_messages, 5};
TEST(Faults, X33_LargeMessagesDoNotDelayABystander) { measure(Over::tcp, large); }
TEST(Faults, X33_LargeMessagesDoNotDelayABystanderOverTls) { measure(Over::tls, large); }

}  // namespace
}  // namespace tern::test
