// X9: the peer is gone (FIN, then RST) and tern goes on writing. The kernel returns EPIPE and
// raises SIGPIPE unless a call forbids it. SIGPIPE has its default disposition here, so it would
// end the process. Pass: at least three writes return EPIPE (counted under the library), the calls
// of tern return errors, no process ends by a signal, and neither the disposition nor the mask
// changes. CI has the full size, which takes a second.
#include "faults/support/attacked.h"
#include "faults/support/served_process.h"
#include "faults/support/sigpipe.h"
#include "support/raw_client.h"
#include "support/socket_peer.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

TEST(Faults, X09_AServerSurvivesWritesToAPeerThatIsGone) {
  const DeadlySigpipe deadly;
  Attacked attacked({.limits = {.overflow = Overflow::reject}});
  Inbox<bool> blocked;
  add_flood(attacked, 3, blocked);
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    const std::uint64_t before = sys::broken_pipes();
    for (const bool half_closed : {false, true}) {
      RawClient client(port);
      EXPECT_TRUE(client.upgrade("/flood"));
      EXPECT_TRUE(client.send(text("go")));
      EXPECT_EQ(blocked.take(), false) << "tern's thread hides from SIGPIPE";
      if (half_closed) client.finish();
      client.reset();
      const auto info = attacked.ends.take();
      if (!info) break;
      EXPECT_EQ(info->error, Errc::connection_reset) << info->error.message();
    }
    EXPECT_GE(sys::broken_pipes() - before, 6u);
    return sys::broken_pipes() - before;
  });
}

TEST(Faults, X09_SendsOfAClientFailIfTheServerIsGone) {
  const DeadlySigpipe deadly;
  strike_clients([&] {
    const std::uint64_t before = sys::broken_pipes();
    for (int i = 0; i < 3; ++i) {  // a connection writes no more once it has failed
      ScriptedPeer peer([](Socket& socket) {
        socket.upgrade();
        socket.shutdown_write();
        socket.reset();
      });
      auto dialed = dial(peer.url());
      EXPECT_TRUE(dialed);
      peer.join();
      if (dialed) expect_sends_fail(*dialed);
    }
    EXPECT_GE(sys::broken_pipes() - before, 3u);
    return sys::broken_pipes() - before;
  });
}

// Runs the programs. Their exit codes show whether a signal ended them.
TEST(Faults, X09_TheEchoServerOutlivesPeersThatReadNothing) {
  AttackedProgram server;
  const std::string large = wire(Role::client, binary(std::string(1 << 20, 'x')));
  for (int i = 0; i < 20; ++i) {
    RawClient client(server.port(), 4096);
    ASSERT_TRUE(client.upgrade());
    ASSERT_TRUE(client.send(large));
    if (i % 2 == 0) client.finish();
    EXPECT_EQ(client.body(1).size(), 1u) << "the echo has begun";
    client.reset();
  }
  server.expect_fired(20);
  server.expect_clean_end();
}

TEST(Faults, X09_EchoBackEndsByItselfWhenTheServerIsGone) {
  Listener listener;
  Process client({program("echo_back"), listener.url()});
  Socket socket = listener.accept();
  socket.upgrade();
  ASSERT_TRUE(socket.send(binary(std::string(1 << 20, 'x'))));
  ASSERT_FALSE(socket.receive().empty()) << "it echoes";
  socket.shutdown_write();
  socket.reset();
  EXPECT_EQ(client.exit_code(), 1);
  EXPECT_FALSE(client.err().empty()) << "it prints the reason";
}

}  // namespace
}  // namespace tern::test
