// X33: peers send legal traffic that costs much work, or whose answers fill memory: requests for
// pages whose answers are not read, frames that inflate a thousandfold, blocks that inflate to
// nothing, tiny frames without end, large messages, echoes that are not read.
// Pass: the resident memory of the server stays within a bound for each peer, a bystander's echoes
// continue meanwhile, and a stop keeps its deadline. x33_bystanders_test counts the work that the
// server does for such peers before it serves a bystander.
// Each runs plain and over TLS. For CI 16 peers send while a bystander has 50 echoes.
#include "faults/support/attacked.h"
#include "faults/support/flood.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "faults/support/tls_attacked.h"

#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <list>
#include <string>
#include <string_view>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t peers = 16;
constexpr std::size_t KiB = 1 << 10;

// The traffic of the peers, and the memory that the server may use for it.
struct Attack {
  std::string_view route;   // empty: the peers stay with HTTP
  std::string_view fields;  // of the upgrade request
  std::string (*bytes)();   // sent again and again
  std::size_t most_grown;   // resident bytes for each peer
  // The server stops reading after its peer has not read for a while. Then the kernel holds the
  // requests in one direction. In the other direction it holds the answers, which are longer (1) or
  // as long (2).
  std::size_t flow_ends = 0;
};

// The maximum of bytes that the kernel holds for one connection in one direction.
std::size_t kernel_buffers() {
  std::size_t all = 0;
  for (const char* name : {"/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"}) {
    std::size_t least = 0;
    std::size_t usual = 0;
    std::size_t most = 0;
    EXPECT_TRUE(std::ifstream(name) >> least >> usual >> most) << name;
    all += most;
  }
  return all;
}

// All peers send while a bystander has this many echoes, each of which must arrive.
template <class Client>
void push_during_echoes(std::list<Flood<Client>>& floods, Client& bystander, int echoes) {
  for (int i = 0; i < echoes; ++i) {
    for (Flood<Client>& flood : floods) flood.push();
    ASSERT_TRUE(bystander.send(text("still there")));
    ASSERT_EQ(bystander.next(), "text still there");
  }
}

template <class Client, class Program>
void strike_program(Program& server, const Attack& attack, std::size_t more_with_tls = 0) {
  const std::string bytes = attack.bytes();
  std::list<Client> clients;
  std::list<Flood<Client>> floods;
  for (std::size_t i = 0; i < peers; ++i) {
    Client& client = clients.emplace_back(server.port());
    if (!attack.route.empty()) {
      ASSERT_TRUE(client.upgrade(attack.route, attack.fields));
    } else if constexpr (requires { client.shake_hands(); }) {
      ASSERT_TRUE(client.shake_hands());
    }
    floods.emplace_back(client, bytes);
  }
  Client bystander(server.port());
  ASSERT_TRUE(bystander.upgrade());
  push_during_echoes(floods, bystander, 50);
  std::size_t sent = 0;
  for (const Flood<Client>& flood : floods) sent += flood.sent();
  EXPECT_GE(sent, peers * 100 * KiB) << "the attack is too small to show anything";
  if (attack.flow_ends > 0) {
    const std::size_t held = attack.flow_ends * kernel_buffers() + attack.most_grown;
    EXPECT_LE(sent / peers / KiB, (held + more_with_tls) / KiB) << "the server reads on";
  }
  if (!sanitized) {
    EXPECT_LE(server.grown() / peers / KiB, (attack.most_grown + more_with_tls) / KiB) << "KiB";
  }
  server.expect_fired(sent);
  for (Client& client : clients) client.reset();
  bystander.reset();
  server.expect_clean_end();
}

void strike(Over over, const Attack& attack) {
  const std::vector<std::string> flags = {"--deflate"};
  if (over == Over::tcp) {
    AttackedProgram server(flags);
    strike_program<RawClient>(server, attack);
  } else {
    AttackedTlsProgram server(flags);
    strike_program<TlsClient>(server, attack, 640 * KiB);
  }
}

// An answer is five times as long as its request, and no answer is read. The server takes only as
// many requests as fit in the kernel's buffers and 64 KiB more, and holds no more than that.
const Attack pages{"", "", [] { return page_requests("/time"); }, 256 * KiB, 1};
TEST(Faults, X33_PagesThatAreNotReadTakeNoMemory) { strike(Over::tcp, pages); }
TEST(Faults, X33_PagesThatAreNotReadTakeNoMemoryOverTls) { strike(Over::tls, pages); }

// The server reads and discards the messages of peers of /push, so these floods never end.
//
// Each message of six bytes is an event. A turn handles only a part of a read, and the server keeps
// the rest.
const Attack tiny{"/push", "", tiny_frames, 640 * KiB};
TEST(Faults, X33_TinyFramesTakeLittleMemory) { strike(Over::tcp, tiny); }
TEST(Faults, X33_TinyFramesTakeLittleMemoryOverTls) { strike(Over::tls, tiny); }

const Attack inflating{"/push", offer, inflating_frames, 2048 * KiB};
TEST(Faults, X33_FramesThatInflateTakeOneMessageEach) { strike(Over::tcp, inflating); }
TEST(Faults, X33_FramesThatInflateTakeOneMessageEachOverTls) { strike(Over::tls, inflating); }

const Attack empty{"/push", offer, empty_blocks, 640 * KiB};
TEST(Faults, X33_BlocksThatInflateToNothingTakeLittleMemory) { strike(Over::tcp, empty); }
TEST(Faults, X33_BlocksThatInflateToNothingTakeLittleMemoryOverTls) { strike(Over::tls, empty); }

const Attack large{"/push", "", large_messages, 2048 * KiB};
TEST(Faults, X33_LargeMessagesTakeOneMessageEach) { strike(Over::tcp, large); }
TEST(Faults, X33_LargeMessagesTakeOneMessageEachOverTls) { strike(Over::tls, large); }

// Echoes of 1 MiB that are not read. The server stops reading at a quarter of its queue's limit.
const Attack echoes{"/echo", "", large_messages, 3584 * KiB, 2};
TEST(Faults, X33_LargeEchoesThatAreNotReadTakeTwoMessagesEach) { strike(Over::tcp, echoes); }
TEST(Faults, X33_LargeEchoesThatAreNotReadTakeTwoMessagesEachOverTls) { strike(Over::tls, echoes); }

// Frames behind a Close are not inflated. So the stop is on time, although the kernel holds frames
// that would need many seconds of work.
template <class Client, class Server>
void stop_under(Server& attacked, const std::string& bytes) {
  const std::uint16_t port = attacked.start();
  std::list<Client> clients;
  std::list<Flood<Client>> floods;
  for (std::size_t i = 0; i < 2 * peers; ++i) {
    Client& client = clients.emplace_back(port);
    ASSERT_TRUE(client.upgrade("/echo", offer));
    floods.emplace_back(client, bytes);
  }
  for (Flood<Client>& flood : floods) flood.push();
  const auto began = std::chrono::steady_clock::now();
  attacked.stop(1s);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 6s) << "a second, and a busy machine";
}

void stop_while_peers_send(Over over, const std::string& bytes) {
  if (over == Over::tcp) {
    Attacked attacked({.deflate = Deflate()});
    stop_under<RawClient>(attacked, bytes);
  } else {
    AttackedTls attacked({.deflate = Deflate()});
    stop_under<TlsClient>(attacked, bytes);
  }
}

TEST(Faults, X33_AStopIsOnTimeWhilePeersSendWhatInflates) {
  stop_while_peers_send(Over::tcp, inflating_frames());
}
TEST(Faults, X33_AStopIsOnTimeWhilePeersSendWhatInflatesOverTls) {
  stop_while_peers_send(Over::tls, inflating_frames());
}
TEST(Faults, X33_AStopIsOnTimeWhilePeersSendEmptyBlocks) {
  stop_while_peers_send(Over::tcp, empty_blocks());
}
TEST(Faults, X33_AStopIsOnTimeWhilePeersSendEmptyBlocksOverTls) {
  stop_while_peers_send(Over::tls, empty_blocks());
}

}  // namespace
}  // namespace tern::test
