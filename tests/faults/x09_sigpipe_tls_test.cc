// X9 over TLS: the peer is gone (FIN, then RST) and tern goes on writing records, by SSL_write and
// SSL_shutdown. OpenSSL's own socket BIO uses write(), which raises SIGPIPE; tern does not use it.
// SIGPIPE has its default disposition here. TLS writes nothing after its first failure. Pass: at
// least one write of each connection returns EPIPE (counted under the library), the calls of tern
// return errors, no process ends by a signal, and neither the disposition nor the mask changes. CI
// has the full size, which takes a second.
#include "faults/support/sigpipe.h"
#include "faults/support/tls_attacked.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

TEST(Faults, X09_ATlsServerSurvivesWritesToAPeerThatIsGone) {
  const DeadlySigpipe deadly;
  AttackedTls attacked({.limits = {.overflow = Overflow::reject}});
  Inbox<bool> blocked;
  add_flood(attacked, 1, blocked);
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    const std::uint64_t before = sys::broken_pipes();
    for (int i = 0; i < 6; ++i) {
      const sys::Bystander bystander;
      TlsClient client(port, i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
      EXPECT_TRUE(client.upgrade("/flood"));
      EXPECT_TRUE(client.send(text("go")));
      EXPECT_EQ(blocked.take(), false) << "tern's thread hides from SIGPIPE";
      client.fin();
      client.reset();
      const auto info = attacked.ends.take();
      if (!info) break;
      EXPECT_EQ(info->error, Errc::connection_reset) << info->error.message();
    }
    EXPECT_GE(sys::broken_pipes() - before, 6u);
    return sys::broken_pipes() - before;
  });
}

TEST(Faults, X09_SendsOfATlsClientFailIfTheServerIsGone) {
  const DeadlySigpipe deadly;
  strike_tls_clients([&] {
    const std::uint64_t before = sys::broken_pipes();
    for (int i = 0; i < 6; ++i) {
      TlsPeer peer([&](TlsSocket& socket) {
        const sys::Bystander bystander;
        if (i % 2 == 0) SSL_set_max_proto_version(socket.ssl(), TLS1_2_VERSION);
        EXPECT_TRUE(answer(socket));
        socket.fin();
        socket.reset();
      });
      auto dialed = dial(peer.url(), trusting());
      EXPECT_TRUE(dialed);
      peer.join();
      if (dialed) expect_sends_fail(*dialed);
    }
    EXPECT_GE(sys::broken_pipes() - before, 6u);
    return sys::broken_pipes() - before;
  });
}

// Each write of a conversation fails in turn, also those of the Close frame and of close_notify.
TEST(Faults, X09_ATlsServerSurvivesABrokenPipeAtEachWrite) {
  AttackedTls attacked;
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    std::uint64_t shots = 0;
    for (bool fired = true; fired; shots += fired) {
      SCOPED_TRACE(shots);
      sys::Fault fault(sys::Call::send, {.error = EPIPE, .after = shots, .times = 1});
      const int sessions = attacked.opened;
      TlsClient client(port);
      const bool upgraded = client.upgrade();
      const bool echoed = upgraded && client.send(text("Hello")) && client.next() == "text Hello";
      if (echoed) client.send(closing(1000));
      while (!client.receive().empty()) {
      }
      client.fin();
      EXPECT_TRUE(attacked.deserted());
      fired = fault.fired() > 0;
      EXPECT_TRUE(echoed || fired);
      if (attacked.opened == sessions) continue;
      const auto info = attacked.ends.take();
      if (!info) break;
      EXPECT_TRUE(echoed || info->error == Errc::connection_reset) << info->error.message();
    }
    EXPECT_GE(shots, 5u) << "flight, 101, echo, Close, close_notify";
    return shots;
  });
}

// Runs the programs. Their exit codes show whether a signal ended them.
TEST(Faults, X09_TheTlsEchoServerOutlivesPeersThatReadNothing) {
  AttackedTlsProgram server;
  const std::string large = wire(Role::client, binary(std::string(1 << 20, 'x')));
  for (int i = 0; i < 20; ++i) {
    TlsClient client(server.port());
    ASSERT_TRUE(client.upgrade());
    ASSERT_TRUE(client.send(large));
    if (i % 2 == 0) client.fin();
    EXPECT_FALSE(client.receive().empty()) << "the echo has begun";
    client.reset();
  }
  server.expect_fired(20);
  server.expect_clean_end();
}

TEST(Faults, X09_EchoBackEndsByItselfWhenTheTlsServerIsGone) {
  for (const bool half_closed : {false, true}) {
    TlsPeer peer([&](TlsSocket& socket) {
      EXPECT_TRUE(answer(socket));
      EXPECT_TRUE(socket.send(wire(Role::server, binary(std::string(1 << 20, 'x')))));
      EXPECT_FALSE(socket.receive().empty()) << "it echoes";
      if (half_closed) socket.fin();
      socket.reset();
    });
    Process client({program("echo_back"), "--ca", pem_file("ca.pem"), peer.url()});
    EXPECT_EQ(client.exit_code(), 1);
    EXPECT_FALSE(client.err().empty()) << "it prints the reason";
  }
}

}  // namespace
}  // namespace tern::test
