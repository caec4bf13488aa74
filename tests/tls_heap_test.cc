// Measures the memory of a TLS connection at rest. The server runs on the main thread, because
// mallinfo2() reports the malloc arena of that thread. The clients run on another thread and free
// all their TLS objects.
#include "tern/server.h"

#include "support/certificates.h"
#include "support/tls_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <cstdio>
#include <gtest/gtest.h>
#include <malloc.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t goal = 16 << 10;

std::size_t heap() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

// Upgrades, echoes a large and a small message, frees its TLS objects and stays connected.
std::unique_ptr<TlsSocket> idle_client(std::uint16_t port, int version) {
  auto client = std::make_unique<TlsSocket>(port);
  SSL_set_max_proto_version(client->ssl(), version);
  EXPECT_TRUE(client->shake_hands());
  client->send(upgrade_request());
  EXPECT_NE(client->receive_until("\r\n\r\n"), "");
  for (const std::size_t size : {20'000, 5}) {
    const std::string answer = wire(Role::server, text(std::string(size, 'x')));
    client->send(wire(Role::client, text(std::string(size, 'x'))));
    std::string got;
    while (got.size() < answer.size()) {
      const std::string more = client->receive();
      if (more.empty()) break;
      got += more;
    }
    EXPECT_EQ(got, answer);
  }
  client->forget_tls();
  return client;
}

TEST(TlsHeap, AnIdleConnectionTakesLessThan16KiB) {
  const Authority authority;
  Server server({.host = "127.0.0.1",
                 .tls = TlsServer{.certificate_pem = authority.leaf.certificate(),
                                  .private_key_pem = authority.leaf.key()}});
  server.route("/echo", Handlers{.on_message = [](Connection& conn, Message message) {
                 conn.send(message);
               }});
  ASSERT_TRUE(server.listen());
  std::thread clients([&] {
    constexpr std::size_t count = 100;
    std::vector<std::unique_ptr<TlsSocket>> sockets;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      for (int i = 0; i < 20; ++i) sockets.push_back(idle_client(server.port(), version));
      const std::size_t before = heap();
      for (std::size_t i = 0; i < count; ++i) {
        sockets.push_back(idle_client(server.port(), version));
      }
      // The turn of the last echo may not be over yet. One more connection makes sure that it is.
      const auto last = idle_client(server.port(), version);
      const std::size_t each = (heap() - before) / (count + 1);
      std::printf("heap of an idle connection, %s: %zu bytes\n",
                  version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", each);
      EXPECT_LT(each, goal);
      EXPECT_GT(each, 1000u) << "this is not the arena of the server";
    }
    server.stop(std::chrono::seconds(0));
  });
  EXPECT_TRUE(server.run());
  clients.join();
}

}  // namespace
}  // namespace tern::test
